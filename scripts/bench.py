"""Speed and memory of the models in tests/models on each core: `scripts/bench [--save] [--json]`.

Single layers of bit planes and of 8-bit integers follow them, on the cores that their kernels are
written for.

Cycles come from the deterministic cycle model at zero wait states, flash and RAM from the linked
image, so that two runs of one commit print the same. `--save` makes the result the baseline that
later runs are compared with (docs/bench.json).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mcugen import pipeline
from mcugen.build.elf import read_elf
from mcugen.emit import Emitted, emit, write
from mcugen.plan.choice import Wishes
from mcugen.profile.image import build_image
from mcugen.profile.profile import profile
from mcugen.report.console import progress, show_json
from mcugen.target.cores import CORES, Core
from scripts import bench_bytes, bench_layers

MODELS = sorted(Path("tests/models").glob("*.pt2"))
CORE_NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
LAYER_CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4")
LAYERS = {**bench_layers.LAYERS, **bench_bytes.LAYERS}
#: Single layers may take all flash.
FASTEST = Wishes(flash_spare=None)
BASELINE = Path("docs/bench.json")


@dataclass(frozen=True)
class Row:
    """One model on one core; bytes and cycles."""

    model: str
    core: str
    macs: int
    cycles: int
    flash: int
    ram: int
    stack: int

    @property
    def cycles_per_mac(self) -> float:
        return self.cycles / self.macs


def measure(name: str, result: Emitted, core: Core, folder: Path) -> Row:
    """Build and profile what was emitted for one core."""
    write(folder, result)
    report = profile(folder, core)
    image = read_elf(build_image(folder, result.manifest, core))
    return Row(
        model=name,
        core=core.name,
        macs=report.macs,
        cycles=report.cycles,
        flash=image.section_bytes(".text", ".rodata"),
        ram=result.manifest.ram.context,
        stack=report.stack,
    )


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as scratch:
        for model in MODELS:
            for name in CORE_NAMES:
                core, folder = CORES[name], Path(scratch) / f"{model.stem}-{name}"
                result = pipeline.emitted(pipeline.load(model), core, None, None, False)
                yield measure(model.stem, result, core, folder)
        for index, (layer, make) in enumerate(LAYERS.items()):
            for name in LAYER_CORES:
                core, folder = CORES[name], Path(scratch) / f"{index}-{name}"
                yield measure(layer, emit(make(), core, "layer", wishes=FASTEST), core, folder)


def table(measured: list[Row], before: dict[tuple[str, str], Row]) -> Table:
    """The figures, and the change of the cycles against the baseline."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "model",
        "core",
        "cycles",
        "against baseline",
        "c/MAC",
        "flash B",
        "RAM B",
        "stack B",
    ):
        result.add_column(column, justify="left" if column in ("model", "core") else "right")
    for row in measured:
        old = before.get((row.model, row.core))
        change = f"{100 * (row.cycles / old.cycles - 1):+.1f} %" if old else "new"
        result.add_row(
            row.model,
            row.core,
            f"{row.cycles:,}",
            change,
            f"{row.cycles_per_mac:.3f}",
            f"{row.flash:,}",
            f"{row.ram:,}",
            f"{row.stack:,}",
        )
    return result


def baseline() -> dict[tuple[str, str], Row]:
    if not BASELINE.exists():
        return {}
    stored = [Row(**item) for item in json.loads(BASELINE.read_text())["rows"]]
    return {(row.model, row.core): row for row in stored}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="make the result the baseline")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    steps = len(MODELS) * len(CORE_NAMES) + len(LAYERS) * len(LAYER_CORES)
    with progress("measuring", steps) as advance:
        measured = []
        for row in rows():
            measured.append(row)
            advance(1)
    if arguments.json:
        show_json({"rows": [asdict(row) for row in measured]})
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(
            table(measured, baseline())
        )
    if arguments.save:
        BASELINE.write_text(
            json.dumps({"rows": [asdict(row) for row in measured]}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
