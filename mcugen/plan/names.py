"""C identifiers, and text from the model made safe for C comments and strings.

Names in a model are a stranger's: they may hold `*/`, quotes, line ends or any script.
"""

import re
from collections.abc import Callable, Iterable

from mcugen.errors import fail

#: Longest part that a name from the model contributes: C99 promises 63 significant characters.
MOST_CHARACTERS = 32
MOST_COMMENT = 96

#: Functions, types and helpers of every model, without their prefix.
RESERVED = frozenset(
    {"init", "reset", "input", "output", "run", "layer_name", "layer_names", "t", "s", "status"}
    | {"popcount", "tap_begin", "tap_end", "product", "clear", "prefix"}
    | {"rows", "tabulate", "unslice"}
)

#: `NAME_t` would be a type of the standard library.
_TAKEN_TYPES = frozenset(
    {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | {"intptr", "uintptr", "intmax", "uintmax", "size", "ssize", "ptrdiff", "wchar", "wint"}
    | {"max_align", "time", "clock", "div", "ldiv", "lldiv", "fpos", "off", "mbstate"}
)


def sanitized(text: str) -> str:
    """`text` as part of an identifier: letters, digits and single underscores."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return plain[:MOST_CHARACTERS].rstrip("_") or "layer"


def model_name(text: str) -> str:
    """A prefix for all symbols, made from a file's stem."""
    name = sanitized(text).lower()
    if name[0].isdigit():
        name = f"m{name}"
    return f"{name}_model" if name in _TAKEN_TYPES else name


def checked_name(name: str) -> str:
    """`name` itself, where a user chose it.

    Raises:
        McugenError: it is no prefix for C symbols.
    """
    if re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name) is None or name in _TAKEN_TYPES:
        raise fail(
            "plan",
            f"'{ascii(name)[1:-1]}' cannot prefix C symbols",
            want="a lower-case letter, then up to 47 of a-z, 0-9 and _; no standard type",
            help=f"--name {model_name(name)}",
        )
    return name


def comment(text: str) -> str:
    """`text` on one line inside a C comment: ASCII, and nothing that opens or ends a comment."""
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = "".join(c if c.isprintable() else " " for c in plain)
    plain = plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\")
    return plain if len(plain) <= MOST_COMMENT else plain[: MOST_COMMENT - 3] + "..."


def string(text: str) -> str:
    """`text` as a C string literal, in ASCII."""
    plain = comment(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


class Names:
    """Hands out identifiers that never collide: with the API, or with each other's constants."""

    def __init__(self, routines: Iterable[str] = ()) -> None:
        """`routines`: functions of this model besides the reserved ones."""
        self._taken = {*RESERVED, *routines}
        self._titles: set[str] = set()

    def title(self, text: str) -> str:
        """A name as people read it, unique in the model."""
        title = _first_free(text, self._titles.__contains__)
        self._titles.add(title)
        return title

    def identifier(self, text: str, suffixes: Iterable[str]) -> str:
        """An identifier free both by itself and with each of `suffixes` behind it."""
        endings = ["", *(f"_{suffix}" for suffix in suffixes)]

        def collides(name: str) -> bool:
            return any(f"{name}{ending}".lower() in self._taken for ending in endings)

        name = _first_free(sanitized(text), collides)
        self._taken |= {f"{name}{ending}".lower() for ending in endings}
        return name


def _first_free(text: str, taken: Callable[[str], bool]) -> str:
    name, number = text, 1
    while taken(name):
        number += 1
        name = f"{text}_{number}"
    return name
