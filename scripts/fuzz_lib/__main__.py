"""The command line of `scripts/fuzz`."""

import argparse
import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from mcugen.errors import McugenError
from mcugen.report.console import progress, say, show, show_json
from mcugen.target.cores import Core, core_named
from scripts.fuzz_lib.backends import CORES
from scripts.fuzz_lib.campaign import Failure, Outcome, explain, run_seeds
from scripts.fuzz_lib.reach import Reach

FOLDER = Path("build/fuzz")
MOST_SHRUNK = 5


def main(words: list[str]) -> int:
    """Run and report; 1 where something differs."""
    options = _parser().parse_args(words)
    first = options.replay if options.replay is not None else options.seed
    count = 1 if options.replay is not None else options.models
    cores = options.cores
    started = time.monotonic()
    with progress("programs", count) as advance:
        outcome = run_seeds(range(first, first + count), options.batch, cores, advance)
    seconds = time.monotonic() - started
    firsts = {item.name: item for item in reversed(outcome.findings)}
    failures = []
    for finding in list(firsts.values())[:MOST_SHRUNK]:
        say(f"seed {finding.name[1:]} fails: {finding.stage} {finding.core}: {finding.what}")
        failures.append(explain(finding, FOLDER, options.shrink_seconds))
    (_json if options.json else _tables)(outcome, failures, range(first, first + count), seconds)
    return 1 if outcome.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Random programs: interpreter = host C under sanitizers = cores in emulation.",
    )
    parser.add_argument(
        "--models", type=_positive, default=200, metavar="N", help="how many programs"
    )
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**9), help="of the first; random by default"
    )
    parser.add_argument("--batch", type=_positive, default=50, help="programs to a compile")
    parser.add_argument(
        "--cores",
        type=_cores,
        default=CORES,
        metavar="A,B",
        help="default: the five that are emulated",
    )
    parser.add_argument("--replay", type=int, metavar="SEED", help="this program only")
    parser.add_argument(
        "--shrink-seconds", type=float, default=120, help="most time to shrink one failure"
    )
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _cores(words: str) -> tuple[Core, ...]:
    try:
        return tuple(core_named(word) for word in words.split(","))
    except McugenError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _cells(reach: Reach) -> list[dict[str, Any]]:
    return [
        {"kernel": kernel, "epilogue": epilogue, "core": core, "layers": count}
        for (kernel, epilogue, core), count in sorted(reach.cells.items())
    ]


def _json(outcome: Outcome, failures: list[Failure], seeds: range, seconds: float) -> None:
    show_json(
        {
            "command": "fuzz",
            "seed": seeds.start,
            "models": len(seeds),
            "seconds": round(seconds, 1),
            "findings": [asdict(item) for item in outcome.findings],
            "failures": [asdict(item) for item in failures],
            "reach": _cells(outcome.reach),
            "ops": dict(outcome.reach.ops),
            "never_reached": outcome.reach.missing,
            "tightness": asdict(outcome.tightness),
        }
    )


def _tables(outcome: Outcome, failures: list[Failure], seeds: range, seconds: float) -> None:
    for failure in failures:
        where = f"{failure.stage} {failure.core}".strip()
        say(f"\nseed {failure.seed}, {where}: {failure.what}")
        say(f"replay: {failure.replay}\nsmallest program found, in {failure.saved}:")
        say(failure.program)
    show(_reach_table(outcome.reach))
    tight = outcome.tightness
    if len(seeds) > 1:
        say(f"never reached: {', '.join(outcome.reach.missing) or 'nothing'}")
    say(
        f"accumulator bounds attained: {tight.attained} of {tight.bounds}, where whole windows"
        f" are inside {tight.whole_attained} of {tight.whole}; broken: {tight.outside}"
    )
    failing = len({item.name for item in outcome.findings})
    say(f"seeds {seeds.start} to {seeds.stop - 1}: {failing} programs fail, {seconds:.0f} s")


def _reach_table(reach: Reach) -> Table:
    cores = sorted({core for _, _, core in reach.cells})
    table = Table("kernel", "epilogue", *cores)
    for kernel, epilogue in sorted({cell[:2] for cell in reach.cells}):
        counts = [str(reach.cells[kernel, epilogue, core]) for core in cores]
        table.add_row(kernel, epilogue, *counts)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
