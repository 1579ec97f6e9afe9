"""Runs, and tables of them: what the scripts of this folder share.

Every run leaves NAME.json in the output folder and is skipped once that is there; a run that was
stopped goes on from its last epoch.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mcugen.train import TrainConfig, method

console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Run:
    """One training run; `options` belong to its method. `start` is the float run it goes on from,
    `teacher` the one that it learns from.
    """

    name: str
    config: TrainConfig
    options: Any
    start: str | None = None
    teacher: str | None = None


@dataclass(frozen=True)
class Row:
    """One network over several seeds, and what was said or hoped of it."""

    label: str
    runs: list[Run]
    beside: str = ""


@dataclass(frozen=True)
class Group:
    """One table, and the heading over what was said or hoped."""

    title: str
    rows: list[Row]
    beside: str = "document or goal"

    def runs(self) -> Iterable[Run]:
        """All networks of one seed, from the top, then those of the next."""
        for seed in zip_longest(*(row.runs for row in self.rows)):
            yield from filter(None, seed)


class Folder:
    """The output folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def result(self, name: str) -> dict[str, Any] | None:
        """What a finished run reached."""
        file = self.path / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Writes a result, whole or not at all."""
        part = self.path / f"{name}.part"
        part.write_text(json.dumps(result))
        part.replace(self.path / f"{name}.json")

    def perform(self, run: Run) -> None:
        """Does a run unless it is done."""
        if self.result(run.name) is not None:
            return
        options = run.options
        if run.start is not None:
            options = dataclasses.replace(options, start=self.path / f"{run.start}.ckpt")
        config = dataclasses.replace(
            run.config,
            output=self.path / f"{run.name}.pt2",
            checkpoint=self.path / f"{run.name}.ckpt",
            resume=True,
            teacher=self.path / f"{run.teacher}.ckpt" if run.teacher else None,
        )
        done = method(type(options).__module__.rpartition(".")[2]).train(config, options)
        steps = {step.name: step.accuracy for step in done.steps}
        kept = {"accuracy": done.accuracy, "seconds": done.seconds, "summary": done.summary}
        self.keep(run.name, {**kept, "steps": steps})
        console.print(f"{run.name}: {100 * done.accuracy:.2f} % in {done.seconds:.0f} s")


def table(group: Group, folder: Folder) -> Table:
    """Mean, range and time of the runs that are done."""
    shown = Table("network", title=group.title)
    for heading in ("mean", "from", "to", "seeds", "epochs", "seconds each", group.beside):
        shown.add_column(heading, justify="right")
    for row in group.rows:
        done = [found for run in row.runs if (found := folder.result(run.name)) is not None]
        if done:
            reached = [100 * result["accuracy"] for result in done]
            seconds = statistics.mean(result["seconds"] for result in done)
            figures = (statistics.mean(reached), min(reached), max(reached))
            cells = [f"{figure:.2f} %" for figure in figures]
            cells += [str(len(done)), str(row.runs[0].config.epochs), f"{seconds:.0f}"]
            shown.add_row(row.label, *cells, row.beside)
    return shown


def show(tables: Iterable[Table]) -> None:
    """Prints tables, in full width where nobody watches."""
    for item in tables:
        Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(item)


def asked(what: str, known: Iterable[str]) -> tuple[list[str], Folder]:
    """The groups on the command line, all by default, and the output folder.

    Exits with a message for a name that is not `known`.
    """
    known = list(known)
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=f"Trains and measures what is said of {what}.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(known)}, or all")
    parser.add_argument("--output", type=Path, default=Path("build/reproduce") / name)
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.groups) - set(known)):
        parser.error(f"no group {', '.join(unknown)}: there are {', '.join(known)}")
    torch.set_num_threads(1)
    return arguments.groups or known, Folder(arguments.output)


def perform(
    wanted: Iterable[str], groups: Mapping[str, Callable[[], Group]], folder: Folder
) -> list[Group]:
    """Does all runs of the groups that are wanted."""
    made = [groups[name]() for name in wanted if name in groups]
    for group in made:
        for run in group.runs():
            folder.perform(run)
    return made
