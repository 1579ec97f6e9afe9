"""Networks whose weights and activations have few levels, N_w and N_x, whose product fits a byte.

"4.6-bit" networks (Trusov et al., 2022): with (N_x − 1)/2 · (N_w − 1)/2 ≤ 127, the product of a
centred activation by a weight is an 8-bit number. A float network, its batch norms folded, is
quantized layer by layer (AdaQuant), then trained on in stages: after each, one more layer stands
still and the rest learns to live with it.
"""

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mcugen.errors import fail
from mcugen.quant import (
    LayerGrids,
    Uniform,
    adaquant_,
    calibrate,
    fold_batch_norm_,
    quantize_,
)
from mcugen.quant.adaquant import Layer, layers
from mcugen.train import session
from mcugen.train.config import Step, TrainConfig, TrainResult
from mcugen.train.zoo import layers_of

EPOCHS = 18
LEARNING_RATE = 8e-3
STAGE_RATE = 1e-4  # of gradient descent; 1e-2 destroys a network
CALIBRATION_SAMPLES = 1000
CALIBRATION_BATCH = 250
MOST_LEVELS = 256
LARGEST_PRODUCT = 127

Mode = Literal["rest", "one"]

#: The largest numbers of levels (N_x, N_w) whose products fit eight bits, both at least five.
PAIRS = tuple(
    (2 * x + 1, 2 * w + 1)
    for x in range(2, LARGEST_PRODUCT)
    for w in range(2, LARGEST_PRODUCT)
    if LARGEST_PRODUCT // w == x and LARGEST_PRODUCT // x == w
)


@dataclass(frozen=True)
class Options:
    """Levels of activations and weights (2 … 256), and what follows AdaQuant.

    An odd number of weight levels is symmetric about zero; an even one, like the 16 or 256 of 4 or
    8 bits, has a zero point. The first and the last layer have 8 bits, the image too.

    With `post_training`, nothing follows. Else there is a stage for each layer but the last, of
    `stage_epochs`: it fixes the layer's integers and trains all layers behind it (`mode` "rest"),
    or the other way round, trains that layer alone while the others stand still ("one").

    `start` is the checkpoint of a float run, or a `state_dict`, in place of float training.
    """

    activation_levels: int = 23
    weight_levels: int = 23
    post_training: bool = False
    mode: Mode = "rest"
    stage_epochs: int = 1
    start: Path | None = None


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a zoo model, quantizes it and exports it with its quantizers.

    Raises McugenError for unknown models or data sets, options out of range, a `start` that does
    not fit, and a loss that is not a number.
    """
    check(options)
    run = session.Session.start(config, f"nlevel {options}")
    model, loss = run.build(), math.nan
    if options.start is None:
        rate = config.learning_rate or LEARNING_RATE
        loss = run.train(model, run.stage("float", config.epochs or EPOCHS, rate))
    else:
        session.start_from_(model, options.start)
    steps = [Step("float", run.accuracy(model))]
    samples = run.train_samples.x[:CALIBRATION_SAMPLES]
    for name in post_training_(model, samples, options):
        steps.append(Step(name, run.accuracy(model)))
    if not options.post_training:
        loss = _stages(run, model, options)
        steps.append(Step("stages", run.accuracy(model)))
    run.export(model)
    result = run.result(steps[-1].accuracy, loss, describe(options))
    return dataclasses.replace(result, steps=tuple(steps))


def post_training_(model: nn.Module, samples: Tensor, options: Options) -> Iterator[str]:
    """Folds batch norms and quantizes any float model with `samples` of its input, `[N, …]`.

    Yields the name of each step when it is done; nothing happens unless somebody goes through them.
    """
    fold_batch_norm_(model, samples[:2])
    original = copy.deepcopy(model)
    grids = make_grids(layers_of(model), options)
    quantize_(model, overrides=grids)
    calibrate(model, torch.split(samples, CALIBRATION_BATCH))
    yield "min/max"
    names = list(grids)
    adaquant_(model, original, samples, skip=(names[0], names[-1]))
    yield "AdaQuant"


def check(options: Options) -> None:
    """Raises McugenError for options out of range."""
    for levels in (options.activation_levels, options.weight_levels):
        if not 3 <= levels <= MOST_LEVELS:
            want = f"3 … {MOST_LEVELS}"
            raise fail("train", "levels out of range", got=str(levels), want=want)
    if options.mode not in get_args(Mode):
        want = ", ".join(get_args(Mode))
        raise fail("train", "no mode of this name", got=repr(options.mode), want=want)
    if options.stage_epochs < 1:
        raise fail("train", "epochs of a stage below one", got=str(options.stage_epochs))


def make_grids(names: Sequence[str], options: Options) -> dict[str, LayerGrids]:
    """The grids of a network's layers, from input to output."""
    symmetric = options.weight_levels % 2 == 1
    inner = LayerGrids(
        Uniform(levels=options.weight_levels, symmetric=symmetric, per_channel=False),
        Uniform(levels=options.activation_levels),
    )
    outer = LayerGrids(Uniform(bits=8, per_channel=False), Uniform(bits=8))
    first, *middle, last = names
    return {first: outer, **dict.fromkeys(middle, inner), last: outer}


def _stages(run: session.Session, model: nn.Module, options: Options) -> float:
    """Trains in stages and returns the last mean loss; all integers are final in the end."""
    found, loss = layers(model), math.nan
    for parameter in model.parameters():
        parameter.requires_grad_(False)  # scales
    for index, layer in enumerate(found[:-1]):
        learning = found[index + 1 :] if options.mode == "rest" else [layer]
        _learn(learning, True)
        stage = run.stage(f"{layer.name} {options.mode}", options.stage_epochs, STAGE_RATE)
        loss = run.train(model, dataclasses.replace(stage, optimizer="sgd"))
        _learn(learning, False)
        for item in learning:
            item.snap_()
    return loss


def _learn(learning: list[Layer], whether: bool) -> None:
    for layer in learning:
        for parameter in layer.parameters:
            parameter.requires_grad_(whether)


def describe(options: Options) -> str:
    """The levels in one line."""
    pair = f"{options.activation_levels}, {options.weight_levels}"
    bits = math.log2(options.activation_levels * options.weight_levels) / 2
    return f"levels of activations and weights: {pair} ({bits:.2f} bits); first and last layer 8/8"
