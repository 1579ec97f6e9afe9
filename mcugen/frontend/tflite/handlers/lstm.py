"""UNIDIRECTIONAL_SEQUENCE_LSTM: int8 outside, 16 bits inside.

LstmStepInteger8x8_16 of tflite/kernels/lstm_eval.cc, whose scales come, in float32, from
tflite/kernels/unidirectional_sequence_lstm.cc. The four gates are one layer, in the order of the
file: input, forget, cell, output.
"""

import math
from dataclasses import dataclass

import numpy as np

from mcugen.errors import fail
from mcugen.frontend.tflite.context import STAGE, Activation, Context
from mcugen.frontend.tflite.epilogues import quantized_multiplier
from mcugen.frontend.tflite.graph import Operator
from mcugen.frontend.tflite.options import UnidirectionalSequenceLSTMOptions
from mcugen.frontend.tflite.recurrent import (
    INT8,
    INT16,
    INT32,
    Onto,
    Pair,
    clamped,
    grid_of,
    rescale,
    scale_of,
    shifted,
    state_of,
    weights_of,
)
from mcugen.ir import Int, ops
from mcugen.ir.types import spanning

#: Positions of the first of four operands, and of others.
_INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES = 1, 5, 12
_HIDDEN, _CELL = 18, 19
#: Operands of what is not lowered: peepholes, projection, normalized layers.
_REFUSED = (9, 10, 11, 16, 17, 20, 21, 22, 23)
#: Gates are rescaled to 12 fraction bits, hence three before the point.
_GATE_BITS = 3
#: Steps that one run may take: each becomes layers of its own, with weights of its own.
_MOST_STEPS = 16


@dataclass(frozen=True)
class Gates:
    """A matrix of all gates, and how its sums become gates."""

    weights: np.ndarray
    pairs: list[Pair]
    """Of each row."""
    bias: np.ndarray


@dataclass(frozen=True)
class Layer:
    """The operator's numbers."""

    x: Activation
    result: Activation
    inputs: Gates
    recurrent: Gates
    names: tuple[str, ...]
    """Of the gates, in the order of the rows."""
    cells: int
    cell: Int
    cell_bits: int
    """Integer bits of the cells."""
    hidden: Onto
    """Hidden values, from products of 30 fraction bits."""
    hidden_zero: int
    """Of those of the step before."""


def lstm(ctx: Context, operator: Operator) -> None:
    layer = _layer(ctx, operator)
    h = state_of(ctx, operator, _HIDDEN, INT8, (1, layer.cells))
    c = state_of(ctx, operator, _CELL, layer.cell, (1, layer.cells))
    hidden, cell = h, c
    made = []
    for step, gates in enumerate(_from_input(ctx, operator, layer)):
        hidden, cell = _step(ctx, operator, layer, (gates, hidden, cell), f"step{step}")
        made.append(ctx.shaped(operator, hidden, (1, 1, 1, layer.cells), f"row{step}"))
    ctx.add(operator, ops.StateWrite(cell, c), "cell.kept")
    ctx.add(operator, ops.StateWrite(hidden, h), "hidden.kept")
    whole = made[0] if len(made) == 1 else ctx.add(operator, ops.Concat(tuple(made), axis=1), "all")
    ctx.finish(operator, ops.Reshape(whole, shape=(1, len(made) * layer.cells)))


def _from_input(ctx: Context, operator: Operator, layer: Layer) -> list[str]:
    """What the inputs of each step add to the gates, 16 bits."""
    steps = math.prod(layer.x.shape) // layer.inputs.weights.shape[1]
    rows, depth = layer.inputs.weights.shape
    image = ctx.shaped(operator, layer.x.ref, (1, steps, 1, depth), "inputs")
    w = ctx.numbers(operator, "inputs.weights", layer.inputs.weights.reshape(rows, 1, 1, depth))
    acc = ctx.add(operator, ops.Conv2d(image, w, x_zero=layer.x.zero), "inputs.sum")
    onto = Onto(layer.inputs.pairs, INT16, bias=layer.inputs.bias)
    gates = rescale(ctx, operator, acc, "inputs.gates", onto)
    each = [
        ctx.add(operator, ops.Slice(gates, axis=1, begin=step, end=step + 1), f"input{step}")
        for step in range(steps)
    ]
    return [ctx.shaped(operator, ref, (1, rows), f"gates{i}") for i, ref in enumerate(each)]


def _step(
    ctx: Context, operator: Operator, layer: Layer, values: tuple[str, str, str], role: str
) -> tuple[str, str]:
    """Hidden values and cells after a step, from its gates' inputs and the values before."""
    gates, hidden, cell = values
    w = ctx.numbers(operator, f"{role}.weights", layer.recurrent.weights)
    acc = ctx.add(operator, ops.Linear(hidden, w, x_zero=layer.hidden_zero), f"{role}.sum")
    onto = Onto(layer.recurrent.pairs, INT32)
    recurrent = rescale(ctx, operator, acc, f"{role}.recurrent", onto)
    total = ctx.add(operator, ops.Add(gates, recurrent), f"{role}.total")
    both = clamped(ctx, operator, total, f"{role}.gates", INT16)
    part = {name: _gate(ctx, operator, layer, both, name, role) for name in layer.names}
    if "input" not in part:
        rest = ops.Add(part["forget"], part["forget"], x_factor=-1, y_factor=0, x_zero=INT16.hi)
        part["input"] = ctx.add(operator, rest, f"{role}.input")
    kept = _product(ctx, operator, (part["forget"], cell), f"{role}.remembered", 15)
    bits = 15 + layer.cell_bits
    new = _product(ctx, operator, (part["input"], part["cell"]), f"{role}.new", bits)
    total = ctx.add(operator, ops.Add(kept, new), f"{role}.cell.sum")
    cell = clamped(ctx, operator, total, f"{role}.cell", layer.cell)
    squashed = ctx.add(operator, ops.Tanh(cell, integer_bits=layer.cell_bits), f"{role}.tanh")
    product = ctx.add(operator, ops.Mul(part["output"], squashed), f"{role}.product")
    return rescale(ctx, operator, product, f"{role}.hidden", layer.hidden), cell


def _gate(ctx: Context, operator: Operator, layer: Layer, both: str, name: str, role: str) -> str:
    begin = layer.names.index(name) * layer.cells
    part = ops.Slice(both, axis=1, begin=begin, end=begin + layer.cells)
    ref = ctx.add(operator, part, f"{role}.{name}.in")
    kind = ops.Tanh if name == "cell" else ops.Logistic
    return ctx.add(operator, kind(ref, integer_bits=_GATE_BITS), f"{role}.{name}")


def _product(
    ctx: Context, operator: Operator, factors: tuple[str, str], role: str, bits: int
) -> str:
    product = ctx.add(operator, ops.Mul(*factors), f"{role}.product")
    return shifted(ctx, operator, product, role, bits)


def _layer(ctx: Context, operator: Operator) -> Layer:
    x, result = ctx.activation(operator, 0), ctx.result(operator)
    options = ctx.options(operator, UnidirectionalSequenceLSTMOptions)
    for position in _REFUSED:
        if ctx.operand(operator, position) is not None:
            what = f"input {position} of {operator.name}"
            raise fail(STAGE, what, want="no peephole, projection or layer normalization")
    coupled = ctx.operand(operator, _INPUT_WEIGHTS) is None
    names = ("forget", "cell", "output") if coupled else ("input", "forget", "cell", "output")
    cell_scale, (hidden_scale, hidden_zero) = (
        scale_of(ctx, operator, _CELL),
        grid_of(ctx.present(operator, _HIDDEN)),
    )
    power = math.log2(cell_scale)
    if not power.is_integer() or not 0 <= 15 + power <= 6:
        raise fail(STAGE, f"cells of scale {cell_scale:g}", want="2^−15 … 2^−9")
    inputs = _gates(ctx, operator, _INPUT_WEIGHTS, x.scale, names)
    layer = Layer(
        x,
        result,
        inputs,
        recurrent=_gates(ctx, operator, _RECURRENT_WEIGHTS, hidden_scale, names),
        names=names,
        cells=len(inputs.weights) // len(names),
        cell=_cell(options.cell_clip, cell_scale),
        cell_bits=15 + int(power),
        hidden=_hidden(ctx, operator),
        hidden_zero=hidden_zero,
    )
    _check(layer)
    return layer


def _check(layer: Layer) -> None:
    """Shapes fit, and one run takes no more steps than may be laid out one after the other."""
    depth = layer.inputs.weights.shape[1]
    steps = math.prod(layer.x.shape) // depth
    if layer.recurrent.weights.shape != (len(layer.inputs.weights), layer.cells):
        got = f"{list(layer.inputs.weights.shape)} and {list(layer.recurrent.weights.shape)}"
        raise fail(STAGE, "weights of the LSTM's gates do not fit each other", got=got)
    if math.prod(layer.x.shape) != steps * depth or layer.x.shape[-1:] != (depth,):
        got = f"{depth} columns on {list(layer.x.shape)}"
        raise fail(STAGE, "weights do not fit their input", got=got)
    if steps > _MOST_STEPS:
        raise fail(
            STAGE,
            f"an LSTM of {steps} steps in one run",
            want=f"at most {_MOST_STEPS}",
            help="convert the model for one step at a time: its state carries over",
        )


def _gates(
    ctx: Context, operator: Operator, first: int, scale: float, names: tuple[str, ...]
) -> Gates:
    """The matrices from position `first` on, one below the other; biases belong to the inputs'."""
    weights, pairs, biases = [], [], []
    for gate in range(4 - len(names), 4):
        data = weights_of(ctx, operator, first + gate, "int8")
        real = np.float32(scale_of(ctx, operator, first + gate)) * np.float32(scale)
        weights.append(data)
        pairs += [quantized_multiplier(float(real / np.float32(2.0**-12)))] * len(data)
        bias = np.zeros(len(data), np.int64)
        if first == _INPUT_WEIGHTS and ctx.operand(operator, _BIASES + gate) is not None:
            bias = ctx.constant(operator, _BIASES + gate).astype(np.int64).ravel()
        biases.append(bias)
    if len({data.shape for data in weights}) != 1 or {len(b) for b in biases} != {len(weights[0])}:
        raise fail(STAGE, "weights of the LSTM's gates do not fit each other")
    return Gates(np.concatenate(weights), pairs, np.concatenate(biases))


def _hidden(ctx: Context, operator: Operator) -> Onto:
    """The fifth intermediate tensor is the grid of what the operator's result is."""
    if len(operator.intermediates) != 5 or operator.intermediates[4] < 0:
        raise fail(STAGE, f"{len(operator.intermediates)} intermediate tensors", want="5")
    scale, zero = grid_of(ctx.graph.tensors[operator.intermediates[4]])
    real = np.float32(2.0**-15 / scale * 2.0**-15)
    return Onto([quantized_multiplier(float(real))], INT8, zero)


def _cell(clip: float, scale: float) -> Int:
    """What cells lie in: 16 bits, or what clips them, cut off to an integer."""
    most = int(min(float(np.float32(clip) / np.float32(scale)), float(INT16.hi)))
    return spanning(-most, most) if clip > 0 and most > 0 else INT16
