"""Cycles of snippets, counted by hand from the manuals' tables, and what each core lacks."""

import pytest

from mcugen.errors import McugenError
from mcugen.profile.disassembly import Instruction
from mcugen.profile.timing import DSP_NAMES, TIMINGS, is_legal
from mcugen.profile.trace import Tracer
from mcugen.target.cores import CORES, core_named
from tests.profile.bare_programs import Assemble, function

#: BX LR at the end of every snippet: 1 + refill.
RETURN = {
    "cortex-m0": 3,
    "cortex-m0plus": 2,
    "cortex-m3": 3,
    "cortex-m4": 3,
    "cortex-m7": 2,
    "cortex-m33": 3,
}
EVERY = tuple(RETURN)
ARMV7 = EVERY[2:]

# name, lines, cycles of the lines on each core that has them
SNIPPETS = [
    ("add", ["adds r1, r1, r2"], dict.fromkeys(EVERY, 1)),
    ("load", ["ldr r1, [r0]"], dict.fromkeys(EVERY, 2)),
    (
        "three loads in a row",
        ["ldr r1, [r0]", "ldr r2, [r0, #4]", "ldrb r3, [r0]"],
        {**dict.fromkeys(ARMV7, 4), "cortex-m0": 6, "cortex-m0plus": 6},
    ),
    (
        "loads apart",
        ["ldr r1, [r0]", "adds r1, #1", "ldr r2, [r0]"],
        dict.fromkeys(EVERY, 5),
    ),
    (
        "load, store, load",
        ["ldr r1, [r0]", "str r1, [r0]", "ldrh r2, [r0]"],
        {**dict.fromkeys(ARMV7, 4), "cortex-m0": 6, "cortex-m0plus": 6},
    ),
    ("load multiple", ["ldmia r0!, {r1, r2, r3}"], dict.fromkeys(EVERY, 4)),
    ("store multiple", ["mov r3, r0", "stmia r3!, {r1, r2}"], dict.fromkeys(EVERY, 4)),
    ("push and pop", ["push {r4, r5, r6}", "pop {r4, r5, r6}"], dict.fromkeys(EVERY, 8)),
    ("multiply", ["muls r1, r0, r1"], dict.fromkeys(EVERY, 1)),
    ("load double", ["ldrd r1, r2, [r0]"], dict.fromkeys(ARMV7, 3)),
    (
        "multiply-accumulate",
        ["mla r1, r1, r2, r3"],
        {**dict.fromkeys(ARMV7, 1), "cortex-m3": 2},
    ),
    (
        "multiply long",
        ["smull r1, r2, r3, r0"],
        {**dict.fromkeys(ARMV7, 1), "cortex-m3": 4},
    ),
    (
        "multiply-accumulate long",
        ["smlal r1, r2, r3, r0"],
        {**dict.fromkeys(ARMV7, 1), "cortex-m3": 6},
    ),
    ("divide", ["movs r1, #3", "udiv r1, r0, r1"], dict.fromkeys(ARMV7, 8)),
    (
        "dual multiply-accumulate",
        ["smlad r1, r1, r2, r3"],
        dict.fromkeys(("cortex-m4", "cortex-m7", "cortex-m33"), 1),
    ),
    (
        "if-then, both ways alike",
        ["cmp r0, #0", "ite eq", "addeq r1, #1", "addne r1, #2"],
        dict.fromkeys(ARMV7, 4),
    ),
    (
        "loop of four rounds: 3 in each, 3 refills",
        ["movs r1, #4", "1:", "adds r2, #1", "subs r1, #1", "bne 1b"],
        {name: 1 + 4 * 3 + 3 * TIMINGS[name].refill for name in EVERY},
    ),
    (
        "call and return of an inner function",
        ["mov r3, lr", "bl inner", "mov lr, r3"],
        {
            "cortex-m0": 1 + 4 + 3 + 1,
            "cortex-m0plus": 1 + 3 + 2 + 1,
            **{name: 2 + 2 * (1 + TIMINGS[name].refill) for name in ARMV7},
        },
    ),
]
CASES = [
    pytest.param(core, lines, cycles, id=f"{name}-{core}")
    for name, lines, table in SNIPPETS
    for core, cycles in table.items()
]


@pytest.mark.parametrize(("core", "lines", "cycles"), CASES)
def test_snippet_takes_the_cycles_of_the_manual(
    assemble: Assemble, core: str, lines: list[str], cycles: int
) -> None:
    snippet = function("snippet", *lines, "bx lr") + function("inner", "bx lr")
    data = ".data\n.balign 8\nwords: .word 1, 2, 3, 4\n"
    emulator = assemble(snippet + data, core_named(core))
    words = emulator.program.address_of("words")
    counts = Tracer(emulator).call("snippet", words).total
    assert counts.cycles == cycles + RETURN[core]


@pytest.mark.parametrize(
    ("core", "cycles"),
    # PUSH {r4, lr}: 3. POP {r4, pc}: M0 4 + N, M0+ 3 + N, else 1 + N + refill; N = 2.
    [("cortex-m0", 9), ("cortex-m0plus", 8), ("cortex-m3", 8), ("cortex-m4", 8), ("cortex-m7", 7)],
)
def test_return_through_the_stack(assemble: Assemble, core: str, cycles: int) -> None:
    emulator = assemble(function("framed", "push {r4, lr}", "pop {r4, pc}"), core_named(core))
    assert Tracer(emulator).call("framed").total.cycles == cycles


def test_counts_of_a_loop(assemble: Assemble) -> None:
    lines = ["movs r1, #0", "1:", "adds r1, #3", "subs r0, #1", "bne 1b", "mov r0, r1", "bx lr"]
    emulator = assemble(function("triple", *lines), core_named("cortex-m4"))
    run = Tracer(emulator).call("triple", 100)
    assert run.total.instructions == 1 + 3 * 100 + 2
    assert run.total.taken_branches == 99 + 1
    assert emulator.call("triple", 100) == 300


def test_a_table_branch(assemble: Assemble) -> None:
    """TBB: 2 + refill."""
    lines = ["tbb [pc, r0]", "1:", ".byte (2f - 1b) / 2, (2f - 1b) / 2", "2:", "bx lr"]
    emulator = assemble(function("switch", *lines), core_named("cortex-m3"))
    assert Tracer(emulator).call("switch", 1).total.cycles == 2 + 2 + RETURN["cortex-m3"]


def test_a_block_seam_costs_nothing(assemble: Assemble) -> None:
    """Long straight code is split, at pages too; loads pipeline across the split."""
    emulator = assemble(
        function("long", *["ldr r1, [r0]"] * 3000, "bx lr") + ".data\nword: .word 0\n",
        core_named("cortex-m4"),
    )
    counts = Tracer(emulator).call("long", emulator.program.address_of("word")).total
    assert (counts.instructions, counts.cycles, counts.taken_branches) == (3001, 3004, 1)


@pytest.mark.parametrize(
    ("core", "line", "accept"),
    [
        ("cortex-m3", "smlad r1, r1, r2, r3", "cortex-m4"),
        ("cortex-m3", "uxtb16 r1, r2", "cortex-m4"),
        ("cortex-m3", "usada8 r1, r1, r2, r3", "cortex-m4"),
        ("cortex-m0", "udiv r1, r1, r2", "cortex-m3"),
        ("cortex-m0plus", "smull r1, r2, r3, r0", "cortex-m3"),
        ("cortex-m0", "cbz r0, .+4", "cortex-m3"),
        ("cortex-m0", "it eq\n moveq r0, r1", "cortex-m3"),
        ("cortex-m0plus", "mov.w r1, r2", "cortex-m3"),
        ("cortex-m4", "lda r1, [r0]", "cortex-m33"),
        ("cortex-m7", ".cpu cortex-m7\n .fpu fpv5-d16\n vadd.f32 s0, s0, s1", "cortex-m7"),
    ],
)
def test_an_instruction_the_core_lacks_is_refused(
    assemble: Assemble, core: str, line: str, accept: str
) -> None:
    source = function("foreign", line, "bx lr")
    with pytest.raises(McugenError, match=f"{core} has no instruction") as caught:
        assemble(source, core_named(core), accept=accept)
    assert "foreign at 0x08000000" in str(caught.value)


def test_all_missing_instructions_are_named_at_once(assemble: Assemble) -> None:
    source = function("first", "smlad r1, r1, r2, r3", "bx lr") + function(
        "second", "qadd r1, r2, r3"
    )
    with pytest.raises(McugenError) as caught:
        assemble(source, core_named("cortex-m3"), accept="cortex-m4")
    assert len(caught.value.faults) == 2


def test_literals_are_no_instructions(assemble: Assemble) -> None:
    """0xFB20 is the first half of SMLAD; as data it is nobody's business."""
    lines = ["ldr r0, 1f", "bx lr", ".balign 4", "1:", ".word 0x0000fb20"]
    assert assemble(function("literal", *lines), core_named("cortex-m3")).call("literal") == 0xFB20


def test_barriers_and_calls_are_legal_on_armv6m() -> None:
    wide = [Instruction(0, 4, name, name) for name in ("bl", "dmb", "dsb", "isb", "mrs", "msr")]
    assert all(is_legal(item, core_named("cortex-m0")) for item in wide)


def test_dsp_names() -> None:
    """Armv7E-M adds 81 instructions to Armv7-M that are not floating point."""
    for name in (
        "smlad",
        "smlaldx",
        "smmlsr",
        "pkhbt",
        "uqsub8",
        "sxtab16",
        "umaal",
        "smulwt",
        "sel",
    ):
        assert name in DSP_NAMES
    assert not DSP_NAMES & {"mla", "smlal", "umlal", "sxtb", "uxth", "ssat", "usat"}


def test_every_core_has_a_timing_with_a_source() -> None:
    assert TIMINGS.keys() == CORES.keys()
    for timing in TIMINGS.values():
        assert timing.estimate == timing.source.startswith("estimate")
