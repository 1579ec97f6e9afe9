"""The flash estimate: hand-counted stalls, and its limits."""

import pytest

from mcugen.errors import McugenError
from mcugen.profile.flash import FlashModel, LineCache, flash_cycles, flash_model
from mcugen.profile.trace import Tracer
from mcugen.target.boards import Cache, Flash, load_board
from mcugen.target.cores import core_named
from tests.profile.bare_programs import Assemble, function

M4 = core_named("cortex-m4")
F446 = FlashModel(5, 16, 64, 8, prefetch=True)
PLAIN = FlashModel(5, 16, 64, 8, prefetch=False)
UNCACHED = FlashModel(5, 16, 0, 0, prefetch=False)
#: 16 bytes of four instructions, four cycles.
WIDE_LINE = ["mov.w r1, r2"] * 4
#: 16 bytes of eight instructions, eight cycles.
NARROW_LINE = ["nop"] * 8
RETURN = 3


def test_without_wait_states_the_estimate_is_the_model(assemble: Assemble) -> None:
    lines = ["ldr r2, 2f", "1:", "ldr r1, [r2]", "subs r0, #1", "bne 1b", "bx lr"]
    lines += [".balign 4", "2:", ".word 2b"]
    emulator = assemble(function("loop", *lines), M4)
    zero = FlashModel(0, 16, 64, 8, prefetch=True)
    assert (
        flash_cycles(emulator, zero, "loop", 50) == Tracer(emulator).call("loop", 50).total.cycles
    )


@pytest.mark.parametrize(
    ("flash", "lines", "stalls"),
    [
        (PLAIN, WIDE_LINE * 3, 4 * 5),  # three lines and that of the return
        (F446, WIDE_LINE * 3, 5 + 3 * 2),  # the next line is there after 6 cycles, 4 are run
        (F446, NARROW_LINE * 3, 5),  # 8 are run: hidden
        (FlashModel(9, 16, 64, 8, prefetch=True), NARROW_LINE * 3, 9 + 3 * 2),
        (FlashModel(5, 32, 64, 8, prefetch=False), WIDE_LINE * 3, 2 * 5),
    ],
)
def test_straight_code(
    assemble: Assemble, flash: FlashModel, lines: list[str], stalls: int
) -> None:
    emulator = assemble(function("straight", *lines, "bx lr"), M4)
    zero_wait = len(lines) + RETURN
    assert flash_cycles(emulator, flash, "straight") == zero_wait + stalls


LOOP = ["1:", *NARROW_LINE, *NARROW_LINE, "subs r0, #1", "bne 1b", "bx lr"]


@pytest.mark.parametrize(
    ("instruction_lines", "misses"),
    [(64, 3), (3, 3), (2, 3 * 10), (0, 3 * 10)],  # two lines for a cycle of three: LRU never hits
)
def test_a_loop_fits_the_cache_or_does_not(
    assemble: Assemble, instruction_lines: int, misses: int
) -> None:
    emulator = assemble(function("loop", *LOOP), M4)
    zero_wait = Tracer(emulator).call("loop", 10).total.cycles
    flash = FlashModel(5, 16, instruction_lines, 8, prefetch=False)
    assert flash_cycles(emulator, flash, "loop", 10) == zero_wait + 5 * misses


def test_prefetched_lines_do_not_enter_the_cache(assemble: Assemble) -> None:
    """Only the first line misses, once; the others come from the prefetcher in each round."""
    emulator = assemble(function("loop", *LOOP), M4)
    zero_wait = Tracer(emulator).call("loop", 10).total.cycles
    assert flash_cycles(emulator, F446, "loop", 10) == zero_wait + 5


def _table(rounds: str) -> str:
    table = ".balign 16\ntable:\n" + ".word 1\n" * 64
    return function("read", rounds, "bx lr", ".balign 4", "3:", ".word table") + table


@pytest.mark.parametrize(
    ("data_lines", "stalls"),
    # literal pool and 2 lines, twice over; without lines each of 5 loads waits
    [(8, 3 * 5), (0, 5 * 5)],
)
def test_constants_are_read_through_the_data_lines(
    assemble: Assemble, data_lines: int, stalls: int
) -> None:
    twice = "ldr r1, [r2]\n ldr r1, [r2, #16]\n" * 2
    emulator = assemble(_table(f"ldr r2, 3f\n {twice}"), M4)
    zero_wait = Tracer(emulator).call("read").total.cycles
    instruction_stall = 5  # one line of 16 bytes holds the five loads, 2 bytes each, and the return
    flash = FlashModel(5, 16, 64, data_lines, prefetch=False)
    assert flash_cycles(emulator, flash, "read") == zero_wait + instruction_stall + stalls


def test_ram_does_not_wait(assemble: Assemble) -> None:
    source = function("read", "ldr r1, [r0]", "bx lr") + ".data\nword: .word 1\n"
    emulator = assemble(source, M4)
    word = emulator.program.address_of("word")
    assert flash_cycles(emulator, UNCACHED, "read", word) == 2 + RETURN + 5


def test_the_least_recently_used_line_leaves() -> None:
    cache = LineCache(2)
    cache.insert(1)
    cache.insert(2)
    assert cache.holds(1)
    cache.insert(3)
    assert (cache.holds(1), cache.holds(2), cache.holds(3)) == (True, False, True)


def test_the_model_of_a_board() -> None:
    assert flash_model(load_board("stm32f446").memory.flash) == F446


def test_the_model_of_flash_without_caches() -> None:
    flash = Flash(base=0, size=1024, wait_states=1, prefetch=False, source="none")
    assert flash_model(flash) == FlashModel(1, 4, 0, 0, prefetch=False)


def test_lines_of_two_sizes_are_not_modelled() -> None:
    flash = Flash(
        base=0,
        size=1024,
        wait_states=1,
        prefetch=False,
        instruction_cache=Cache(lines=1, line_bytes=16),
        data_cache=Cache(lines=1, line_bytes=32),
        source="none",
    )
    with pytest.raises(McugenError, match="lines of different sizes"):
        flash_model(flash)
