"""The oracle: interpreter = host C under sanitizers = every core in emulation, bit for bit."""

import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.emit import Emitted, emit, write
from mcugen.errors import McugenError
from mcugen.ir import Int, Program, interp
from mcugen.kernels import able
from mcugen.plan.choice import DEFAULT, Wishes
from mcugen.plan.steps import fuse
from mcugen.run.host import run_several_sanitized
from mcugen.target.cores import Core, core_named
from scripts.fuzz_lib.image import Image
from scripts.fuzz_lib.samples import samples

CORES = tuple(
    map(core_named, ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"))
)
#: Random inputs for each program, beside the fixed ones.
SAMPLES = 8

INTERPRETER, EMIT, HOST, EMULATION = "interpreter", "emit", "host", "emulation"


@dataclass(frozen=True)
class Subject:
    """A program under test; its name tells it from the others of a batch."""

    program: Program
    inputs: np.ndarray
    expected: np.ndarray

    @property
    def name(self) -> str:
        return self.program.name


@dataclass(frozen=True)
class Finding:
    """One program that fails at one place."""

    name: str
    stage: str
    core: str
    """What the C was emitted for; empty for the interpreter."""
    what: str


def any_kernels(program: Program, core: Core) -> Wishes:
    """Any kernels that compute the program, not only the fastest; every other program's those.

    What is taken for a value depends on its name and the program's, so that a smaller program with
    the same names, or the same seed later, takes the same.
    """
    if _digest(program.name) % 2:
        return DEFAULT
    kernels = {}
    for step in fuse(program).steps:
        known = able(step, core)
        value = step.output.name
        kernels[value] = known[_digest(f"{program.name} {value}") % len(known)].name
    return Wishes(kernels=kernels)


def _digest(text: str) -> int:
    return zlib.crc32(text.encode())


def subject(program: Program, count: int = SAMPLES) -> Subject:
    inputs = samples(program, count)
    return Subject(program, inputs, interp.run(program, inputs))


def compare(
    programs: Iterable[Program],
    cores: Sequence[Core] = CORES,
    stages: Sequence[str] = (HOST, EMULATION),
) -> tuple[list[Finding], list[tuple[str, Emitted]]]:
    """Run `programs` in the interpreter, and their C for each of `cores` in `stages`.

    Returns the findings, and what was emitted for each core.
    """
    subjects = [subject(program) for program in programs]
    findings = [item for one in subjects for item in _intervals(one)]
    emitted: list[tuple[str, Emitted]] = []
    hosted: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="mcugen-fuzz-") as name:
        for core in cores:
            root = Path(name) / core.name
            usable, refused = _emit(subjects, core, root)
            findings += refused
            emitted += [(core.name, item) for _, item in usable]
            # Most of the C is the same for several cores: the host runs each text once.
            fresh = [pair for pair in usable if pair[1].files["model.c"] not in hosted]
            hosted |= {item.files["model.c"] for _, item in fresh}
            if HOST in stages and fresh:
                findings += _host(fresh, core, root)
            if EMULATION in stages and usable:
                findings += _emulate(usable, core, root)
    return findings, emitted


def _intervals(one: Subject) -> Iterator[Finding]:
    """Values of the interpreter that leave the interval of their type."""
    for name, values in interp.trace(one.program, one.inputs).items():
        element = one.program.values[name].type.element
        lo, hi = (element.lo, element.hi) if isinstance(element, Int) else (-1, 1)
        if values.min() < lo or values.max() > hi:
            got = f"{name} has values in [{values.min()}..{values.max()}], not [{lo}..{hi}]"
            yield Finding(one.name, INTERPRETER, "", got)


Usable = list[tuple[Subject, Emitted]]


def _emit(subjects: Sequence[Subject], core: Core, root: Path) -> tuple[Usable, list[Finding]]:
    usable, findings = [], []
    for one in subjects:
        try:
            item = emit(one.program, core, one.name, wishes=any_kernels(one.program, core))
            write(root / one.name, item)
            usable.append((one, item))
        except McugenError as error:
            findings.append(Finding(one.name, EMIT, core.name, str(error)))
    return usable, findings


def _host(pairs: Usable, core: Core, root: Path) -> list[Finding]:
    """All in one program; one by one where it fails."""
    folders = [root / one.name for one, _ in pairs]
    try:
        outputs = run_several_sanitized(folders, [one.inputs for one, _ in pairs])
    except McugenError as error:
        if len(pairs) == 1:
            return [Finding(pairs[0][0].name, HOST, core.name, str(error))]
        return [item for pair in pairs for item in _host([pair], core, root)]
    checked = zip(pairs, outputs, strict=True)
    return [item for (one, _), got in checked for item in _differences(one, got, HOST, core)]


def _emulate(pairs: Usable, core: Core, root: Path) -> list[Finding]:
    """All in one image; one by one where that cannot be built."""
    try:
        image = Image(root, [item.manifest for _, item in pairs], core)
    except McugenError as error:
        if len(pairs) == 1:
            return [Finding(pairs[0][0].name, EMULATION, core.name, str(error))]
        return [item for pair in pairs for item in _emulate([pair], core, root)]
    findings: list[Finding] = []
    for one, item in pairs:
        try:
            got = image.run(item.manifest, one.inputs)
            findings += _differences(one, got, EMULATION, core)
        except McugenError as error:
            findings.append(Finding(one.name, EMULATION, core.name, str(error)))
    return findings


def _differences(one: Subject, got: np.ndarray, stage: str, core: Core) -> list[Finding]:
    wrong = np.argwhere(got != one.expected)
    if not len(wrong):
        return []
    place = tuple(int(index) for index in wrong[0])
    what = f"{len(wrong)} of {got.size} outputs differ, first at {list(place)}"
    values = f"got {got[place]}, the interpreter has {one.expected[place]}"
    return [Finding(one.name, stage, core.name, f"{what}: {values}")]
