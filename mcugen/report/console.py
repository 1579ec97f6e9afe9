"""Where words go: results on stdout, everything else on stderr; bars on terminals only."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SCHEMA = 1
Advance = Callable[[int], None]

_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    _errors.print(text, markup=False)


def show(*parts: RenderableType) -> None:
    """The result as tables and text, on stdout."""
    # A pipe or a log has no width of its own: 80 columns would cut tables there.
    width = None if sys.stdout.isatty() else 160
    console = Console(highlight=False, width=width)
    for part in parts:
        console.print(part)


def show_json(document: dict[str, Any]) -> None:
    """The result as the one JSON document on stdout."""
    whole = {"schema": SCHEMA, **document}
    sys.stdout.write(json.dumps(whole, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """A bar for work of `total` items; yields the function that advances it."""
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_errors,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)
