"""Random programs over all ops, element types and epilogues, for comparing back ends.

`random_program(seed)` is verified and the same on every machine; a failure is replayed by its seed.
Sizes are small, shapes and intervals odd: single pixels, windows larger than the image, tails of a
word, ends of 8, 16 and 32 bits.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import BINARY, Int, Node, Planes, Program, Source, TensorType, Value, ops, verify
from mcugen.ir.program import Const, Meaning, constant
from mcugen.ir.types import INT32_MAX, INT32_MIN, accumulator, spanning
from tests import random_ops

MOST_ELEMENTS = 1500
MOST_MACS = 60_000
_CHANNELS = (1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 65)
_THRESHOLDS = (1, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 22, 31, 63, 255)
_MODULES = (
    "conv1",
    "features.0",
    "fc",
    "init",
    "conv1_weights",
    "a*/b",
    "größe",
    'q"\\',
    "run",
    "",
)


def random_program(seed: int) -> Program:
    """A verified program of one to ten nodes."""
    return Writer(seed).program()


def random_inputs(program: Program, n: int, seed: int) -> np.ndarray:
    """At least `n` samples for `program`, as its interpreter takes them.

    Among them: all at the interval's lower end, all at its upper end, and random mixes of both.
    """
    rng = np.random.default_rng([seed, 1])
    kind = program.inputs[0].type
    lo, hi = (kind.element.lo, kind.element.hi) if isinstance(kind.element, Int) else (-1, 1)
    shape = kind.shape[1:]
    ends = [np.full((1, *shape), lo), np.full((1, *shape), hi), rng.choice([lo, hi], (2, *shape))]
    if isinstance(kind.element, Int):
        ends.append(rng.integers(lo, hi, (max(1, n - 4), *shape), endpoint=True))
    else:
        ends.append(rng.choice([-1, 1], (max(1, n - 4), *shape)))
    samples = np.concatenate(ends).astype(np.int64)
    if isinstance(kind.element, Planes):
        # The planes of a code are independent bits.
        flipped = [
            samples if k == 0 else rng.permutation(samples) for k in range(kind.element.count)
        ]
        return np.stack(flipped).astype(np.int8)
    return samples


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


class Writer:
    """Appends random nodes; an op that the rules of the IR refuse is not appended."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng([seed, 0])
        self.consts: dict[str, Const] = {}
        self.nodes: list[Node] = []
        kind = self._input_type()
        self.input = Value("%x", kind, self._meaning())
        self.types: dict[str, TensorType] = {"%x": kind}

    def program(self) -> Program:
        last = "%x"
        for fits, layer in random_ops.USUAL:
            if fits(self.input.type):
                last = self._try(partial(layer, self), last) or last
        wanted = int(self.rng.integers(1, 8))
        for _ in range(40):
            if len(self.nodes) >= wanted:
                break
            last = self._step(last)
        while not self.nodes:
            planes = isinstance(self.input.type.element, Planes)
            last = self._try(self._linear if planes else self._convert, last) or last
        kind = self.types[last]
        if len(kind.shape) == 2 and isinstance(kind.element, Int) and self.chance(0.15):
            last = self.add(ops.ArgMax(last))
        whole = Program(
            f"p{self.seed}", "", (self.input,), tuple(self.consts.values()), tuple(self.nodes), last
        )
        return verify(whole.with_nodes(self._needed(last)))

    def _needed(self, output: str) -> tuple[Node, ...]:
        wanted, kept = {output}, []
        for node in reversed(self.nodes):
            if node.result.name in wanted:
                wanted.update(node.op.operands)
                kept.append(node)
        return tuple(reversed(kept))

    # Choices

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def pick(self, *items: object) -> object:
        return items[int(self.rng.integers(len(items)))]

    def one_of(self, items: tuple[int, ...]) -> int:
        return int(items[int(self.rng.integers(len(items)))])

    def interval(self) -> Int:
        """An integer type of 1 to 16 bits, often with its full range."""
        bits = self.one_of((1, 2, 3, 4, 4, 5, 7, 8, 8, 8, 8, 9, 12, 16))
        whole = Int(bits, True, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if self.chance(0.5):
            whole = Int(bits, False, 0, 2**bits - 1)
        if self.chance(0.6):
            return whole
        lo, hi = sorted(self.between(whole.lo, whole.hi) for _ in range(2))
        return Int(whole.bits, whole.signed, lo, hi)

    def _input_type(self) -> TensorType:
        if self.chance(0.15):
            image = (1, self.between(4, 9), self.between(4, 9), self.one_of((4, 8, 12)))
            return TensorType(image, random_ops.byte(self))
        if self.chance(0.05):
            image = (1, self.between(4, 9), self.between(4, 9), self.between(1, 3))
            return TensorType(image, BINARY)
        channels = self.one_of(_CHANNELS)
        shape: tuple[int, ...] = (1, channels)
        if self.chance(0.8):
            edge = max(1, min(9, int((MOST_ELEMENTS / channels) ** 0.5)))
            shape = (1, self.between(1, edge), self.between(1, edge), channels)
        if self.chance(0.25):
            return TensorType(shape, self._planes())
        return TensorType(shape, self.interval())

    def _meaning(self) -> Meaning:
        return Meaning((float(2.0 ** -self.between(0, 12)) * 1.5,), self.between(-3, 3))

    # Building

    def const(self, data: np.ndarray, element: Int | Planes) -> str:
        const = constant(f"c{len(self.consts)}", data, element)
        self.consts[const.name] = const
        self.types[const.name] = const.type
        return const.name

    def integers(self, data: np.ndarray) -> str:
        return self.const(data, spanning(int(data.min()), int(data.max())))

    def add(self, op: ops.Op) -> str:
        env = ops.Env(self.types, {name: const.data for name, const in self.consts.items()})
        kind = op.infer(env)
        if kind.size > MOST_ELEMENTS or op.macs(env) > MOST_MACS:
            raise McugenError("tests", ())
        name = f"%{len(self.nodes)}"
        source = None
        if self.chance(0.5):
            module = str(self.pick(*_MODULES))
            source = Source(op.mnemonic, module, "net.py:7" if self.chance(0.5) else "")
        self.nodes.append(Node(Value(name, kind, self._meaning(), source), op))
        self.types[name] = kind
        return name

    def _try(self, make: Callable[[str], str], x: str) -> str | None:
        nodes, types, consts = len(self.nodes), dict(self.types), dict(self.consts)
        try:
            return make(x)
        except McugenError:
            del self.nodes[nodes:]
            self.types, self.consts = types, consts
            return None

    def _step(self, last: str) -> str:
        """One more node, mostly behind `last`, with an epilogue where it leaves accumulators."""
        x = last
        if self.chance(0.2):
            values = [name for name in self.types if name.startswith("%")]
            x = str(self.pick(*values))
        kind = self.types[x]
        makers: list[Callable[[str], str]] = [self._linear]
        if len(kind.shape) == 4:
            makers += [self._max_pool] * 2 + [self._conv2d] * 6
            if kind.element == BINARY:
                makers += [partial(random_ops.bit_layer, self)] * 3
        if isinstance(kind.element, Int):
            makers += [self._reshape, self._transpose, self._slice, self._concat, self._convert]
            makers += [self._sum_pool, self._sum_pool, self._pad, self._binary, self._binary]
            makers += [partial(make, self) for make in random_ops.makers(kind)]
        made = self._try(makers[int(self.rng.integers(len(makers)))], x)
        if made is None:
            return last
        wide = self.types[made].element
        if isinstance(wide, Int) and wide.bits > 16 and self.chance(0.85):
            return self._try(self._convert, made) or made
        return made

    # Ops

    def windowed(self, kind: TensorType, size: tuple[int, int], most_pad: int) -> dict[str, tuple]:
        del kind
        simple = self.chance(0.3)
        pad = self.between(0, most_pad)
        return {
            "stride": (self.between(1, 3), self.between(1, 3)),
            "dilation": (1, 1) if simple else (self.between(1, 2), self.between(1, 2)),
            "padding": (pad,) * 4 if simple else tuple(self.between(0, pad) for _ in range(4)),
        }

    def _conv2d(self, x: str) -> str:
        kind = self.types[x]
        channels = kind.channels
        divisors = [g for g in range(1, channels + 1) if channels % g == 0]
        groups = self.one_of((1, 1, 1, channels, channels, self.one_of(tuple(divisors))))
        out = groups * self.one_of((1, 1, 2, 3)) if groups > 1 else self.one_of(_CHANNELS)
        usual = self.chance(0.4)  # kernels are made for what networks mostly have
        size = (self.between(1, 4), self.between(1, 4))
        if usual:
            size = (self.one_of((1, 3, 3)),) * 2
        w, zero = self.weights(kind, (out, *size, channels // groups))
        shape = self.windowed(kind, size, 4)
        if usual:
            strides = (self.one_of((1, 1, 2)),) * 2
            shape = {"stride": strides, "padding": (self.between(0, size[0] // 2),) * 4}
        return self.add(ops.Conv2d(x, w, groups=groups, x_zero=zero, **shape))

    def weights(self, kind: TensorType, shape: tuple[int, ...]) -> tuple[str, int]:
        """Weights for a dense op, and the zero point of its input."""
        if isinstance(kind.element, Planes):
            return self._plane_weights(shape), self.one_of((0, 0, 0, 1, -7))
        element = self.interval()
        data = self.rng.integers(element.lo, element.hi, shape, endpoint=True)
        zero = self.between(kind.element.lo, kind.element.hi) if self.chance(0.4) else 0
        return self.const(data, element), zero

    def _planes(self) -> Planes:
        """One plane ±1, mostly, or up to four of any size and order."""
        if self.chance(0.6):
            return Planes((1,))
        count = self.one_of((1, 2, 2, 3, 4))
        most = self.one_of((3, 8, 200))
        return Planes(tuple(sorted(self.rng.integers(0, most, count, endpoint=True).tolist())))

    def _plane_weights(self, shape: tuple[int, ...]) -> str:
        """Rows with bases of their own, some of them zero."""
        bound = self._planes()
        data = self.rng.choice([-1, 1], (bound.count, *shape))
        if bound.basis != (1,):
            rows = [self.rng.integers(0, entry, shape[0], endpoint=True) for entry in bound.basis]
            data *= np.stack(rows).reshape(bound.count, -1, *[1] * (len(shape) - 1))
        return self.const(data, bound)

    def _linear(self, x: str) -> str:
        kind = self.types[x]
        w, zero = self.weights(kind, (self.one_of(_CHANNELS), kind.size))
        return self.add(ops.Linear(x, w, x_zero=zero))

    def _max_pool(self, x: str) -> str:
        window = (self.between(1, 3), self.between(1, 3))
        return self.add(ops.MaxPool(x, window=window, **self.windowed(self.types[x], window, 1)))

    def _sum_pool(self, x: str) -> str:
        window = (self.between(1, 3), self.between(1, 3))
        zero = self.between(-3, 3)
        shape = self.windowed(self.types[x], window, 2)
        return self.add(ops.SumPool(x, window=window, x_zero=zero, **shape))

    def _pad(self, x: str) -> str:
        padding = tuple(self.between(0, 2) for _ in range(4))
        return self.add(ops.Pad(x, padding=padding, value=self.between(-3, 3)))

    def _reshape(self, x: str) -> str:
        kind = self.types[x]
        shape = (1, kind.size)
        if self.chance(0.4):
            rows = self.one_of(tuple(n for n in range(1, 10) if kind.size % n == 0))
            shape = (1, rows, 1, kind.size // rows)
        return self.add(ops.Reshape(x, shape=shape))

    def _slice(self, x: str) -> str:
        shape = self.types[x].shape
        axis = self.between(1, len(shape) - 1)
        begin = self.between(0, shape[axis] - 1)
        return self.add(
            ops.Slice(x, axis=axis, begin=begin, end=self.between(begin + 1, shape[axis]))
        )

    def _transpose(self, x: str) -> str:
        axes = self.rng.permutation(np.arange(1, len(self.types[x].shape)))
        return self.add(ops.Transpose(x, perm=(0, *(int(axis) for axis in axes))))

    def _concat(self, x: str) -> str:
        kind = self.types[x]
        axis = self.between(1, len(kind.shape) - 1)
        fits = [
            name
            for name, other in self.types.items()
            if name.startswith("%")
            and isinstance(other.element, Int)
            and len(other.shape) == len(kind.shape)
            and _without(other.shape, axis) == _without(kind.shape, axis)
        ]
        others = [str(self.pick(*fits)) for _ in range(self.between(0, 2))]
        return self.add(ops.Concat((x, *others), axis=axis))

    def _binary(self, x: str) -> str:
        kind = self.types[x]
        same = [
            name
            for name, other in self.types.items()
            if name.startswith("%") and isinstance(other.element, Int) and other.shape == kind.shape
        ]
        y = str(self.pick(*same))
        zeros = {"x_zero": self.between(-9, 9), "y_zero": self.between(-9, 9)}
        if self.chance(0.3):
            return self.add(ops.Mul(x, y, **zeros))
        factors = {"x_factor": self.between(-300, 300), "y_factor": self.between(-3, 3)}
        return self.add(ops.Add(x, y, **zeros, **factors))

    # Epilogues

    def _convert(self, x: str) -> str:
        kind = self.types[x].integer
        makers = [self._requantize, self._threshold, self._threshold, self._rescale]
        if kind.levels <= 700:
            makers.append(self._lookup)
        return makers[int(self.rng.integers(len(makers)))](x)

    def _rows(self, x: str) -> int:
        return self.types[x].channels if self.chance(0.5) else 1

    def _requantize(self, x: str) -> str:
        wide = self.chance(0.05)
        return self.requantize(x, accumulator(INT32_MIN, INT32_MAX) if wide else self.interval())

    def requantize(self, x: str, target: Int) -> str:
        """Onto levels of `target`, mostly about all of them."""
        kind = self.types[x].integer
        bits = self.one_of((1, 4, 8, 15, 31))
        multiplier = self.rng.integers(1, 2**bits, self._rows(x))
        if self.chance(0.2):
            multiplier = -multiplier
        reach = max(abs(kind.lo), abs(kind.hi), 1) * int(np.abs(multiplier).max())
        shift = max(0, min(62, reach.bit_length() - target.bits + self.between(-2, 1)))
        half = (1 << shift) >> 1
        middle = self.between(target.lo, target.hi) << shift
        bias = np.array([half + (middle if self.chance(0.7) else 0) for _ in range(self._rows(x))])
        return self.add(
            ops.Requantize(
                x,
                self.integers(multiplier),
                self.const(bias, Int(64, True, -(2**63), 2**63 - 1)),
                shift=shift,
                lo=target.lo,
                hi=target.hi,
            )
        )

    def _rescale(self, x: str) -> str:
        kind, target = self.types[x].integer, self.interval()
        reach = max(abs(kind.lo), abs(kind.hi), 1).bit_length()
        rows = self._rows(x)
        bias = self.rng.integers(-(2 ** max(reach - 1, 0)), 2 ** max(reach - 1, 1), rows)
        room = 29 - reach
        if room < 0:
            return self._requantize(x)
        left = self.between(0, min(room, 20)) if self.chance(0.2) else 0
        # A result of about the target's bits, or less.
        middle = target.bits - reach - left
        exponent = np.clip(
            middle + self.rng.integers(-2, 3, self._rows(x)), -31, max(0, room - left)
        )
        multiplier = self.rng.integers(2**30, 2**31, self._rows(x))
        if self.chance(0.1):
            multiplier[0] = self.one_of((0, 2**30, 2**31 - 1))
        return self.add(
            ops.Rescale(
                x,
                self.integers(bias),
                self.integers(multiplier),
                self.integers(exponent),
                zero=self.between(target.lo, target.hi),
                lo=target.lo,
                hi=target.hi,
                left=left,
            )
        )

    def _threshold(self, x: str) -> str:
        kind = self.types[x].integer
        rows, count = self._rows(x), self.one_of(_THRESHOLDS)
        planes = self._planes() if self.chance(0.3) else None
        if planes:
            count = 2**planes.count - 1
        reach = kind.levels // 8 + 2
        low, high = max(INT32_MIN, kind.lo - reach), min(INT32_MAX, kind.hi + reach)
        table = np.sort(self.rng.integers(low, high, (rows, count), endpoint=True), axis=1)
        directions = self.rng.choice([-1, 1], self.types[x].channels)
        if self.chance(0.6):
            directions = np.array([self.pick(1, 1, -1)])
        elif rows == 1:
            table = np.sort(np.abs(table), axis=1)
        return self.add(
            ops.Threshold(
                x,
                self.const(table, accumulator(INT32_MIN, INT32_MAX)),
                self.const(directions.astype(np.int64), Int(2, True, -1, 1)),
                lo=0 if planes else self.one_of((0, 0, -8, 3)),
                basis=planes.basis if planes else (),
            )
        )

    def _lookup(self, x: str) -> str:
        kind, target = self.types[x].integer, self.interval()
        shape = (self._rows(x), kind.levels)
        table = self.rng.integers(target.lo, target.hi, shape, endpoint=True)
        return self.add(ops.Lookup(x, self.const(table, target)))
