"""From accumulators to levels: multiplier and shift, thresholds, table; argmax of scores."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mcugen.ir import fixed_point
from mcugen.ir.ops.base import Env, Op, Ref, operand, per_channel, refuse
from mcugen.ir.types import INT32_MAX, INT32_MIN, Int, Planes, TensorType, accumulator, spanning


@dataclass(frozen=True)
class Requantize(Op):
    """clamp((x·multiplier + bias) >> shift, lo, hi); the shift floors, the bias holds the rounding.

    `multiplier` is i32 and `bias` i64, [1] or [C]; the sum is formed in 64 bits.
    """

    mnemonic: ClassVar[str] = "requantize"
    x: Ref = operand()
    multiplier: Ref = operand()
    bias: Ref = operand()
    shift: int = field(kw_only=True)
    lo: int = field(kw_only=True)
    hi: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        multiplier = per_channel(self, env, self.multiplier, x).astype(object)
        bias = per_channel(self, env, self.bias, x).astype(object)
        if not 0 <= self.shift <= 62:
            raise refuse(self, f"shift {self.shift} is outside 0..62")
        ends = [multiplier * end + bias for end in (x.integer.lo, x.integer.hi)]
        worst = max(abs(int(value)) for end in ends for value in end)
        if worst >= 2**63:
            raise refuse(self, f"x·multiplier + bias reaches {worst}, beyond 64 bits")
        low = min(int(value) >> self.shift for end in ends for value in end)
        high = max(int(value) >> self.shift for end in ends for value in end)
        if self.lo > self.hi or self.lo < INT32_MIN or self.hi > INT32_MAX:
            raise refuse(self, f"clamp [{self.lo}..{self.hi}] is empty or beyond 32 bits")
        clamp = spanning(self.lo, self.hi)
        lo, hi = (min(max(end, self.lo), self.hi) for end in (low, high))
        return TensorType(x.shape, Int(clamp.bits, clamp.signed, lo, hi))


@dataclass(frozen=True)
class Rescale(Op):
    """clamp((x + bias)·2^left·multiplier·2^(exponent − 31) + zero, lo, hi), rounded as TFLite does.

    That is twice: by `fixed_point.multiply`. `bias`, `multiplier` and `exponent` are i32, [1] or
    [C]. The result rises with x.
    """

    mnemonic: ClassVar[str] = "rescale"
    x: Ref = operand()
    bias: Ref = operand()
    multiplier: Ref = operand()
    exponent: Ref = operand()
    zero: int = field(kw_only=True)
    lo: int = field(kw_only=True)
    hi: int = field(kw_only=True)
    left: int = field(default=0, kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        refs = self.bias, self.multiplier, self.exponent
        bias, multiplier, exponent = (per_channel(self, env, ref, x) for ref in refs)
        if multiplier.min() < 0 or multiplier.max() > INT32_MAX:
            raise refuse(self, f"a multiplier is outside 0..{INT32_MAX}")
        if exponent.min() < -31 or exponent.max() > 30 or not 0 <= self.left <= 30:
            raise refuse(self, "a shift is outside −31..30")
        if self.lo > self.hi or max(abs(self.lo), abs(self.hi), abs(self.zero)) > INT32_MAX:
            raise refuse(self, f"clamp [{self.lo}..{self.hi}] is empty or beyond 32 bits")
        shifts = self.left + np.maximum(exponent, 0)
        biased = [end + bias.astype(object) for end in (x.integer.lo, x.integer.hi)]
        reach = max(int(np.abs(end << shifts.astype(object)).max()) for end in biased)
        if reach > INT32_MAX:
            raise refuse(
                self,
                "the shifted accumulator could overflow 32 bits",
                got=f"±{reach}",
                help="a scale of the result above the product of the scales in front of it",
            )
        low, high = (self.scaled(np.array(end), env) for end in (x.integer.lo, x.integer.hi))
        if min(low.min(), low.min() + self.zero) < INT32_MIN or high.max() + self.zero > INT32_MAX:
            raise refuse(self, "the result overflows 32 bits before its clamp")
        clamp = spanning(self.lo, self.hi)
        ends = [min(max(int(end) + self.zero, self.lo), self.hi) for end in (low.min(), high.max())]
        return TensorType(x.shape, Int(clamp.bits, clamp.signed, *ends))

    def apply(self, x: np.ndarray, env: Env) -> np.ndarray:
        """The results for accumulators x [..., C]."""
        return np.clip(self.scaled(x, env) + self.zero, self.lo, self.hi)

    def scaled(self, x: np.ndarray, env: Env) -> np.ndarray:
        """`apply` before zero point and clamp."""
        bias, multiplier, exponent = map(env.data, (self.bias, self.multiplier, self.exponent))
        return fixed_point.multiply(x + bias, multiplier, exponent, self.left)


@dataclass(frozen=True)
class Threshold(Op):
    """lo + r, where r = #{t in table[c] : direction[c]·x ≥ t}.

    A monotone step function per channel: batch norm, activation and quantizer in one. `table` is
    i32 [1|C, L−1], each row non-decreasing; `direction` is [1|C] of ±1. With a `basis` of K
    integers, L is 2^K and the result is the r-th smallest of the values ±basis[0] ± … in planes.
    """

    mnemonic: ClassVar[str] = "threshold"
    x: Ref = operand()
    table: Ref = operand()
    direction: Ref = operand()
    lo: int = field(default=0, kw_only=True)
    basis: tuple[int, ...] = field(default=(), kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        table = per_channel(self, env, self.table, x)
        direction = per_channel(self, env, self.direction, x)
        if table.ndim != 2 or (np.diff(table, axis=1) < 0).any():
            raise refuse(self, f"the rows of {self.table} must not decrease")
        if not np.isin(direction, (-1, 1)).all():
            raise refuse(self, f"{self.direction} must be −1 or +1")
        if x.integer.lo <= INT32_MIN:
            raise refuse(self, f"cannot negate {x} in 32 bits")
        if self.basis:
            planes = Planes(self.basis)
            if self.lo or table.shape[1] != 2**planes.count - 1:
                raise refuse(
                    self,
                    f"{table.shape[1]} thresholds from {self.lo} onto {planes.spelling}",
                    want=f"{2**planes.count - 1} from 0",
                )
            return TensorType(x.shape, planes)
        ends = [
            (np.sign(direction)[:, None] * end >= table).sum(axis=1)
            for end in (x.integer.lo, x.integer.hi)
        ]
        low, high = int(np.min(ends)), int(np.max(ends))
        full = spanning(self.lo, self.lo + table.shape[1])
        return TensorType(x.shape, Int(full.bits, full.signed, self.lo + low, self.lo + high))


@dataclass(frozen=True)
class Lookup(Op):
    """table[c][x − x.lo]: any function of a small integer domain; table is [1|C, levels of x]."""

    mnemonic: ClassVar[str] = "lookup"
    x: Ref = operand()
    table: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        table = per_channel(self, env, self.table, x)
        if table.ndim != 2 or table.shape[1] != x.integer.levels:
            raise refuse(
                self, f"{self.table} has shape {list(table.shape)}, x has {x.integer.levels} levels"
            )
        return TensorType(x.shape, env.type(self.table).element)


@dataclass(frozen=True)
class ArgMax(Op):
    """Index of the largest value along the last axis; the first of equals."""

    mnemonic: ClassVar[str] = "argmax"
    x: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x = env.type(self.x)
        if len(x.shape) != 2 or not isinstance(x.element, Int):
            raise refuse(self, f"needs scores [1,C], got {x}")
        return TensorType((x.shape[0], 1), accumulator(0, x.channels - 1))
