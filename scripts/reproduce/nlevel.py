"""The runs behind `scripts/reproduce/nlevel`: what is trained, on which seeds, and the tables."""

import dataclasses
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.table import Table
from runs import Folder, Group, Row, Run, asked, perform, show

from mcugen.train import TrainConfig
from mcugen.train.float import Options as Float
from mcugen.train.nlevel import PAIRS, Options

SEEDS = range(3)
EPOCHS = 18  # 250 in the document
#: Of the document's table: float, 8 bits, 4 bits, and pairs that are compared on every network.
DOCUMENT = {
    "cnn6": {"float": 74.95, "8 bit": 74.7, "4 bit": 72.0, (23, 23): 73.3, (15, 37): 73.1},
    "cnn7": {"float": 77.83, "8 bit": 77.6, "4 bit": 75.4, (23, 23): 76.5, (15, 37): 76.4},
    "cnn8": {"float": 79.66, "8 bit": 79.4, "4 bit": 77.3, (23, 23): 78.2, (15, 37): 78.1},
    "cnn9": {"float": 81.4, "8 bit": 80.8, "4 bit": 79.3, (23, 23): 79.9, (15, 37): 79.8},
    "cnn10": {"float": 89.07, "8 bit": 89.2, "4 bit": 87.7, (23, 23): 88.4, (15, 37): 88.2},
}
#: All pairs, on the smallest network.
CNN6 = (63.5, 68.4, 70.9, 71.8, 72.7, 73.1, 73.0, 73.1, 73.4, 73.3)
CNN6 += (73.1, 73.0, 73.1, 72.8, 72.0, 70.9, 69.0, 65.9, 47.5)
BITS = {"8 bit": (256, 256), "4 bit": (16, 16)}


def network(name: str) -> Group:
    """One network at 4, 4.6 and 8 bits, on all seeds."""
    rows = [_float(name, SEEDS)]
    for label, levels in {**BITS, (23, 23): (23, 23), (15, 37): (15, 37)}.items():
        rows.append(_row(name, str(label), levels, SEEDS, DOCUMENT[name][label]))
    return Group(f"{name} on CIFAR-10", rows, "document")


def pairs() -> Group:
    """The smallest network with every pair, one seed."""
    rows = [_float("cnn6", SEEDS[:1])]
    for levels, published in zip(PAIRS, CNN6, strict=True):
        rows.append(_row("cnn6", str(levels), levels, SEEDS[:1], published))
    return Group("cnn6 on CIFAR-10, all pairs", rows, "document")


def _config(name: str, seed: int) -> TrainConfig:
    return TrainConfig(name, "cifar10", Path(), EPOCHS, 100, seed=seed, augment=True)


def _float(name: str, seeds: range) -> Row:
    runs = [
        Run(
            f"{name}_float_s{s}",
            dataclasses.replace(_config(name, s), learning_rate=8e-3),
            Float(),
        )
        for s in seeds
    ]
    return Row("float", runs, str(DOCUMENT[name]["float"]))


def _row(name: str, label: str, levels: tuple[int, int], seeds: range, published: float) -> Row:
    options = Options(*levels)
    stem = f"{name}_{levels[0]}_{levels[1]}"
    runs = [Run(f"{stem}_s{s}", _config(name, s), options, f"{name}_float_s{s}") for s in seeds]
    return Row(label, runs, f"{published} ({published - DOCUMENT[name]['float']:+.2f})")


GROUPS: dict[str, Callable[[], Group]] = {
    **{name: partial(network, name) for name in DOCUMENT},
    "pairs": pairs,
}
COLUMNS = ("min/max", "AdaQuant", "stages")


def drops(group: Group, folder: Folder) -> Table:
    """Accuracy after each step as the drop from the float network of the same seed."""
    shown = Table("levels", title=f"{group.title}: drop from float in points, mean (from … to)")
    for heading in ("float", *COLUMNS, "seeds", "seconds each", group.beside):
        shown.add_column(heading, justify="right")
    for row in group.rows[1:]:
        done = [found for run in row.runs if (found := folder.result(run.name)) is not None]
        if done:
            cells = [f"{100 * statistics.mean(one['steps']['float'] for one in done):.2f} %"]
            for column in COLUMNS:
                found = [100 * (one["steps"][column] - one["steps"]["float"]) for one in done]
                cells.append(
                    f"{statistics.mean(found):+.2f} ({min(found):+.2f} … {max(found):+.2f})"
                )
            seconds = statistics.mean(one["seconds"] for one in done)
            shown.add_row(row.label, *cells, str(len(done)), f"{seconds:.0f}", row.beside)
    return shown


def main() -> None:
    wanted, folder = asked("networks of few levels", GROUPS)
    show(drops(group, folder) for group in perform(wanted, GROUPS, folder))


if __name__ == "__main__":
    main()
