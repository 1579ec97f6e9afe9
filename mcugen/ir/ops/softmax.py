"""Softmax in integers."""

from dataclasses import dataclass, field
from typing import ClassVar

from mcugen.ir.ops.base import Env, Op, Ref, operand, refuse
from mcugen.ir.types import INT32_MAX, Int, TensorType

#: Fraction bits of a sum of exponentials.
SUM_BITS = 19


@dataclass(frozen=True)
class Softmax(Op):
    """Each row (last axis) as shares of 2^bits, from `lo` on: TFLite's fixed-point arithmetic.

    `exps` is i32 [levels of x]: exps[d] is the exponential of d levels below the row's largest, in
    Q0.31. With s the sum of the exponentials in Q12.19, headroom its leading zeros h, and 1/s from
    `mcugen.ir.fixed_point.reciprocal` of s·2^h − 2^31, an element is
    min(lo + exps[d]·(1/s) / 2^(43 − bits − h), lo + 2^bits − 1), rounded at both steps.
    """

    mnemonic: ClassVar[str] = "softmax"
    x: Ref = operand()
    exps: Ref = operand()
    bits: int = field(kw_only=True)
    lo: int = field(kw_only=True)

    def infer(self, env: Env) -> TensorType:
        x, exps = env.type(self.x), env.data(self.exps)
        if exps.shape != (x.integer.levels,):
            raise refuse(
                self, f"{self.exps} has shape {list(exps.shape)}, x has {x.integer.levels} levels"
            )
        if exps[0] != INT32_MAX or exps.min() < 0 or exps.max() > INT32_MAX:
            raise refuse(self, f"{self.exps} must begin at 2^31 − 1 and lie in 0..2^31 − 1")
        if self.bits not in (8, 16):
            raise refuse(self, f"an output of {self.bits} bits", want="8 or 16")
        # The last shift is at most 31: sums lie below 2^(20 + bits), and below 2^31.
        most = 1 << (min(20 + self.bits, 31) - SUM_BITS)
        if x.channels >= most:
            raise refuse(
                self, f"a row of {x.channels} could overflow its sum", want=f"at most {most - 1}"
            )
        if self.lo not in (0, -(1 << (self.bits - 1))):
            raise refuse(self, f"lo {self.lo}", want=f"0 or {-(1 << (self.bits - 1))}")
        hi = self.lo + (1 << self.bits) - 1
        return TensorType(x.shape, Int(self.bits, self.lo < 0, self.lo, hi))
