"""Where words go: results on stdout, everything else on stderr; bars on terminals only."""

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SCHEMA = 1
Advance = Callable[[int], None]

#: Wide enough for every table: cutting a name to the terminal's width would lose facts.
_COLUMNS = 400


def printable(text: str) -> str:
    """`text` with control characters spelt out: a model's names must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Lines for the person at the terminal, on stderr."""
    sys.stderr.write(printable(text) + "\n")


def echo(text: str) -> None:
    """The result as text, on stdout."""
    sys.stdout.write(printable(text))


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """An empty table; the columns in `right` hold numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return made


def show(*parts: RenderableType) -> None:
    """The result as tables and text, on stdout."""
    console = Console(
        width=_COLUMNS, color_system=None, force_terminal=False, markup=False, emoji=False
    )
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=True, highlight=False)
    echo("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_json(document: dict[str, Any]) -> None:
    """The result as the one JSON document on stdout."""
    whole = _plain({"schema": SCHEMA, **document})
    sys.stdout.write(json.dumps(whole, indent=2, allow_nan=False) + "\n")


def answer(as_json: bool, document: dict[str, Any], shown: RenderableType) -> None:
    """The result of a command, in the form that was asked for."""
    if as_json:
        show_json(document)
    else:
        show(shown)


def _plain(value: Any) -> Any:
    """`value` in JSON's own types; what is no number is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life for work whose steps cannot be counted."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True, markup=False).status(what):
        yield


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """A bar for work of `total` items; yields the function that advances it."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
