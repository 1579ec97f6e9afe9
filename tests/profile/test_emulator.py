"""Calls, faults, limits and stack of functions on emulated cores."""

import sys

import pytest

from mcugen.errors import McugenError
from mcugen.profile.emulator import STACK_BYTES
from mcugen.profile.libraries import libraries
from mcugen.target.cores import CORES, Core, core_named
from tests.profile.bare_programs import Assemble, function

M0 = core_named("cortex-m0")
M4 = core_named("cortex-m4")
EACH_CORE = pytest.mark.parametrize("core", CORES.values(), ids=CORES)


@EACH_CORE
def test_a_call_passes_four_words_and_returns_one(assemble: Assemble, core: Core) -> None:
    lines = ["lsls r3, r3, #4", "subs r0, r0, r1", "subs r0, r0, r2", "subs r0, r0, r3", "bx lr"]
    emulator = assemble(function("mix", *lines), core)
    assert emulator.call("mix", 3, 1, 1, 2) == 2**32 - 31
    assert emulator.call("mix", -1, 0, 0, 0) == 2**32 - 1


def test_memory_by_address_and_symbol(assemble: Assemble) -> None:
    source = function("first", "ldr r0, [r0]", "bx lr") + ".data\n.balign 4\nword: .word 7\n"
    emulator = assemble(source, M4)
    address = emulator.program.address_of("word")
    assert emulator.read("word", 4) == (7).to_bytes(4, "little")
    emulator.write("word", b"\x01\x02\x03\x04")
    assert emulator.read(address, 4) == b"\x01\x02\x03\x04"
    assert emulator.call("first", address) == 0x04030201


def test_an_endless_loop_ends_at_the_limit(assemble: Assemble) -> None:
    emulator = assemble(function("spin", "b ."), M4)
    with pytest.raises(McugenError, match="no return within 1000000 instructions") as caught:
        emulator.call("spin")
    assert "spin at 0x08000000" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ldr r0, [r0]", "read of 4 bytes at 0x00000010"),
        ("strb r0, [r0]", "write of 1 bytes at 0x00000010"),
        ("bx r0", "fetch"),
    ],
)
def test_a_memory_fault_names_function_and_address(
    assemble: Assemble, line: str, words: str
) -> None:
    emulator = assemble(function("stray", "nop", line, "bx lr"), M4)
    with pytest.raises(McugenError, match="memory fault") as caught:
        emulator.call("stray", 0x11 if line.startswith("bx") else 0x10)
    assert words in str(caught.value)
    if not line.startswith("bx"):
        assert "stray at 0x08000002" in str(caught.value)


def test_constants_cannot_be_written(assemble: Assemble) -> None:
    emulator = assemble(function("poke", "str r1, [r0]", "bx lr"), M4)
    with pytest.raises(McugenError, match="memory fault, write of 4 bytes at 0x08000000"):
        emulator.call("poke", 0x0800_0000, 1)


def test_an_emulator_goes_on_after_a_fault(assemble: Assemble) -> None:
    source = function("load", "ldr r0, [r0]", "bx lr") + ".data\n.balign 4\nword: .word 7\n"
    emulator = assemble(source, M4)
    with pytest.raises(McugenError):
        emulator.call("load", 0)
    assert emulator.call("load", emulator.program.address_of("word")) == 7


def test_an_unaligned_load_is_an_exception_on_armv6m(assemble: Assemble) -> None:
    source = function("load", "ldr r0, [r0]", "bx lr") + ".data\n.balign 4\nword: .word 7, 8\n"
    emulator = assemble(source, M0)
    with pytest.raises(McugenError, match="call of 'load' on cortex-m0 did not end"):
        emulator.call("load", emulator.program.address_of("word") + 1)
    emulator = assemble(source, core_named("cortex-m3"))
    assert emulator.call("load", emulator.program.address_of("word") + 1) == 8 << 24


def test_an_undefined_instruction_is_an_exception(assemble: Assemble) -> None:
    with pytest.raises(McugenError, match="call of 'trap' on cortex-m4 did not end"):
        assemble(function("trap", "udf #0"), M4).call("trap")


@pytest.mark.parametrize("line", ["movs r4, #0", "push {r0}"])
def test_a_function_that_breaks_the_call_standard_is_found(assemble: Assemble, line: str) -> None:
    with pytest.raises(McugenError, match="without restoring r4 to r11 and sp"):
        assemble(function("careless", line, "bx lr"), M4).call("careless")


def test_stack_peak_of_a_known_frame(assemble: Assemble) -> None:
    source = (
        function("outer", "push {r4, lr}", "sub sp, #24", "str r0, [sp]", "bl inner", "add sp, #24")
        + "    pop {r4, pc}\n"
        + function("inner", "push {r4, r5, r6, lr}", "pop {r4, r5, r6, pc}")
        + function("leaf", "bx lr")
    )
    emulator = assemble(source, M4)
    emulator.call("outer")
    assert emulator.stack_peak_bytes() == 8 + 24 + 16
    emulator.call("leaf")
    assert emulator.stack_peak_bytes() == 0


def test_a_stack_overflow_is_a_fault(assemble: Assemble) -> None:
    emulator = assemble(function("recurse", "push {r4, lr}", "bl recurse", "pop {r4, pc}"), M4)
    with pytest.raises(McugenError, match="memory fault, write"):
        emulator.call("recurse")
    assert emulator.stack_peak_bytes() == STACK_BYTES


def test_a_missing_symbol_is_named(assemble: Assemble) -> None:
    with pytest.raises(McugenError, match="no symbol 'absent'"):
        assemble(function("present", "bx lr"), M4).call("absent")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(McugenError, match=r"pip install 'mcugen\[profile\]'"):
        libraries()
