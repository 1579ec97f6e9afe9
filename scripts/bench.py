"""Speed and memory of models and layers on each core: `scripts/bench [TEXT …] [--save] [--json]`.

First the models of MLPerf Tiny beside what their peers take, then those in tests/models, then
single layers of bit planes and of 8-bit integers on the cores that their kernels are written for.
With TEXTs, only what has one of them in its name.

Cycles come from the deterministic cycle model at zero wait states, flash (code and constants) from
the linked image, RAM is the arena with input and output, so that two runs of one commit print the
same. `--save` makes the result the baseline that later runs are compared with (docs/bench.json).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mcugen import pipeline
from mcugen.build.elf import read_elf
from mcugen.emit import Emitted, emit, write
from mcugen.ir import Program
from mcugen.plan.choice import DEFAULT, Optimize, Wishes
from mcugen.profile.image import build_image
from mcugen.profile.profile import profile
from mcugen.report.console import progress, show_json
from mcugen.target.cores import CORES, Core
from scripts import bench_bytes, bench_layers, bench_models
from scripts.bench_models import PEERS

MODELS = sorted(Path("tests/models").glob("*.pt2"))
CORE_NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
LAYER_CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4")
LAYERS = {**bench_layers.LAYERS, **bench_bytes.LAYERS}
#: Single layers may take all flash.
FASTEST = Wishes(flash_spare=None)
#: What the models of MLPerf Tiny are made for beside the default, and on which cores.
VARIANTS = {
    ", any flash": (FASTEST, ("cortex-m0plus", "cortex-m3", "cortex-m4")),
    ", size": (Wishes(Optimize.SIZE), ("cortex-m4",)),
}
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


@dataclass(frozen=True)
class Job:
    """One row to be measured."""

    model: str
    core: Core
    make: Callable[[Core], Emitted]

    def measure(self, folder: Path) -> Row:
        """Build and profile what is emitted for the core, in a folder of its own."""
        result = self.make(self.core)
        write(folder, result)
        report = profile(folder, self.core)
        image = read_elf(build_image(folder, result.manifest, self.core))
        return Row(
            model=self.model,
            core=self.core.name,
            macs=report.macs,
            cycles=report.cycles,
            flash=image.section_bytes(".text", ".rodata"),
            ram=result.manifest.ram.context,
            stack=report.stack,
        )


def _generated(path: Path, wishes: Wishes, core: Core) -> Emitted:
    return pipeline.emitted(pipeline.load(path), core, "model", None, False, wishes)


def _layer(make: Callable[[], Program], core: Core) -> Emitted:
    return emit(make(), core, "layer", wishes=FASTEST)


def jobs(folder: Path) -> Iterator[Job]:
    """All rows, in the order of the tables; models that are made for them go to `folder`."""
    peers = bench_models.files(folder)
    models = {**peers, **{path.stem: path for path in MODELS}}
    for name, path in models.items():
        for core in CORE_NAMES:
            yield Job(name, CORES[core], partial(_generated, path, DEFAULT))
    for name, path in peers.items():
        for suffix, (wishes, cores) in VARIANTS.items():
            for core in cores:
                yield Job(name + suffix, CORES[core], partial(_generated, path, wishes))
    for name, make in LAYERS.items():
        for core in LAYER_CORES:
            yield Job(name, CORES[core], partial(_layer, make))


def rows(texts: list[str]) -> Iterator[Row]:
    """What has one of `texts` in its name, all without any."""
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as scratch:
        wanted = [
            job
            for job in jobs(Path(scratch))
            if not texts or any(text in job.model for text in texts)
        ]
        with progress("measuring", len(wanted)) as advance:
            for index, job in enumerate(wanted):
                yield job.measure(Path(scratch) / str(index))
                advance(1)


def table(measured: list[Row], before: dict[tuple[str, str], Row]) -> Table:
    """The figures, and the change of the cycles against the baseline."""
    result = _columns("cycles", "against baseline", "c/MAC", "flash B", "RAM B", "stack B")
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


def peers_table(measured: list[Row]) -> Table:
    """Cycles of the models of MLPerf Tiny beside those of others."""
    result = _columns("c/MAC", "CMSIS-NN cycles", "of them", *bench_models.PUBLISHED)
    for row in measured:
        peers = PEERS[_peer(row)]
        theirs = peers.cmsis_nn.get(row.core)
        published = peers.published if row.core == bench_models.PUBLISHED_CORE else ()
        result.add_row(
            row.model,
            row.core,
            f"{row.cycles_per_mac:.2f}",
            f"{theirs:,.0f}" if theirs else "",
            f"{row.cycles / theirs:.3f}" if theirs else "",
            *(f"{figure:.2f}" for figure in published),
        )
    return result


def _peer(row: Row) -> str:
    """The name in `PEERS`, of a variant too."""
    return row.model.split(",")[0]


def _columns(*names: str) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "core", *names):
        result.add_column(column, justify="left" if column in ("model", "core") else "right")
    return result


def baseline() -> dict[tuple[str, str], Row]:
    if not BASELINE.exists():
        return {}
    stored = [Row(**item) for item in json.loads(BASELINE.read_text())["rows"]]
    return {(row.model, row.core): row for row in stored}


def save(measured: list[Row]) -> None:
    """Replace the baseline's rows of what was measured, keep the others."""
    stored = baseline() | {(row.model, row.core): row for row in measured}
    document = {"rows": [asdict(row) for row in stored.values()]}
    BASELINE.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="part of a name; all without any")
    parser.add_argument("--save", action="store_true", help="make the result the baseline")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    measured = list(rows(arguments.texts))
    if arguments.json:
        show_json({"rows": [asdict(row) for row in measured]})
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
        console.print(table(measured, baseline()))
        if compared := [row for row in measured if _peer(row) in PEERS]:
            console.print("", peers_table(compared))
    if arguments.save:
        save(measured)


if __name__ == "__main__":
    main()
