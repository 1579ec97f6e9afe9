"""LQ-Nets: weights and activations as sums of learned planes ±a_1 ± … ± a_K.

After Zhang et al., ECCV 2018. Post-training, QEM finds the basis of each weight row and of each
layer's input in a trained network. Fine-tuning goes on from there: gradients pass straight through
the quantizers, and after each step every basis follows its data by one round of QEM.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mcugen.errors import fail
from mcugen.quant import (
    Basis,
    LayerGrids,
    Solver,
    Uniform,
    Upstream,
    calibrate,
    follow_data_,
    quantize_,
)
from mcugen.train import layers, session, zoo
from mcugen.train.config import TrainConfig, TrainResult

EPOCHS = 5
FINE_TUNING_EPOCHS = 0.4  # the share of them after quantizing
LEARNING_RATE = 4e-3
FINE_TUNING_SHARE = 0.25  # of the learning rate
CALIBRATION_SAMPLES = 1000
CALIBRATION_BATCH = 250
MAX_PLANES = 4  # more cost more on a microcontroller than 8-bit integers do


@dataclass(frozen=True)
class Options:
    """What a network on planes looks like.

    `planes` (1 … 4) hold for weights and activations alike, unless `weight_planes` or
    `activation_planes` say otherwise. The first layer gets the image's 8-bit pixels.

    `layer_planes` sets single layers: "fc1=1/2,conv1=2" is weight planes / input planes, or only
    the former; planes for the first layer's input quantize the image, which `normalize` brings to
    zero mean and unit variance before (networks that have a place for that: mlp704).

    `activation` is the nonlinearity: "relu", "tanh" or "hardtanh". An `offset` of the activations'
    levels is learned by default where that is relu, whose values have one sign. `per_channel`
    weights have a basis for each output channel.

    With `post_training`, the trained float network is quantized and not trained any further;
    `sequential` has each quantizer look at what the layers before it make of their quantized
    inputs, instead of the float network's values. `solver` is the one of QEM.

    `start` is the checkpoint of a float stage, whose weights take the place of float training.
    """

    planes: int = 2
    weight_planes: int | None = None
    activation_planes: int | None = None
    layer_planes: str = ""
    normalize: bool = False
    activation: str = "relu"
    offset: bool | None = None
    per_channel: bool = True
    post_training: bool = False
    sequential: bool = False
    solver: Solver = "closed"
    start: Path | None = None


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a zoo model, puts it onto planes and exports it with its quantizers.

    Raises McugenError for unknown models, data sets or layers, options out of range, a `start`
    that does not fit, and a loss that is not a number.
    """
    grids = make_grids(config.model, options)
    run = session.Session.start(config, f"lq {options}")
    model = run.build(zoo.activation(options.activation))
    if options.normalize:
        run.normalize(model)
    epochs, rate = config.epochs or EPOCHS, config.learning_rate or LEARNING_RATE
    fine_tuning = 0 if options.post_training else int(epochs * FINE_TUNING_EPOCHS)
    if options.start is None:
        loss = run.train(model, run.stage("float", epochs - fine_tuning, rate))
    else:
        loss, fine_tuning = math.nan, 0 if options.post_training else epochs
        session.start_from_(model, options.start)
    quantize_(model, _weight(options), _activation(options), overrides=grids)
    samples = run.train_samples.x[:CALIBRATION_SAMPLES]
    upstream: Upstream = "everything" if options.sequential else "float"
    calibrate(model, torch.split(samples, CALIBRATION_BATCH), upstream=upstream)
    if fine_tuning:
        follow_data_(model)
        stage = run.stage("quantized", fine_tuning, rate * FINE_TUNING_SHARE)
        loss = run.train(model, stage)
    run.export(model)
    return run.result(run.accuracy(model), loss, describe(grids))


def make_grids(model: str, options: Options) -> dict[str, LayerGrids]:
    """The grids of each layer of a zoo model, from input to output.

    Raises McugenError for options out of range and names that are not layers.
    """
    names = zoo.layer_names(model)
    own = layers.parse(options.layer_planes, "planes")
    layers.check_names(own, names)
    grids = {}
    for name in names:
        weight, activation = own.get(name, (None, None))
        pixels = name == names[0] and activation is None
        grids[name] = LayerGrids(
            _weight(options, weight),
            Uniform(bits=8) if pixels else _activation(options, activation),
        )
    return grids


def describe(grids: Mapping[str, LayerGrids]) -> str:
    """The planes of a network in one line."""
    labels = {n: f"{_label(g.weight)}/{_label(g.activation)}" for n, g in grids.items()}
    return layers.describe(labels, "planes")


def _label(grid: object) -> str:
    return str(grid.planes) if isinstance(grid, Basis) else "u8"


def _weight(options: Options, planes: int | None = None) -> Basis:
    planes = _first(planes, options.weight_planes, options.planes)
    return Basis(planes, options.per_channel, solver=options.solver)


def _activation(options: Options, planes: int | None = None) -> Basis:
    planes = _first(planes, options.activation_planes, options.planes)
    offset = options.activation == "relu" if options.offset is None else options.offset
    return Basis(planes, offset=offset, solver=options.solver)


def _first(*choices: int | None) -> int:
    """The first number that was given, if it is one of planes."""
    planes = next(choice for choice in choices if choice is not None)
    if not 1 <= planes <= MAX_PLANES:
        raise fail("train", "planes out of range", got=str(planes), want=f"1 … {MAX_PLANES}")
    return planes
