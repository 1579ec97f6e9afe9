"""JSON out of an archive: every access to a field checks its type and names it where it fails."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from mcugen.errors import McugenError, fail
from mcugen.frontend.archive_zip import STAGE, Container
from mcugen.frontend.files import MIB

#: Python objects take up to 25 times as much as the JSON text they come from.
MAX_JSON_BYTES = 16 * MIB
MAX_DEPTH = 64
MAX_TEXT = 1024
INT64_MAX = 2**63 - 1

_NON_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def read_json(container: Container, entry: str) -> "Field":
    """The document in an entry.

    Raises:
        McugenError: missing, over 16 MiB, not JSON, nested deeper than 64, a key given twice.
    """
    at = container.at(entry)
    raw = container.read(entry, MAX_JSON_BYTES)
    try:
        value = json.loads(raw, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep(at) from error
    except ValueError as error:
        raise fail(STAGE, "not valid JSON", at=at, got=str(error)[:200]) from error
    _check_depth(value, at)
    return Field(value, at)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _too_deep(at: str) -> McugenError:
    return fail(STAGE, "JSON is nested too deeply", at=at, want=f"at most {MAX_DEPTH} levels")


def _check_depth(value: object, at: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inside: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inside.extend(item.values())
            elif isinstance(item, list):
                inside.extend(item)
        if not inside:
            return
        level = inside
    raise _too_deep(at)


@dataclass(frozen=True, slots=True)
class Field:
    """A JSON value and the way to it; a getter of the wrong kind raises McugenError."""

    value: Any
    document: str
    parent: "Field | None" = None
    key: str | int = ""

    @property
    def at(self) -> str:
        """`file: entry: a.b[3]`."""
        steps: list[str] = []
        field: Field | None = self
        while field is not None and field.parent is not None:
            steps.append(f"[{field.key}]" if isinstance(field.key, int) else f".{field.key[:80]}")
            field = field.parent
        path = "".join(reversed(steps)).lstrip(".")
        return f"{self.document}: {path}" if path else self.document

    def wrong(self, what: str, want: str | None = None, help: str | None = None) -> McugenError:
        """The error that this field is not as it should be."""
        return fail(STAGE, what, at=self.at, got=clip(self.value), want=want, help=help)

    def __getitem__(self, key: str) -> "Field":
        fields = self._expect(dict, "an object")
        if key not in fields:
            raise fail(STAGE, f"field {key} is missing", at=self.at)
        return Field(fields[key], self.document, self, key)

    def get(self, key: str) -> "Field | None":
        """A field that may be missing or null."""
        return None if self._expect(dict, "an object").get(key) is None else self[key]

    def items(self, limit: int) -> Iterator[tuple[str, "Field"]]:
        """The fields of an object that maps names to values."""
        fields = self._expect(dict, "an object")
        self._check_length(fields, limit)
        for key in fields:
            yield self._check_text(key), self[key]

    def list(self, limit: int) -> "list[Field]":
        """The items of an array."""
        values = self._expect(list, "an array")
        self._check_length(values, limit)
        return [Field(value, self.document, self, index) for index, value in enumerate(values)]

    def union(self) -> "tuple[str, Field]":
        """Tag and value of an object with one field."""
        fields = self._expect(dict, "an object with one field")
        if len(fields) != 1:
            raise self.wrong("a union has not exactly one field")
        (tag,) = fields
        return tag, self[tag]

    def integer(self, low: int = -INT64_MAX - 1, high: int = INT64_MAX) -> int:
        """An integer in [low, high]."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.wrong("a field is not an integer in its range", want=f"{low} to {high}")
        return self.value

    def number(self) -> float:
        """A float; infinities and NaN are spelled as PyTorch's serializer spells them."""
        if isinstance(self.value, str) and self.value in _NON_FINITE:
            return _NON_FINITE[self.value]
        if type(self.value) is int:
            return float(self.integer())
        if type(self.value) is not float or not math.isfinite(self.value):
            raise self.wrong("a field is not a number")
        return self.value

    def boolean(self) -> bool:
        """True or false."""
        return bool(self._expect(bool, "true or false"))

    def text(self) -> str:
        """A printable string of at most 1024 characters."""
        return self._check_text(self._expect(str, "a string"))

    def prose(self) -> str:
        """Any string: not to be shown as it is."""
        return str(self._expect(str, "a string"))

    def identifier(self) -> str:
        """A name of the graph: ASCII letters, digits and underscores."""
        name = self.text()
        if not (name.isascii() and name.isidentifier()):
            raise self.wrong("a name in the graph is no identifier")
        return name

    def _expect(self, kind: type, want: str) -> Any:
        if not isinstance(self.value, kind):
            raise self.wrong("a field has the wrong type", want=want)
        return self.value

    def _check_text(self, text: str) -> str:
        if len(text) > MAX_TEXT or not text.isprintable():
            want = f"at most {MAX_TEXT} printable characters"
            raise fail(STAGE, "a string cannot be shown", at=self.at, got=clip(text), want=want)
        return text

    def _check_length(self, values: Any, limit: int) -> None:
        if len(values) > limit:
            want = f"at most {limit}"
            raise fail(STAGE, "too many items", at=self.at, got=str(len(values)), want=want)


def clip(value: object) -> str:
    """A value in a few printable characters."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    text = ascii(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
