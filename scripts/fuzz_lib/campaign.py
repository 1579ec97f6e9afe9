"""A run over many seeds: batches side by side, then every failure shrunk to a small program."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from mcugen.ir import Program
from mcugen.ir.text import save, to_text
from mcugen.target.cores import Core, core_named
from scripts.fuzz_lib.backends import Finding, compare
from scripts.fuzz_lib.reach import Reach
from scripts.fuzz_lib.shrink import shrink
from scripts.fuzz_lib.tightness import Tightness
from tests.programs import random_program


@dataclass(frozen=True)
class Failure:
    """A finding, and the small program that shows it."""

    seed: int
    stage: str
    core: str
    what: str
    replay: str
    program: str
    """The shrunk program's text form."""
    saved: str
    """Where it was saved, constants beside it."""


@dataclass
class Outcome:
    """What a run found and reached."""

    findings: list[Finding] = field(default_factory=list)
    reach: Reach = field(default_factory=Reach)
    tightness: Tightness = field(default_factory=Tightness)

    def add(self, other: "Outcome") -> None:
        self.findings += other.findings
        self.reach.add(other.reach)
        self.tightness.add(other.tightness)


def run_batch(seeds: Sequence[int], cores: Sequence[Core]) -> Outcome:
    """The programs of `seeds` through all back ends."""
    programs = [random_program(seed) for seed in seeds]
    findings, emitted = compare(programs, cores)
    outcome = Outcome(findings)
    outcome.reach.count(programs, emitted)
    outcome.tightness.measure(programs)
    return outcome


def run_seeds(
    seeds: range, batch: int, cores: Sequence[Core], advance: Callable[[int], None]
) -> Outcome:
    """All of `seeds`, `batch` of them a compile, on all processors."""
    whole = Outcome()
    parts = [seeds[first : first + batch] for first in range(0, len(seeds), batch)]
    workers = min(len(parts), os.cpu_count() or 1)
    # Fresh processes: a fork would copy the threads of the progress bar.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = {pool.submit(run_batch, part, cores): part for part in parts}
        for job in as_completed(jobs):
            whole.add(job.result())
            advance(len(jobs[job]))
    return whole


def explain(finding: Finding, folder: Path, seconds: float) -> Failure:
    """Shrink the program of `finding` and save it in `folder`."""
    seed = int(finding.name.removeprefix("p"))
    small = shrunk(random_program(seed), finding, seconds)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.name}.mir"
    save(small, path)
    replay = f"scripts/fuzz --replay {seed}"
    text = to_text(small)
    return Failure(seed, finding.stage, finding.core, finding.what, replay, text, str(path))


def shrunk(program: Program, finding: Finding, seconds: float) -> Program:
    """The smallest program found that fails where `finding` does."""
    cores = [core_named(finding.core)] if finding.core else []

    def fails(candidate: Program) -> bool:
        found, _ = compare([candidate], cores, [finding.stage])
        return any(item.stage == finding.stage for item in found)

    return shrink(program, fails, seconds)
