"""The integer program: types, ops, text form, verifier, interpreter. Integers only."""

from mcugen.ir.program import Const, Meaning, Node, Program, Source, State, Value, constant
from mcugen.ir.types import BINARY, Int, Planes, TensorType
from mcugen.ir.verify import verify

__all__ = [
    "BINARY",
    "Const",
    "Int",
    "Meaning",
    "Node",
    "Planes",
    "Program",
    "Source",
    "State",
    "TensorType",
    "Value",
    "constant",
    "verify",
]
