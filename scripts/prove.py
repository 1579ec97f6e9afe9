"""One model everywhere: `scripts/prove MODEL.pt2 ... --data mnist [--emulated 200]
[--flash-limit BYTES] [--json]`.

PyTorch (float64), the integer program and host C run on all test images. Then the C that is
generated for each core runs on the first `--emulated` images in the emulator, where every output
byte must be the host's; cycles are those of the timing model at zero wait states. Exits with 1 if
anything differs.
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
from mcugen.data import DataSet
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.errors import McugenError
from mcugen.ir import interp
from mcugen.plan.choice import Wishes
from mcugen.profile.image import build_image
from mcugen.profile.model import ModelEmulator
from mcugen.profile.profile import profile
from mcugen.report.console import echo, progress, show_json
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
    cores: tuple[OnCore, ...]

    @property
    def holds(self) -> bool:
        return not self.differing and not any(item.differing for item in self.cores)


def on_core(
    model: pipeline.Model, core: Core, wishes: Wishes, test: DataSet, folder: Path
) -> OnCore:
    """The C for `core`, emulated on all of `test`."""
    result = pipeline.emitted(model, core, "model", None, False, wishes)
    pipeline.generate(result, folder, force=False)
    manifest = result.manifest
    levels = input_boundary(model.program).levels(test.x)
    stored = encode_input(manifest.input, levels)
    memory = stored.view(manifest.input.numpy_dtype)
    emulator = ModelEmulator(folder, manifest, core)
    with progress(core.name, len(memory)) as advance:
        outputs = []
        for row in memory:
            outputs.append(emulator.run_batch(row[None])[0])
            advance(1)
    got = decode_output(manifest.output, np.stack(outputs).view(np.uint8))
    report = profile(folder, core, memory[:1])
    return OnCore(
        core=core.name,
        samples=len(memory),
        differing=int((got != interp.run(model.program, levels)).sum()),
        cycles=report.cycles,
        macs=report.macs,
        flash=read_elf(build_image(folder, manifest, core)).section_bytes(".text", ".rodata"),
        ram=manifest.ram.context,
        stack=report.stack,
    )


def prove(path: Path, data: str, emulated: int, wishes: Wishes, scratch: Path) -> Proof:
    """Everything about one model file."""
    model = pipeline.load(path)
    checked = pipeline.check(model, pipeline.samples(data, None), layers=False)
    few = pipeline.samples(data, emulated)
    return Proof(
        model=path.stem,
        samples=checked.samples,
        accuracy=checked.accuracy,
        same_class=checked.agreement["reference_c"],
        differing=checked.mismatched_elements["interpreter_c"],
        cores=tuple(
            on_core(model, CORES[name], wishes, few, scratch / f"{path.stem}-{name}")
            for name in CORE_NAMES
        ),
    )


def tables(proofs: list[Proof]) -> Iterator[Table]:
    host = _table("model", "samples", "PyTorch", "program", "C", "same class", "C differs")
    for item in proofs:
        shares = [f"{100 * item.accuracy[key]:.2f} %" for key in ("reference", "interpreter", "c")]
        same = f"{round(item.same_class * item.samples):,}"
        host.add_row(item.model, f"{item.samples:,}", *shares, same, f"{item.differing:,}")
    yield host
    cores = _table(
        "model", "core", "samples", "differ", "cycles", "c/MAC", "flash B", "RAM B", "stack B"
    )
    for item in proofs:
        for row in item.cores:
            numbers = (row.samples, row.differing, row.cycles)
            cores.add_row(
                item.model,
                row.core,
                *(f"{number:,}" for number in numbers),
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
    parser.add_argument("--flash-limit", type=int, help="bytes of code and constants to keep to")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcugen-prove-") as scratch:
        wishes = pipeline.wishes("speed", arguments.flash_limit)
        proofs = [
            prove(path, arguments.data, arguments.emulated, wishes, Path(scratch))
            for path in arguments.models
        ]
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
