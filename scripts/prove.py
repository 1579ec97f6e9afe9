"""One model everywhere: `scripts/prove MODEL.pt2 ... --data mnist [--emulated 200]
[--layers] [--flash-limit BYTES] [--json]`.

PyTorch (float64), the integer program and host C run on all test images. Then the C that is
generated for each core runs on the first `--emulated` images in the emulator, where every output
must be the program's; cycles are those of the timing model at zero wait states. With `--layers`,
whatever a layer stores is compared too, on the host and on the cores. Exits with 1 if anything
differs.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mcugen import pipeline
from mcugen.build.elf import read_elf
from mcugen.check import LayerAgreement
from mcugen.data import DataSet
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.errors import McugenError
from mcugen.ir import Program, interp
from mcugen.plan.choice import Wishes
from mcugen.profile.image import build_image
from mcugen.profile.model import ModelEmulator
from mcugen.profile.profile import profile
from mcugen.report.console import echo, progress, show_json
from mcugen.run.host import decode_layers
from mcugen.run.samples import input_boundary
from mcugen.target.cores import CORES, Core

CORE_NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


@dataclass(frozen=True)
class OnCore:
    """One model on one core; bytes and cycles."""

    core: str
    samples: int
    differing: int
    """Output elements other than the program's."""
    stored_differing: int | None
    """Of all that the layers store, where that was asked for."""
    cycles: int
    macs: int
    flash: int
    """Code and constants of the model alone."""
    ram: int
    stack: int


@dataclass(frozen=True)
class Proof:
    """One model on the host and on the cores."""

    model: str
    samples: int
    accuracy: dict[str, float]
    same_class: float
    """Share of the samples in which C has PyTorch's class."""
    differing: int
    """Output elements in which host C differs from the program."""
    layers: tuple[LayerAgreement, ...]
    """PyTorch's and C's values inside the network against the program's, where asked for."""
    cores: tuple[OnCore, ...]

    @property
    def equal_layers(self) -> int:
        """So many values are C's, and PyTorch's where it has them."""
        return sum(not (item.c_mismatches or item.max_difference) for item in self.layers)

    @property
    def holds(self) -> bool:
        off = any(item.differing or item.stored_differing for item in self.cores)
        return not (self.differing or off) and self.equal_layers == len(self.layers)


@dataclass(frozen=True)
class Expected:
    """Samples as levels, and all values of the program for them."""

    levels: np.ndarray
    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, program: Program, test: DataSet) -> "Expected":
        levels = input_boundary(program).levels(test.x)
        return cls(levels, interp.trace(program, levels))


def on_core(
    model: pipeline.Model,
    core: Core,
    wishes: Wishes,
    expected: Expected,
    layers: bool,
    folder: Path,
) -> OnCore:
    """The C for `core`, emulated on all samples."""
    result = pipeline.emitted(model, core, "model", None, False, wishes)
    pipeline.generate(result, folder, force=False)
    manifest = result.manifest
    stored = encode_input(manifest.input, expected.levels)
    memory = stored.view(manifest.input.numpy_dtype)
    emulator = ModelEmulator(folder, manifest, core)
    with progress(core.name, len(memory)) as advance:
        outputs = []
        for row in memory:
            outputs.append(emulator.run_batch(row[None])[0])
            advance(1)
    got = decode_output(manifest.output, np.stack(outputs).view(np.uint8))
    found = decode_layers(manifest, emulator.layer_memory(memory)) if layers else {}
    values = expected.values
    report = profile(folder, core, memory[:1])
    return OnCore(
        core=core.name,
        samples=len(memory),
        differing=_differing(got, values[model.program.output]),
        stored_differing=(
            sum(_differing(rows, values[name]) for name, rows in found.items()) if layers else None
        ),
        cycles=report.cycles,
        macs=report.macs,
        flash=read_elf(build_image(folder, manifest, core)).section_bytes(".text", ".rodata"),
        ram=manifest.ram.context,
        stack=report.stack,
    )


def _differing(one: np.ndarray, other: np.ndarray) -> int:
    return int((one.ravel() != other.ravel()).sum())


def prove(arguments: argparse.Namespace, path: Path, wishes: Wishes, scratch: Path) -> Proof:
    """Everything about one model file."""
    model = pipeline.load(path)
    layers = arguments.layers
    checked = pipeline.check(model, pipeline.samples(arguments.data, None), layers)
    few = Expected.of(model.program, pipeline.samples(arguments.data, arguments.emulated))
    return Proof(
        model=path.stem,
        samples=checked.samples,
        accuracy=checked.accuracy,
        same_class=checked.agreement["reference_c"],
        differing=checked.mismatched_elements["interpreter_c"],
        layers=checked.layers,
        cores=tuple(
            on_core(model, CORES[name], wishes, few, layers, scratch / f"{path.stem}-{name}")
            for name in CORE_NAMES
        ),
    )


def tables(proofs: list[Proof]) -> Iterator[Table]:
    host = _table(
        "model", "samples", "PyTorch", "program", "C", "same class", "C differs", "layers equal"
    )
    for item in proofs:
        shares = [f"{100 * item.accuracy[key]:.2f} %" for key in ("reference", "interpreter", "c")]
        same = f"{round(item.same_class * item.samples):,}"
        inside = f"{item.equal_layers} of {len(item.layers)}" if item.layers else "–"
        host.add_row(item.model, f"{item.samples:,}", *shares, same, f"{item.differing:,}", inside)
    yield host
    columns = ("samples", "differ", "stored differ", "cycles", "c/MAC", "flash B", "RAM B")
    cores = _table("model", "core", *columns, "stack B")
    for item in proofs:
        for row in item.cores:
            inside = "–" if row.stored_differing is None else f"{row.stored_differing:,}"
            cores.add_row(
                item.model,
                row.core,
                *(f"{row.samples:,}", f"{row.differing:,}", inside, f"{row.cycles:,}"),
                f"{row.cycles / row.macs:.3f}",
                *(f"{number:,}" for number in (row.flash, row.ram, row.stack)),
            )
    yield cores


def _table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="left" if column in ("model", "core") else "right")
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.pt2")
    parser.add_argument("--data", required=True, help="mnist, cifar10, digits or an .npz")
    parser.add_argument("--emulated", type=int, default=200, help="images on each core")
    parser.add_argument("--layers", action="store_true", help="compare what layers store too")
    parser.add_argument("--flash-limit", type=int, help="bytes of code and constants to keep to")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcugen-prove-") as scratch:
        wishes = pipeline.wishes("speed", arguments.flash_limit)
        proofs = [prove(arguments, path, wishes, Path(scratch)) for path in arguments.models]
    if arguments.json:
        show_json({"proofs": [asdict(item) for item in proofs]})
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        console.print(*tables(proofs), sep="\n\n")
    return 0 if all(item.holds for item in proofs) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except McugenError as error:
        echo(f"{error}\n")
        sys.exit(2)
