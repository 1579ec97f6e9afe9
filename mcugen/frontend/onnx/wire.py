"""A look at protobuf's wire format before anything is parsed: depth and number of fields.

A message takes many times its bytes once it is parsed (an empty node has two bytes in the file), so
fields are counted first. The wire format is protobuf's own (protobuf.dev, "Encoding").
"""

from typing import Any

from mcugen.errors import McugenError, fail
from mcugen.frontend.onnx.graph import STAGE

MAX_FIELDS = 400_000
MAX_DEPTH = 24

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10


def check_wire(data: bytes, descriptor: Any, file: str) -> None:
    """Walk the fields of a message with protobuf's `descriptor`; `file` is for messages.

    Raises:
        McugenError: a field ends beyond its message, or there are more fields or levels than any
            model has.
    """
    fields, open_messages = 0, [(0, len(data), descriptor, 0)]
    while open_messages:
        at, end, kind, depth = open_messages.pop()
        if depth > MAX_DEPTH:
            want = f"at most {MAX_DEPTH} levels"
            raise fail(STAGE, "the model's messages are nested too deeply", at=file, want=want)
        while at < end:
            fields += 1
            if fields > MAX_FIELDS:
                want = f"at most {MAX_FIELDS} fields"
                raise fail(STAGE, "the model has too many parts", at=file, want=want)
            begin, at, number = _field(data, at, end, file)
            part = kind.fields_by_number.get(number)
            if part is not None and part.message_type is not None and begin < at:
                open_messages.append((begin, at, part.message_type, depth + 1))


def _field(data: bytes, at: int, end: int, file: str) -> tuple[int, int, int]:
    """Begin and end of the field's bytes, if it has any that could be a message, and its number."""
    tag, at = _varint(data, at, end, file)
    number, wire = tag >> 3, tag & 7
    begin = at
    if wire == _BYTES:
        size, begin = _varint(data, at, end, file)
        at = begin + size
    elif wire == _VARINT:
        _, at = _varint(data, at, end, file)
        begin = at
    elif wire in (_FIXED32, _FIXED64):
        at = begin = at + (4 if wire == _FIXED32 else 8)
    else:
        raise _broken(file, f"wire type {wire} at byte {begin}")
    if at > end:
        raise _broken(file, f"a field that ends at byte {at}, its message at byte {end}")
    return begin, at, number


def _varint(data: bytes, at: int, end: int, file: str) -> tuple[int, int]:
    """A variable-length integer and the place behind it."""
    value = 0
    for index in range(_MOST_VARINT_BYTES):
        if at + index >= end:
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise _broken(file, f"a number without an end at byte {at}")


def _broken(file: str, got: str) -> McugenError:
    return fail(
        STAGE,
        "the file is truncated or no ONNX model",
        at=file,
        got=got,
        help="onnx.save(model, 'model.onnx') writes one",
    )
