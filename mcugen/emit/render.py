"""The one Jinja environment, and constants as C."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mcugen.kernels.constants import Constant, literal
from mcugen.kernels.storage import BITS
from mcugen.resources import data_root

LINE = 96


def _block(text: str, width: int) -> str:
    """A macro's lines at an indent of `width`, where the first line already has it."""
    return text.strip("\n").replace("\n", "\n" + " " * width)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(data_root() / "templates", encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML; text from models is escaped by plan.names
    )
    environment.filters["block"] = _block
    return environment


def render(template: str, **values: object) -> str:
    """The text of `template`, without the lines that hold spaces only.

    Such a line is what remains of a macro that had nothing to say; empty lines stay.
    """
    text = _environment().get_template(template).render(**values)
    kept = [line.rstrip() for line in text.split("\n") if not line or line.strip()]
    return "\n".join(kept)


def elements(constant: Constant) -> list[str]:
    """The elements of a constant array as lines of C, without indent."""
    return list(_wrapped(_texts(constant)))


def _texts(constant: Constant) -> list[str]:
    values = np.ravel(constant.values)
    if constant.c is BITS:
        return [f"0x{int(value):08X}u" for value in values]
    return [literal(value).strip("()") for value in values.tolist()]


def _wrapped(texts: list[str]) -> Iterator[str]:
    line: list[str] = []
    width = 0
    for text in texts:
        if width + len(text) + 2 > LINE:
            yield " ".join(line)
            line, width = [], 0
        line.append(f"{text},")
        width += len(text) + 2
    yield " ".join(line)
