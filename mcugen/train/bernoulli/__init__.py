"""Binary networks through Bernoulli layers.

Weights are probabilities of +1 and a layer computes the exact probability that each of its sums is
not negative. Training is soft first; then, layer by layer, temperature and polarization push
weights and outputs to 0 and 1, until signs take their place. What is left is XNOR and popcount.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from mcugen.errors import fail
from mcugen.train import session
from mcugen.train.bernoulli.network import BernoulliNetwork, BinaryNetwork
from mcugen.train.bernoulli.sums import GRADIENTS, Gradient
from mcugen.train.config import TrainConfig, TrainResult
from mcugen.train.models_binary import LayerShape, check_shift, describe, outline

EPOCHS = 44
SOFT_RATE = 0.01  # learning rate before any layer becomes binary
LEARNING_RATE = 0.03
_SOFT, _LARGEST, _OTHER, _SCORES = 5, 26, 4, 1  # shares of the epochs

Schedule = Literal["all", "layers", "parts"]


@dataclass(frozen=True)
class Options:
    """How a Bernoulli network is trained.

    `gradient` of the exact sums: "precise", "approx1", "approx2" or "autograd". With `normal`,
    the sums of convolutions are normal distributions instead: faster, and less exact.

    `schedule` makes layers binary all at once, layer by layer, or each layer part by part.
    `shift` is how many pixels off the centre the image may be cut in training.
    """

    gradient: Gradient = "approx1"
    schedule: Schedule = "parts"
    normal: bool = False
    shift: int = 1


@dataclass(frozen=True)
class Phase:
    """So many epochs, at the end of which the layers `names` are binary."""

    names: tuple[str, ...]
    epochs: int


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a network of bits and exports it with its quantizers.

    Raises McugenError for networks, data sets and options unknown or out of range, a missing gcc,
    and a loss that is not a number.
    """
    check(options)
    plan = outline(config.model)
    run = session.Session.start(config, f"bernoulli {options}")
    shapes = plan.layers(run.train_samples.shape, run.classes)
    network = BernoulliNetwork(shapes, options.gradient, options.normal, options.shift)
    steps = math.ceil(len(run.train_samples.y) / config.batch_size)
    loss = math.nan
    for phase in phases(shapes, config.epochs or EPOCHS, options.schedule):
        rate = (config.learning_rate or LEARNING_RATE) if phase.names else SOFT_RATE
        stage = run.stage(" ".join(phase.names) or "soft", phase.epochs, rate)
        network.begin_(phase.names, phase.epochs, steps, options.schedule == "parts")
        loss = run.train(network, stage, BernoulliNetwork.after_step_)
        network.end_()
    binary = BinaryNetwork(network)
    run.export(binary)
    return run.result(run.accuracy(binary), loss, describe(shapes))


def check(options: Options) -> None:
    """Raises McugenError for options out of range."""
    for what, known in (("gradient", GRADIENTS), ("schedule", get_args(Schedule))):
        if (got := getattr(options, what)) not in known:
            raise fail("train", f"no {what} of this name", got=repr(got), want=", ".join(known))
    check_shift(options.shift)


def phases(shapes: list[LayerShape], epochs: int, schedule: Schedule) -> list[Phase]:
    """The epochs of a run divided: first soft ones, then those in which layers become binary.

    Raises McugenError for fewer epochs than phases.
    """
    names = tuple(shape.name for shape in shapes)
    largest = max(shapes[:-1], key=lambda shape: shape.terms * shape.outputs)
    hidden = [_LARGEST if shape is largest else _OTHER for shape in shapes[:-1]]
    shares = [_SOFT, *hidden, _SCORES]
    spare = epochs - len(shares)
    if spare < 0:
        want = f"≥ {len(shares)}"
        raise fail("train", "too few epochs: each layer needs one", got=str(epochs), want=want)
    ends = [round(spare * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
    counts = [1 + end - start for start, end in pairwise([0, *ends])]
    if schedule == "all":
        return [Phase((), counts[0]), Phase(names, epochs - counts[0])]
    return [Phase((), counts[0])] + [
        Phase((name,), count) for name, count in zip(names, counts[1:], strict=True)
    ]
