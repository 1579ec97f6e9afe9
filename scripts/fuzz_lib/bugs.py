"""Bugs that other code generators and kernel libraries had, planted here one by one.

Each is the least change that makes the same mistake; random programs must find every one of them.
CMSIS-NN's are named by the issue or pull request that tells of them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from mcugen.report.console import progress, show, show_json

ROOT = Path(__file__).parents[2]
COPIED = ("mcugen", "templates", "firmware", "boards", "scripts", "tests")
BATCH = 50
MOST_MODELS = 1000


@dataclass(frozen=True)
class Bug:
    """A mistake: `old` in `file` becomes `new`."""

    what: str
    file: str
    old: str
    new: str


BUGS = (
    Bug(
        "a product of 33 bits and more cut to 32 (CMSIS-NN 220)",
        "templates/epilogues/requantize.c.j2",
        "const int64_t product = {{ plan.name }}_product(acc, multiplier);",
        "const int64_t product = (int32_t)((uint32_t)acc * (uint32_t)multiplier);",
    ),
    Bug(
        "sums that leave the accumulator for many inputs (CMSIS_5 1380)",
        "templates/kernels/linear.c.j2",
        "acc += (int32_t)weight[i] * {{ k.element }};",
        "acc = (int16_t)(acc + (int32_t)weight[i] * {{ k.element }});",
    ),
    Bug(
        "softmax of the first row for all rows (CMSIS_5 1441)",
        "templates/kernels/softmax.c.j2",
        "        in += {{ k.length }};\n",
        "",
    ),
    Bug(
        "blocks of a matrix at the wrong place (CMSIS_5 1472)",
        "templates/kernels/concat.c.j2",
        "[block * {{ part.block }} + i]",
        "[block + i]",
    ),
    Bug(
        "one element behind the end is read (CMSIS-NN 760)",
        "templates/kernels/linear.c.j2",
        "i < {{ k.inputs }};",
        "i <= {{ k.inputs }};",
    ),
    Bug(
        "the last lane is dropped (CMSIS-NN 760)",
        "templates/kernels/linear_blocked.c.j2",
        "while (channel < {{ k.outputs }}u) {",
        "while (channel + 1u < {{ k.outputs }}u) {",
    ),
    Bug(
        "the wrong index of a depthwise weight (CMSIS-NN 664)",
        "templates/kernels/depthwise_conv2d.c.j2",
        "filter + ky * {{ columns.size }};",
        "filter + ky * {{ rows.size }};",
    ),
    Bug(
        "a zero point that counts outside of the image (CMSIS-NN 913)",
        "mcugen/kernels/initial.py",
        "if not optional and bounds.min()",
        "if bounds.min()",
    ),
    Bug(
        "an average over the padding",
        "templates/kernels/average_pool.c.j2",
        "const int32_t taps = {{ k.geometry.taps }};",
        "const int32_t taps = {{ k.geometry.rows.size * k.geometry.columns.size }}"
        " + 0 * {{ k.geometry.taps }};",
    ),
    Bug(
        "a maximum that begins at zero",
        "templates/kernels/max_pool.c.j2",
        "int32_t largest = source[first * {{ k.channels }}];",
        "int32_t largest = 0 * source[first * {{ k.channels }}];",
    ),
    Bug(
        "halves of negative numbers rounded up where TFLite rounds them away from zero",
        "templates/epilogues/rescale.c.j2",
        "(high + (high >> 31) + (1 << (right - 1))) >> right",
        "(high + (1 << (right - 1))) >> right",
    ),
    Bug(
        "halves exchanged on one instruction set only",
        "templates/levels_thumb2.j2",
        '"ldr", "smlad", 4',
        '"ldr", "smladx", 4',
    ),
)


@dataclass(frozen=True)
class Found:
    """How a bug was found: after so many programs, in which stage; None if it was not."""

    what: str
    models: int | None
    stage: str | None
    core: str | None


def plant(bug: Bug, root: Path) -> None:
    """A copy of the checkout in `root` with the bug in it.

    Raises:
        ValueError: the place is not there, or not the only one.
    """
    for name in COPIED:
        ignore = shutil.ignore_patterns("__pycache__", "*.pt2", "golden")
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    path = root / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.file} has {text.count(bug.old)} places for: {bug.what}")
    path.write_text(text.replace(bug.old, bug.new), encoding="utf-8")


def search(bug: Bug, seed: int, most: int = MOST_MODELS) -> Found:
    """Random programs, from `seed` on, until one shows the bug."""
    with tempfile.TemporaryDirectory(prefix="mcugen-bug-") as name:
        plant(bug, Path(name))
        for first in range(seed, seed + most, BATCH):
            options = ["--models", BATCH, "--seed", first, "--batch", BATCH // 2]
            options += ["--shrink-seconds", 0, "--json"]
            done = subprocess.run(
                [sys.executable, "-m", "scripts.fuzz_lib", *map(str, options)],
                cwd=name,
                env={**os.environ, "PYTHONPATH": name},
                capture_output=True,
                text=True,
                check=False,
            )
            findings = json.loads(done.stdout)["findings"]
            if findings:
                one = min(findings, key=lambda item: int(item["name"][1:]))
                models = int(one["name"][1:]) - seed + 1
                return Found(bug.what, models, one["stage"], one["core"] or None)
    return Found(bug.what, None, None, None)


def main(words: list[str]) -> int:
    """Looks for every bug; 1 where one is not found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz-bugs", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    options = parser.parse_args(words)
    found = []
    with progress("bugs", len(BUGS)) as advance:
        for bug in BUGS:
            found.append(search(bug, options.seed))
            advance(1)
    if options.json:
        show_json({"command": "fuzz-bugs", "bugs": [asdict(item) for item in found]})
    else:
        table = Table("bug", "programs until it is found", "by", "core")
        for item in found:
            table.add_row(item.what, str(item.models), item.stage, item.core)
        show(table)
    return 0 if all(item.models is not None for item in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
