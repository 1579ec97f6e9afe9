"""What an instruction costs on each core, and which instructions a core has.

Zero wait states, caches always hit. All cores share one shape, with the numbers in `TIMINGS`:

* data processing, a branch not taken, IT, and an instruction whose IT condition fails or holds: 1
  cycle, unless `special` names it. A load or multiply inside an IT block costs what it costs when
  executed, whether its condition holds or not: blocks, not instructions, are counted, and the model
  errs on the slow side.
* single loads: `load`, or `load_after_access` directly behind another single load or store, since
  address and data phases overlap (DDI0439D 3.3.2). The manual loses that overlap when the address
  depends on the load just before, or after a store with register offset; this model keeps it.
* single stores: `store` (the store buffer hides the rest); LDM, STM, PUSH, POP, LDRD, STRD: 1 + N.
* a taken branch, and any other write to PC, adds `refill`, the P of the manuals.
* SDIV and UDIV: 7, the middle of the manuals' 2 to 12; early termination is not modelled.
* unaligned accesses cost no more than aligned ones here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mcugen.profile.disassembly import Instruction
from mcugen.target.cores import Core


def _names(*patterns: str) -> frozenset[str]:
    """Names from patterns such as `s|u:add16`, alternatives ahead of the colon."""
    names = []
    for pattern in patterns:
        prefixes, _, stems = pattern.partition(":")
        names += [prefix + stem for prefix in prefixes.split("|") for stem in stems.split("|")]
    return frozenset(names)


SINGLE_LOADS = _names("ldr:|b|h|sb|sh|t|bt|ht|sbt|sht", "ldrex|lda|ldaex:|b|h")
SINGLE_STORES = _names("str:|b|h|t|bt|ht", "strex|stl|stlex:|b|h")
SINGLE_ACCESSES = SINGLE_LOADS | SINGLE_STORES


@dataclass(frozen=True)
class Timing:
    """Cycles of one core."""

    source: str
    """Document and section the numbers are from."""
    estimate: bool
    """No cycle table was published for the core: numbers stand in for it."""
    refill: int
    load: int
    load_after_access: int
    store: int
    special: Mapping[str, int]
    """Instructions that cost other than 1, by name."""
    pop_pc_extra: int
    """POP with PC, on top of 1 + N + refill."""

    def cycles(self, instruction: Instruction, *, after_access: bool) -> int:
        """Cycles of `instruction`, without the refill after a taken branch.

        `after_access`: the instruction before it was a single load or store.
        """
        name = instruction.name
        if name in SINGLE_LOADS:
            return self.load_after_access if after_access else self.load
        if name in SINGLE_STORES:
            return self.store
        if instruction.registers:
            pops_pc = name == "pop" and instruction.loads_pc
            return 1 + instruction.registers + (self.pop_pc_extra if pops_pc else 0)
        return self.special.get(name, 1)


_DOUBLE = {"ldrd": 3, "strd": 3}
_DIVIDE = {"sdiv": 7, "udiv": 7}
_TABLE_BRANCH = {"tbb": 2, "tbh": 2}
#: Data dependent in the manual: SMULL and UMULL 3 to 5, SMLAL and UMLAL 4 to 7; the middle, rounded
#: up.
_M3_MULTIPLY = {"mla": 2, "mls": 2, "smull": 4, "umull": 4, "smlal": 6, "umlal": 6}


def _system(cycles: int) -> dict[str, int]:
    return dict.fromkeys(("mrs", "msr", "dmb", "dsb", "isb"), cycles)


def _armv7m(
    source: str, *, estimate: bool, refill: int, multiply: Mapping[str, int] | None = None
) -> Timing:
    return Timing(
        source=source,
        estimate=estimate,
        refill=refill,
        load=2,
        load_after_access=1,
        store=1,
        special={**_DOUBLE, **_DIVIDE, **_TABLE_BRANCH, **(multiply or {})},
        pop_pc_extra=0,
    )


#: MULS is one cycle: the fast multiplier, which the parts at hand have (the small one takes 32).
#: BL is one cycle more than other taken branches.
TIMINGS: Mapping[str, Timing] = {
    "cortex-m0": Timing(
        source="DDI0432C 3.3, table 3-1, fast multiplier",
        estimate=False,
        refill=2,
        load=2,
        load_after_access=2,
        store=2,
        special={"bl": 2, **_system(4)},
        pop_pc_extra=1,
    ),
    "cortex-m0plus": Timing(
        source="DDI0484C 3.3, table 3-1, fast multiplier",
        estimate=False,
        refill=1,
        load=2,
        load_after_access=2,
        store=2,
        special={"bl": 2, **_system(3)},
        pop_pc_extra=1,
    ),
    "cortex-m3": _armv7m(
        "DDI0337I 3.3, refill 2 (the middle of 1 to 3)",
        estimate=False,
        refill=2,
        multiply=_M3_MULTIPLY,
    ),
    "cortex-m4": _armv7m("DDI0439D 3.3, refill 2 (the middle of 1 to 3)", estimate=False, refill=2),
    "cortex-m7": _armv7m(
        "estimate: DDI0489 has no cycle table; Cortex-M4 costs, refill 1 (branch prediction), "
        "one instruction at a time although the core can issue two",
        estimate=True,
        refill=1,
    ),
    "cortex-m33": _armv7m(
        "estimate: 100230 has no cycle table; Cortex-M4 costs", estimate=True, refill=2
    ),
    "cortex-m55": _armv7m(
        "estimate: 101051 has no cycle table; Cortex-M4 costs", estimate=True, refill=2
    ),
}


#: The DSP extension (DDI0403E, A4.4 and the "Armv7E-M" notes of A7.7).
DSP_NAMES = _names(
    "s|u|q|uq|sh|uh:add16|add8|asx|sax|sub16|sub8",
    "q:add|dadd|sub|dsub",
    "pkh:bt|tb",
    "sxt|uxt:ab|ab16|ah|b16",
    "s|u:sat16",
    "smla|smlal|smul:bb|bt|tb|tt",
    "smlaw|smulw:b|t",
    "smla|smls|smlal|smlsl|smua|smus:d|dx",
    "smm:la|lar|ls|lsr|ul|ulr",
    ":umaal|sel|usad8|usada8",
)
#: Added by Armv8-M (DDI0553, C2.4): acquire and release, security.
ARMV8M_NAMES = _names(
    "lda|stl:|b|h|ex|exb|exh",
    "tt:|t|a|at",
    "bx|blx:ns",
    ":sg",
)
#: 32-bit encodings of Armv6-M, and the 16-bit ones it lacks (DDI0419, A5.1 and A6.7).
_ARMV6M_WIDE = frozenset({"bl", "dmb", "dsb", "isb", "mrs", "msr", "udf"})
_ARMV6M_LACKS = frozenset({"it", "cbz", "cbnz"})


def is_legal(instruction: Instruction, core: Core) -> bool:
    """Whether `core` has `instruction`. Floating point counts as absent on every core: it is never
    used.

    Decided from the disassembly, since Unicorn executes more than the cores do (SMLAD on its
    Cortex-M3).
    """
    name = instruction.name
    if name.startswith("v"):
        return False
    if core.architecture == "armv6-m":
        names = instruction.size == 2 and name not in _ARMV6M_LACKS
        return names or name in _ARMV6M_WIDE
    if not core.dsp and name in DSP_NAMES:
        return False
    return core.architecture == "armv8-m.main" or name not in ARMV8M_NAMES
