"""The runs behind `scripts/reproduce/lq`: what is trained, on which seeds, and the tables.

Every run leaves NAME.json in the output folder and is skipped once that is there; a run that was
stopped goes on from its last epoch.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mcugen.train import TrainConfig, method
from mcugen.train.float import Options as Float
from mcugen.train.lq import Options as Planes

PLANES = (1, 2, 3)
SEEDS = range(5)
FEW_SEEDS = range(3)
DOCUMENT = {0: "97.19 %, 2.1 MB", 1: "75.11 %, 76.2 KB", 2: "88.86 %, 147.2 KB"}
DOCUMENT[3] = "95.59 %, 218.3 KB"

console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Run:
    """One training run; `start` names the float run that it goes on from."""

    name: str
    config: TrainConfig
    options: Float | Planes
    start: str | None = None


@dataclass(frozen=True)
class Row:
    """One network over several seeds, and what was said or hoped of it."""

    label: str
    runs: list[Run]
    beside: str = ""


@dataclass(frozen=True)
class Group:
    """One table; a row that another one starts from stands above it."""

    title: str
    beside: str  # heading of that column
    rows: list[Row]


class Folder:
    """The output folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def result(self, run: Run) -> dict[str, Any] | None:
        """What a finished run reached."""
        file = self.path / f"{run.name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def perform(self, run: Run) -> None:
        """Does a run unless it is done."""
        if self.result(run) is not None:
            return
        options = run.options
        if run.start is not None:
            options = dataclasses.replace(options, start=self.path / f"{run.start}.ckpt")
        config = dataclasses.replace(
            run.config,
            output=self.path / f"{run.name}.pt2",
            checkpoint=self.path / f"{run.name}.ckpt",
            resume=True,
        )
        done = method("float" if isinstance(options, Float) else "lq").train(config, options)
        kept = {"accuracy": done.accuracy, "seconds": done.seconds, "summary": done.summary}
        part = self.path / f"{run.name}.part"
        part.write_text(json.dumps(kept))
        part.replace(self.path / f"{run.name}.json")
        console.print(f"{run.name}: {100 * done.accuracy:.2f} % in {done.seconds:.0f} s")


def document() -> Group:
    """784-704-10 without batch norm, quantized after training, the image included.

    Three epochs take the float network to the document's accuracy and not beyond.
    """
    variants = {
        "normalized, tanh": {"normalize": True, "activation": "tanh"},
        "normalized, relu": {"normalize": True},
        "pixels/255, relu": {},
    }
    rows = []
    for variant, shared in variants.items():
        stem = variant.translate(str.maketrans(" ,/", "___"))
        configs = {
            f"{stem}_s{seed}": TrainConfig(
                *("mlp704_plain", "mnist", Path(), 3, 100), learning_rate=1e-3, seed=seed
            )
            for seed in SEEDS
        }
        runs = [Run(f"float_{name}", c, Float(**shared)) for name, c in configs.items()]
        rows.append(Row(f"{variant}, float, {document_size(0)}", runs, DOCUMENT[0]))
        for offset in (False, True):
            for planes in reversed(PLANES):
                options = Planes(
                    planes=planes,
                    layer_planes=f"fc1={planes}/{planes}",
                    offset=offset,
                    post_training=True,
                    **shared,
                )
                kind = f"ptq{planes}{'_offset' if offset else ''}"
                label = f"{variant}, {'' if offset else 'no '}offset, int{planes}"
                runs = [
                    Run(f"{kind}_{name}", c, options, f"float_{name}")
                    for name, c in configs.items()
                ]
                label += f", {document_size(planes)}"
                rows.append(Row(label, runs, DOCUMENT[planes]))
    return Group("784-704-10 on MNIST, quantized after training", "document", rows)


def document_size(planes: int) -> str:
    """Size of 784-704-10 as the document's figures suggest: 0 planes are float32.

    Bits of a row in whole bytes, a float32 basis per neuron, a float32 bias; KiB.
    """
    layers = ((784, 704), (704, 10))
    if planes == 0:
        return f"{sum(4 * o * (i + 1) for i, o in layers) / 2**20:.1f} MB"
    return f"{sum(o * (planes * (i // 8 + 4) + 4) for i, o in layers) / 2**10:.1f} KB"


def tuned() -> Group:
    """The same network with fine-tuning."""
    float_row, rows = [], {planes: [] for planes in PLANES}
    for seed in SEEDS:
        start = f"tuned_float_s{seed}"
        config = TrainConfig("mlp704", "mnist", Path(), seed=seed)
        epochs = dataclasses.replace(config, epochs=3)
        float_row.append(Run(start, epochs, Float(normalize=True)))
        for planes in PLANES:
            options = Planes(planes, layer_planes=f"fc1={planes}/{planes}", normalize=True)
            epochs = dataclasses.replace(config, epochs=2)
            rows[planes].append(Run(f"tuned{planes}_s{seed}", epochs, options, start))
    goals = {1: "97 %", 2: "97.8 %", 3: "98 %"}
    found = [Row("float", float_row)]
    found += [Row(f"int{planes}", rows[planes], goals[planes]) for planes in PLANES]
    return Group("784-704-10 on MNIST, fine-tuned", "goal", found)


def lenet() -> Group:
    """A small convolutional network: 8-bit pixels, 2 planes in the first layer's weights."""
    float_row, rows = [], {planes: [] for planes in PLANES}
    for seed in FEW_SEEDS:
        start = f"lenet_float_s{seed}"
        config = TrainConfig("lenet", "mnist", Path(), epochs=6, seed=seed)
        float_row.append(Run(start, config, Float()))
        for planes in PLANES:
            options = Planes(planes, layer_planes="conv1=2")
            rows[planes].append(Run(f"lenet{planes}_s{seed}", config, options, start))
    goals = {1: "97.5 %", 2: "float − 0.3 points", 3: ""}
    found = [Row("float", float_row)]
    found += [Row(f"int{planes}", rows[planes], goals[planes]) for planes in PLANES]
    return Group("lenet on MNIST, fine-tuned", "goal", found)


def cifar() -> Group:
    """CIFAR-10 with planes everywhere but in the image, the first layer's weights on 2 at least."""
    config = TrainConfig("vgg", "cifar10", Path(), epochs=20, augment=True)
    rows = [Row("float", [Run("cifar_float", config, Float())])]
    config = dataclasses.replace(config, epochs=6)
    for planes in PLANES:
        options = Planes(planes, layer_planes=f"conv1={max(planes, 2)}")
        rows.append(Row(f"int{planes}", [Run(f"cifar{planes}", config, options, "cifar_float")]))
    return Group("vgg on CIFAR-10, fine-tuned", "", rows)


GROUPS: dict[str, Callable[[], Group]] = {
    "document": document,
    "tuned": tuned,
    "lenet": lenet,
    "cifar": cifar,
}


def table(group: Group, folder: Folder) -> Table:
    """Mean, range and time of the runs that are done."""
    shown = Table("network", title=group.title)
    for heading in ("mean", "from", "to", "seeds", "seconds each", group.beside):
        shown.add_column(heading, justify="right")
    for row in group.rows:
        done = [result for run in row.runs if (result := folder.result(run)) is not None]
        if done:
            reached = [100 * result["accuracy"] for result in done]
            seconds = statistics.mean(result["seconds"] for result in done)
            figures = (statistics.mean(reached), min(reached), max(reached))
            cells = [f"{figure:.2f} %" for figure in figures]
            shown.add_row(row.label, *cells, str(len(done)), f"{seconds:.0f}", row.beside)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains and measures what is said of LQ-Nets.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}, or all")
    parser.add_argument("--output", type=Path, default=Path("build/reproduce/lq"))
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.groups) - GROUPS.keys()):
        parser.error(f"no group {', '.join(unknown)}: there are {', '.join(GROUPS)}")
    torch.set_num_threads(1)
    folder = Folder(arguments.output)
    groups = [GROUPS[name]() for name in arguments.groups or GROUPS]
    for group in groups:
        for seed in zip_longest(*(row.runs for row in group.rows)):  # all networks of one seed
            for run in filter(None, seed):
                folder.perform(run)
    for group in groups:
        Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(
            table(group, folder)
        )


if __name__ == "__main__":
    main()
