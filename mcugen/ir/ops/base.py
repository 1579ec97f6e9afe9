"""What every operation is: operands, attributes, and a rule for its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from mcugen.errors import McugenError, fail
from mcugen.ir.types import TensorType

Ref = str


def operand() -> Any:
    return field(metadata={"operand": True})


@dataclass(frozen=True)
class Env:
    """What an op may ask about its operands: types, and data of constants."""

    types: Mapping[Ref, TensorType]
    constants: Mapping[Ref, np.ndarray]

    def type(self, ref: Ref) -> TensorType:
        if ref not in self.types:
            raise fail("verify", f"{ref} is read before it is defined")
        return self.types[ref]

    def data(self, ref: Ref) -> np.ndarray:
        if ref not in self.constants:
            raise fail("verify", f"{ref} must be a constant")
        return self.constants[ref]


@dataclass(frozen=True)
class Op:
    """Base of all operations."""

    mnemonic: ClassVar[str]

    @cached_property
    def operands(self) -> tuple[Ref, ...]:
        """Every name this op reads, in the order of the text form."""
        refs: list[Ref] = []
        for item in fields(self):
            if item.metadata.get("operand"):
                value = getattr(self, item.name)
                refs.extend(value if isinstance(value, tuple) else (value,))
        return tuple(refs)

    def renamed(self, names: Mapping[Ref, Ref]) -> Self:
        """The same op on other operands; names not in `names` stay."""
        changed = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("operand") and isinstance(value, tuple):
                changed[item.name] = tuple(names.get(ref, ref) for ref in value)
            elif item.metadata.get("operand"):
                changed[item.name] = names.get(value, value)
        return replace(self, **changed)

    @property
    def attributes(self) -> dict[str, int | tuple[int, ...]]:
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if not item.metadata.get("operand")
        }

    def infer(self, env: Env) -> TensorType:
        """The result type.

        Raises:
            McugenError: operands or attributes do not fit, or an accumulator could overflow.
        """
        raise NotImplementedError

    def macs(self, env: Env) -> int:
        """Multiply-accumulates per inference; 0 for everything but dense and convolution ops."""
        del env
        return 0


def refuse(op: Op, what: str, **more: str) -> McugenError:
    return fail("verify", f"{op.mnemonic}: {what}", **more)


def positive(op: Op, **attributes: tuple[int, ...] | int) -> None:
    for name, value in attributes.items():
        values = value if isinstance(value, tuple) else (value,)
        if any(item < 1 for item in values):
            raise refuse(op, f"{name} {value} must be at least 1")


def per_channel(op: Op, env: Env, ref: Ref, x: TensorType) -> np.ndarray:
    """Constant with one row for all channels, or one per channel."""
    data = env.data(ref)
    if data.shape[0] not in (1, x.channels):
        raise refuse(op, f"{ref} has {data.shape[0]} rows for {x.channels} channels")
    return data
