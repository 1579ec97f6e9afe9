"""The numpy interpreter: the definition of what each op computes. C is tested against it.

Arrays carry any number of samples on the batch axis. Integers are int64; values in bit planes are
int8 codes −1/+1 of shape [K, N, ...]. Products of integers go through float64 matrix multiplies,
which are exact: the verifier bounds every partial sum by 2^31.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch

import numpy as np

from mcugen.errors import fail
from mcugen.ir import fixed_point, ops
from mcugen.ir.ops import Env, Window
from mcugen.ir.program import Array, Program, Value
from mcugen.ir.types import Planes, TensorType

Lookup = Callable[[str], np.ndarray]


def run(program: Program, x: np.ndarray, steps: int = 1) -> Array:
    """The program's output for samples `x`.

    Args:
        program: a verified program with one input.
        x: integers of shape [N, *input shape without the batch]; codes [K, N, ...] for planes.
        steps: so many samples in a row are one sequence: states begin anew after each of them.

    Raises:
        McugenError: `x` has another shape, or values outside the input's interval.
    """
    return trace(program, x, steps)[program.output]


def trace(program: Program, x: np.ndarray, steps: int = 1) -> dict[str, Array]:
    """Every value of the program by name, for samples `x` (see `run`)."""
    (source,) = program.inputs
    _check_input(source.type, x)
    batch = _batch_axis(source)
    if x.shape[batch] % steps:
        raise fail("interpreter", f"{x.shape[batch]} samples in sequences of {steps}")
    sequences = x.shape[batch] // steps
    states = {
        state.value.name: np.full((sequences, *state.value.type.shape[1:]), state.initial, np.int64)
        for state in program.states
    }
    traces = []
    for step in range(steps):
        now = x[(slice(None),) * batch + (slice(step, None, steps),)]
        traces.append(_trace_one(program, now, states))
        for node in program.nodes:
            if isinstance(node.op, ops.StateWrite):
                states[node.op.state] = traces[-1][node.result.name]
    return {
        value.name: _interleaved([values[value.name] for values in traces], _batch_axis(value))
        for value in (source, *(node.result for node in program.nodes))
    }


def _trace_one(
    program: Program, x: np.ndarray, states: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every value of one run, constants and states included."""
    (source,) = program.inputs
    values: dict[str, np.ndarray] = {const.name: const.data for const in program.consts}
    values |= states
    values[source.name] = x.astype(np.int8 if isinstance(source.type.element, Planes) else np.int64)
    for node in program.nodes:
        values[node.result.name] = evaluate(node.op, program.env, values.__getitem__)
    return values


def _batch_axis(value: Value) -> int:
    return int(isinstance(value.type.element, Planes))


def _interleaved(steps: list[np.ndarray], axis: int) -> np.ndarray:
    """Arrays of all sequences' first step, second step … as samples in a row."""
    if len(steps) == 1:
        return steps[0]
    stacked = np.stack(steps, axis=axis + 1)
    return stacked.reshape(*stacked.shape[:axis], -1, *stacked.shape[axis + 2 :])


def _check_input(kind: TensorType, x: np.ndarray) -> None:
    planes = isinstance(kind.element, Planes)
    sample = x.shape[2:] if planes else x.shape[1:]
    if sample != kind.shape[1:] or not np.issubdtype(x.dtype, np.integer):
        raise fail("interpreter", f"input is {x.dtype}{list(x.shape)}", want=f"N samples of {kind}")
    lo, hi = (-1, 1) if planes else (kind.integer.lo, kind.integer.hi)
    if x.size and (x.min() < lo or x.max() > hi):
        raise fail("interpreter", f"input has values in [{x.min()}..{x.max()}]", want=f"{kind}")


@singledispatch
def evaluate(op: ops.Op, env: Env, get: Lookup) -> np.ndarray:
    """The result of `op`; `get` gives the array of each operand."""
    raise NotImplementedError(op.mnemonic)


def plane_values(codes: np.ndarray, basis: tuple[int, ...]) -> np.ndarray:
    """The values of codes [K, ...] as int64 [...]."""
    return np.tensordot(np.array(basis), codes, axes=1)


def _centred(get: Lookup, env: Env, ref: str, zero: int) -> np.ndarray:
    """x − zero."""
    element = env.type(ref).element
    value = plane_values(get(ref), element.basis) if isinstance(element, Planes) else get(ref)
    return value - zero


def _weights(get: Lookup, env: Env, ref: str) -> np.ndarray:
    return get(ref).sum(axis=0) if isinstance(env.type(ref).element, Planes) else get(ref)


def _codes(numbers: np.ndarray, planes: int) -> np.ndarray:
    """Codes −1/+1 [K, ...] of their numbers [...]."""
    bits = [numbers >> plane & 1 for plane in range(planes)]
    return (2 * np.stack(bits) - 1).astype(np.int8)


def _dot(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """x @ rows.T in exact integers (see the module's docstring)."""
    return np.rint(x.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.int64)


def _taps(
    x: np.ndarray, op: ops.Windowed, size: tuple[int, int], outside: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Per tap (ky, kx): the input under it for every output position, `outside` off the image."""
    top, bottom, left, right = op.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=outside)
    vertical, horizontal = op.windows(size)
    rows, columns = vertical.extent(x.shape[1]), horizontal.extent(x.shape[2])
    for ky in range(size[0]):
        for kx in range(size[1]):
            yield ky, kx, padded[:, _span(vertical, ky, rows), _span(horizontal, kx, columns)]


def _span(window: Window, tap: int, extent: int) -> slice:
    first = tap * window.dilation
    return slice(first, first + (extent - 1) * window.stride + 1, window.stride)


@evaluate.register
def _conv2d(op: ops.Conv2d, env: Env, get: Lookup) -> np.ndarray:
    x = _centred(get, env, op.x, op.x_zero)
    w = _weights(get, env, op.w)
    out, kh, kw, depth = w.shape
    per_group = out // op.groups
    total: np.ndarray | int = 0
    for ky, kx, under in _taps(x, op, (kh, kw), 0):
        if depth == 1:
            # Output channel o reads input channel o // per_group.
            total = total + np.repeat(under, per_group, axis=3) * w[:, ky, kx, 0]
            continue
        parts = [
            _dot(
                under[..., g * depth : (g + 1) * depth],
                w[g * per_group : (g + 1) * per_group, ky, kx],
            )
            for g in range(op.groups)
        ]
        total = total + np.concatenate(parts, axis=3)
    return np.asarray(total)


@evaluate.register
def _transpose_conv2d(op: ops.TransposeConv2d, env: Env, get: Lookup) -> np.ndarray:
    del env
    x, w = get(op.x) - op.x_zero, get(op.w)
    out, kh, kw, _ = w.shape
    vertical, horizontal = op.axes((kh, kw))
    rows, columns = vertical.sources(x.shape[1]), horizontal.sources(x.shape[2])
    total = np.zeros((len(x), *op.extent, out), np.int64)
    for ky, kx in np.ndindex(kh, kw):
        at_y, at_x = (np.flatnonzero(axis >= 0) for axis in (rows[:, ky], columns[:, kx]))
        under = x[:, rows[at_y, ky]][:, :, columns[at_x, kx]]
        total[:, at_y[:, None], at_x] += _dot(under, w[:, ky, kx])
    return total


@evaluate.register
def _linear(op: ops.Linear, env: Env, get: Lookup) -> np.ndarray:
    x = _centred(get, env, op.x, op.x_zero)
    return _dot(x.reshape(len(x), -1), _weights(get, env, op.w))


@evaluate.register
def _add(op: ops.Add, env: Env, get: Lookup) -> np.ndarray:
    del env
    return op.x_factor * (get(op.x) - op.x_zero) + op.y_factor * (get(op.y) - op.y_zero)


@evaluate.register
def _mul(op: ops.Mul, env: Env, get: Lookup) -> np.ndarray:
    del env
    return (get(op.x) - op.x_zero) * (get(op.y) - op.y_zero)


@evaluate.register
def _sum_pool(op: ops.SumPool, env: Env, get: Lookup) -> np.ndarray:
    del env
    taps = _taps(get(op.x) - op.x_zero, op, op.window, 0)
    return np.sum([under for _, _, under in taps], axis=0)


@evaluate.register
def _average_pool(op: ops.AveragePool, env: Env, get: Lookup) -> np.ndarray:
    del env
    x = get(op.x)
    total = np.sum([under for _, _, under in _taps(x, op, op.window, 0)], axis=0)
    count = np.sum([under for _, _, under in _taps(np.ones_like(x), op, op.window, 0)], axis=0)
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return np.clip(mean, op.lo, op.hi)


@evaluate.register
def _max_pool(op: ops.MaxPool, env: Env, get: Lookup) -> np.ndarray:
    x, element = get(op.x), env.type(op.x).element
    if not isinstance(element, Planes):
        return _largest(x, op)
    numbers = plane_values(x > 0, tuple(2**plane for plane in range(element.count)))
    return _codes(_largest(numbers, op), element.count)


def _largest(x: np.ndarray, op: ops.MaxPool) -> np.ndarray:
    below = int(np.iinfo(x.dtype).min)
    return np.max([under for _, _, under in _taps(x, op, op.window, below)], axis=0)


@evaluate.register
def _resize(op: ops.Resize, env: Env, get: Lookup) -> np.ndarray:
    del env
    return get(op.x)[..., get(op.rows), :, :][..., get(op.columns), :]


@evaluate.register
def _pad(op: ops.Pad, env: Env, get: Lookup) -> np.ndarray:
    del env
    top, bottom, left, right = op.padding
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(get(op.x), widths, constant_values=op.value)


@evaluate.register
def _reshape(op: ops.Reshape, env: Env, get: Lookup) -> np.ndarray:
    del env
    x = get(op.x)
    return x.reshape(len(x), *op.shape[1:])


@evaluate.register
def _transpose(op: ops.Transpose, env: Env, get: Lookup) -> np.ndarray:
    del env
    return get(op.x).transpose(op.perm)


@evaluate.register
def _slice(op: ops.Slice, env: Env, get: Lookup) -> np.ndarray:
    del env
    return np.moveaxis(np.moveaxis(get(op.x), op.axis, 0)[op.begin : op.end], 0, op.axis)


@evaluate.register
def _concat(op: ops.Concat, env: Env, get: Lookup) -> np.ndarray:
    del env
    return np.concatenate([get(ref) for ref in op.xs], axis=op.axis)


@evaluate.register
def _requantize(op: ops.Requantize, env: Env, get: Lookup) -> np.ndarray:
    del env
    return np.clip((get(op.x) * get(op.multiplier) + get(op.bias)) >> op.shift, op.lo, op.hi)


@evaluate.register
def _rescale(op: ops.Rescale, env: Env, get: Lookup) -> np.ndarray:
    return op.apply(get(op.x), env)


@evaluate.register
def _threshold(op: ops.Threshold, env: Env, get: Lookup) -> np.ndarray:
    del env
    x, table = get(op.x), get(op.table)
    x = x * get(op.direction)
    if len(table) == 1:
        passed = np.searchsorted(table[0], x, side="right")
    else:
        passed = np.stack(
            [np.searchsorted(row, x[..., c], side="right") for c, row in enumerate(table)], axis=-1
        )
    if op.basis:
        return _codes(Planes(op.basis).ranked[passed], len(op.basis))
    return op.lo + passed.astype(np.int64)


@evaluate.register
def _lookup(op: ops.Lookup, env: Env, get: Lookup) -> np.ndarray:
    index = get(op.x) - env.type(op.x).integer.lo
    table = get(op.table)
    return table[np.arange(len(table)) if len(table) > 1 else 0, index]


@evaluate.register
def _smooth(op: ops.Smooth, env: Env, get: Lookup) -> np.ndarray:
    del env
    return op.apply(get(op.x))


@evaluate.register
def _interpolate(op: ops.Interpolate, env: Env, get: Lookup) -> np.ndarray:
    del env
    return op.apply(get(op.x), get(op.table))


@evaluate.register
def _softmax(op: ops.Softmax, env: Env, get: Lookup) -> np.ndarray:
    del env
    x = get(op.x)
    exps = get(op.exps)[x.max(axis=-1, keepdims=True) - x]
    total = fixed_point.divide_by_power(exps, 12).sum(axis=-1, keepdims=True)
    headroom = fixed_point.leading_zeros(total)
    scale = fixed_point.reciprocal((total << headroom) - (1 << 31))
    shares = fixed_point.divide_by_power(
        fixed_point.doubling_high_multiply(exps, scale), 43 - op.bits - headroom
    )
    return op.lo + np.minimum(shares, (1 << op.bits) - 1)


@evaluate.register
def _state_write(op: ops.StateWrite, env: Env, get: Lookup) -> np.ndarray:
    del env
    return get(op.x)


@evaluate.register
def _argmax(op: ops.ArgMax, env: Env, get: Lookup) -> np.ndarray:
    del env
    return np.argmax(get(op.x), axis=-1)[..., None].astype(np.int64)
