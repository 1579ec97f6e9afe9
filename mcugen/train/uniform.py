"""Uniform grids: min/max calibration after training, or straight-through fine-tuning.

Fine-tuning ("quantization-aware training") trains a float network first, calibrates it, and goes
on with the quantizers inside: gradients pass straight through them, and the scales are learned
with the others (LSQ, Esser et al., 2020).
"""

from dataclasses import dataclass

import torch
from torch import nn

from mcugen.quant import LayerGrids, Uniform, calibrate, quantize_
from mcugen.train import layers, session, zoo
from mcugen.train.config import TrainConfig, TrainResult

EPOCHS = 6  # the first half float
LEARNING_RATE = 4e-3
FINE_TUNING_SHARE = 0.5  # of the learning rate: the network starts trained
CALIBRATION_SAMPLES = 1024
CALIBRATION_BATCH = 256
WIDE_BITS = 8


@dataclass(frozen=True)
class Options:
    """What a uniform network looks like.

    `bits` (1 … 8) hold for weights and activations alike, unless `weight_bits`, `activation_bits`
    or, for both, a count of `levels` say otherwise. One bit is binary ±a.

    The image is always 8 bits. The first layer's weights have `first_bits`; the last layer's
    weights and input have `last_bits`, which are by default those of the layers before it, but 8
    where they are binary: these two layers are small and lose the most.

    `layer_bits` sets single layers: "conv2=4/4,fc1=1/1" is weight bits / input activation bits.
    `per_channel` weights have one scale for each output channel. With `post_training`, the float
    network is calibrated and not trained any further.
    """

    bits: int = 8
    weight_bits: int | None = None
    activation_bits: int | None = None
    levels: int | None = None
    per_channel: bool = True
    post_training: bool = False
    first_bits: int = 8
    last_bits: int | None = None
    layer_bits: str = ""


@dataclass(frozen=True)
class _Plan:
    """The grids of every layer, by name, from input to output."""

    weight: Uniform
    activation: Uniform
    layers: dict[str, LayerGrids]

    def binary_input(self, name: str) -> bool:
        """Whether the layer `name` gets ±a as its input."""
        grids = self.layers.get(name)
        return grids is not None and _count(grids.activation) == 2


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a zoo model, quantizes it and exports it with its quantizers.

    Raises McugenError for unknown models, data sets or layers, bits out of range, and a loss that
    is not a number.
    """
    plan = make_plan(config.model, options)
    run = session.Session.start(config, f"uniform {options}")

    def activation(layer: str) -> nn.Module:
        # A ReLU would leave a sign nothing but zero against the rest.
        return nn.Hardtanh() if plan.binary_input(layer) else nn.ReLU()

    model = run.build(activation)
    epochs, rate = config.epochs or EPOCHS, config.learning_rate or LEARNING_RATE
    # Never quantized from scratch: fresh batch norms have no statistics to calibrate with.
    fine_tuning = 0 if options.post_training else epochs // 2
    loss = run.train(model, run.stage("float", epochs - fine_tuning, rate))
    quantize_(model, plan.weight, plan.activation, overrides=plan.layers)
    samples = run.train_samples.x[:CALIBRATION_SAMPLES]
    calibrate(model, torch.split(samples, CALIBRATION_BATCH), search=True)
    if fine_tuning:
        loss = run.train(model, run.stage("quantized", fine_tuning, rate * FINE_TUNING_SHARE))
    run.export(model)
    return run.result(run.accuracy(model), loss, describe(plan))


def make_plan(model: str, options: Options) -> _Plan:
    """The grid of each layer of a zoo model.

    Raises McugenError for bits or levels out of range and names that are not layers.
    """
    weight = _grid(options, options.weight_bits, options.per_channel)
    activation = _grid(options, options.activation_bits, None)
    names = zoo.layer_names(model)
    grids = {name: LayerGrids(weight, activation) for name in names}
    grids[names[0]] = LayerGrids(
        Uniform(bits=options.first_bits, per_channel=options.per_channel), Uniform(bits=WIDE_BITS)
    )
    grids[names[-1]] = LayerGrids(
        _last(weight, options, options.per_channel), _last(activation, options, None)
    )
    own = layers.parse(options.layer_bits, "bits")
    layers.check_names(own, names)
    for name, (weight_bits, activation_bits) in own.items():
        grids[name] = LayerGrids(
            Uniform(bits=weight_bits, per_channel=options.per_channel),
            grids[name].activation if activation_bits is None else Uniform(bits=activation_bits),
        )
    return _Plan(weight, activation, grids)


def describe(plan: _Plan) -> str:
    """The bits of a network in one line."""
    labels = {n: f"{_label(g.weight)}/{_label(g.activation)}" for n, g in plan.layers.items()}
    return layers.describe(labels, "bits")


def _grid(options: Options, bits: int | None, per_channel: bool | None) -> Uniform:
    if bits is None and options.levels is not None:
        return Uniform(levels=options.levels, per_channel=per_channel)
    return Uniform(bits=options.bits if bits is None else bits, per_channel=per_channel)


def _last(grid: Uniform, options: Options, per_channel: bool | None) -> Uniform:
    if options.last_bits is not None:
        return Uniform(bits=options.last_bits, per_channel=per_channel)
    if _count(grid) == 2:
        return Uniform(bits=WIDE_BITS, per_channel=per_channel)
    return grid


def _count(grid: object) -> int:
    return grid.count if isinstance(grid, Uniform) else 0


def _label(grid: object) -> str:
    assert isinstance(grid, Uniform)
    return str(grid.bits) if grid.bits is not None else f"({grid.levels} levels)"
