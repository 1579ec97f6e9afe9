"""Machine code as the few facts that timing and legality depend on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mcugen.errors import fail
from mcugen.profile.libraries import libraries


@dataclass(frozen=True)
class Instruction:
    """One Thumb instruction."""

    address: int
    size: int
    """Bytes: 2 or 4."""
    name: str
    """Mnemonic without condition, width or flag suffix: `ldr` for `ldrne.w`."""
    text: str
    """As a person reads it."""
    registers: int = 0
    """Length N of the register list of LDM, STM, PUSH and POP."""
    loads_pc: bool = False
    """A register list or destination of a load that holds PC."""


@cache
def _disassembler() -> Any:
    capstone = libraries().capstone
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
    )
    engine.detail = True
    return engine


#: The base register is an operand like any other, ahead of the list.
_LISTS_AFTER_BASE = ("ldm", "ldmdb", "stm", "stmdb")


def _instruction(engine: Any, decoded: Any, arm: Any) -> Instruction:
    name = engine.insn_name(decoded.id)
    registers = [o.reg for o in decoded.operands if o.type == arm.ARM_OP_REG]
    if name in _LISTS_AFTER_BASE:
        del registers[0]
    has_list = name in ("push", "pop", *_LISTS_AFTER_BASE)
    return Instruction(
        address=decoded.address,
        size=decoded.size,
        name=name,
        text=f"{decoded.mnemonic} {decoded.op_str}".strip(),
        registers=len(registers) if has_list else 0,
        loads_pc=name in ("ldr", "pop", "ldm", "ldmdb") and arm.ARM_REG_PC in registers,
    )


def disassemble(code: bytes, address: int) -> Iterator[Instruction]:
    """The Thumb instructions of `code`, which lies at `address`.

    Raises:
        McugenError: bytes that are no instruction.
    """
    engine, arm = _disassembler(), libraries().capstone_arm
    end = address
    for decoded in engine.disasm(code, address):
        end = decoded.address + decoded.size
        yield _instruction(engine, decoded, arm)
    if end != address + len(code):
        got = code[end - address :][:4].hex(" ")
        raise fail("profile", "bytes that are no Thumb instruction", at=f"{end:#010x}", got=got)
