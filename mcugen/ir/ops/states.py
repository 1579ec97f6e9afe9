"""What a state becomes."""

from dataclasses import dataclass
from typing import ClassVar

from mcugen.ir.ops.base import Env, Op, Ref, operand, refuse
from mcugen.ir.types import TensorType


@dataclass(frozen=True)
class StateWrite(Op):
    """`x`, which the program's state `state` holds from the next run on.

    Whoever reads the state in this run sees what it held before.
    """

    mnemonic: ClassVar[str] = "state_write"
    x: Ref = operand()
    state: Ref = operand()

    def infer(self, env: Env) -> TensorType:
        x, state = env.type(self.x), env.type(self.state)
        new, old = x.integer, state.integer
        same = x.shape == state.shape and (new.bits, new.signed) == (old.bits, old.signed)
        if not same or new.lo < old.lo or new.hi > old.hi:
            raise refuse(self, f"{x} does not fit the state {state}")
        return state
