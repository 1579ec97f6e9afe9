"""Damaged model files through reader and lowering: an error or a program, soon, in little memory.

    scripts/fuzz-models onnx|tflite --inputs 100000 --seed 1

Mutants are numbered from `--seed` on; `--inputs 1` replays one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mcugen.errors import McugenError
from mcugen.formats import format_of
from mcugen.report.console import progress, say

BATCH = 4000
MOST_SECONDS = 5.0
MOST_MIB = 1024


@dataclass
class Outcome:
    """What came of many mutants."""

    answers: Counter[str] = field(default_factory=Counter)
    """`read`, or the stage that refused."""
    findings: list[str] = field(default_factory=list)
    """Mutants that crashed, hung or took too much memory."""
    slowest: tuple[float, int] = (0.0, -1)
    """Seconds, and which mutant."""
    peak_mib: int = 0

    def add(self, other: "Outcome") -> None:
        self.answers.update(other.answers)
        self.findings += other.findings
        self.slowest = max(self.slowest, other.slowest)
        self.peak_mib = max(self.peak_mib, other.peak_mib)


def mutants(suffix: str) -> Callable[[int], bytes]:
    """What makes the mutants of a format."""
    if suffix == "onnx":
        from tests.frontend.onnx.mutate import mutant
    else:
        from tests.frontend.tflite.mutate import mutant
    return mutant


def run(suffix: str, numbers: range) -> Outcome:
    """Mutants in this process, one after the other."""
    from tests.frontend.hostile.probe import peak_mib

    outcome, mutant = Outcome(), mutants(suffix)
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mutant.{suffix}"
        for number in numbers:
            path.write_bytes(mutant(number))
            begin = time.process_time()
            signal.alarm(60)
            try:
                outcome.answers[answer(path)] += 1
            except Exception as error:
                outcome.findings.append(f"{number}: {type(error).__name__}: {error}"[:200])
            signal.alarm(0)
            took = time.process_time() - begin
            outcome.slowest = max(outcome.slowest, (took, number))
            if took > MOST_SECONDS:
                outcome.findings.append(f"{number}: {took:.1f} s")
    outcome.peak_mib = peak_mib()
    if outcome.peak_mib > MOST_MIB:
        outcome.findings.append(f"{numbers.start}…: {outcome.peak_mib} MiB")
    return outcome


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("a minute is over")


def answer(path: Path) -> str:
    """`read`, or the stage that refused the file; anything but a McugenError escapes."""
    try:
        format_of(path).read(path)
    except McugenError as error:
        words = str(error)
        stage = error.stage
    else:
        return "read"
    if not all(line.isprintable() for line in words.split("\n")):
        raise ValueError(f"a message cannot be shown: {words!a}")
    return f"refused: {stage}"


def _batch(suffix: str, numbers: range) -> Outcome:
    """Mutants in a process of their own, so that what they leave in memory is measured."""
    words = [suffix, "--seed", str(numbers.start), "--inputs", str(len(numbers)), "--here"]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.fuzz_lib.models", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        return Outcome(findings=[f"{numbers.start}…: {done.stderr.strip()[-300:]}"])
    found = json.loads(done.stdout)
    return Outcome(
        Counter(found["answers"]), found["findings"], tuple(found["slowest"]), found["peak_mib"]
    )


def campaign(suffix: str, numbers: range, advance: Callable[[int], None]) -> Outcome:
    """All mutants, batches side by side on all processors."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    whole = Outcome()
    parts = [numbers[first : first + BATCH] for first in range(0, len(numbers), BATCH)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = {pool.submit(_batch, suffix, part): part for part in parts}
        for job in as_completed(jobs):
            whole.add(job.result())
            advance(len(jobs[job]))
    return whole


def main(words: list[str]) -> int:
    """Run and report; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz-models", description=__doc__)
    parser.add_argument("format", choices=("onnx", "tflite"))
    parser.add_argument("--inputs", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--here", action="store_true", help="in one process, answers as JSON")
    options = parser.parse_args(words)
    numbers = range(options.seed, options.seed + options.inputs)
    if options.here:
        outcome = run(options.format, numbers)
        print(json.dumps(vars(outcome)))
        return 1 if outcome.findings else 0
    began = time.monotonic()
    with progress(f"mutants of .{options.format}", len(numbers)) as advance:
        outcome = campaign(options.format, numbers, advance)
    for finding in outcome.findings:
        say(finding)
    counts = ", ".join(f"{count:,} {word}" for word, count in outcome.answers.most_common())
    seconds, number = outcome.slowest
    say(f"{counts}; {len(outcome.findings)} findings")
    say(f"slowest {seconds:.2f} s (mutant {number}), peak {outcome.peak_mib} MiB")
    say(f"{len(numbers):,} mutants, {time.monotonic() - began:.0f} s")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
