"""Damages `.onnx` files in many ways: wrong values in right places, then wrong bytes.

Mutant number n is always the same.
"""

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import ModelProto

from tests.frontend.hostile.mutate import mutated_bytes
from tests.frontend.onnx.graphs import KINDS, Graph
from tests.frontend.onnx.honest import honest
from tests.frontend.onnx.hostile import CHANGES
from tests.frontend.onnx.operators import OPERATORS

_BASES = 132
_NUMBERS = (-1, 0, 1, 2, 3, 7, 17, 127, 128, 255, 65535, 2**20, 2**24, 2**31 - 1, -(2**31))
_LARGE = (*_NUMBERS, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63))
_REALS = (0.0, -1.0, 1e-45, 1e-9, 1.0, 2.5, 1e9, 3e38, float("nan"), float("inf"))
_TEXTS = ("", "x0", "a\n*/ int", "\x1b[2J", "n" * 5000, "Conv", "Relu", "SAME_UPPER", "é", "../x")
#: Types of fields in protobuf's descriptors.
_DOUBLE, _FLOAT, _UINT64, _INT32 = 1, 2, 4, 5
_STRING, _MESSAGE, _BYTES, _ENUM = 9, 11, 12, 14


@lru_cache(maxsize=_BASES)
def base(number: int) -> bytes:
    """An honest model."""
    if number == 0:
        return bytes(honest().SerializeToString())
    g = Graph(np.random.default_rng(number))
    kinds = list(KINDS) + list(OPERATORS)
    kind = kinds[number % len(kinds)]
    return g.model(OPERATORS[kind](g) if kind in OPERATORS else g.quantized(KINDS[kind](g)))


def mutant(number: int) -> bytes:
    """One to four fields of a model changed, in a third of all its bytes too."""
    rng = random.Random(number)
    model = ModelProto()
    model.ParseFromString(base(rng.randrange(_BASES)))
    if rng.random() < 0.05:
        model = honest()
        change, _ = CHANGES[rng.choice(list(CHANGES))]
        change(model)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        _change(rng, model)
    data = bytes(model.SerializeToString())
    for _ in range(rng.choice((0, 0, 1, 3))):
        data = mutated_bytes(rng, data or b"\0")
    return data


def _messages(message: Any) -> Iterator[Any]:
    """A message and all those inside that are set."""
    yield message
    for field, value in message.ListFields():
        if field.type == _MESSAGE:
            for part in value if field.is_repeated else (value,):
                yield from _messages(part)


def _change(rng: random.Random, model: ModelProto) -> None:
    """One field of one message with another value, more of them, or none."""
    message = rng.choice(list(_messages(model)))
    fields = [field for field, _ in message.ListFields()]
    if rng.random() < 0.15 or not fields:
        fields = list(message.DESCRIPTOR.fields)
    field = rng.choice(fields)
    if field.is_repeated:
        _change_list(rng, field, getattr(message, field.name))
    elif rng.random() < 0.15:
        message.ClearField(field.name)
    elif field.type == _MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(rng, field, getattr(message, field.name)))


def _change_list(rng: random.Random, field: Any, items: Any) -> None:
    kind = rng.randrange(4)
    place = rng.randrange(len(items)) if items else 0
    if kind == 0 and items:
        del items[place]
    elif kind == 1 and items:
        items.append(items[place])
    elif field.type == _MESSAGE:
        if len(items) > 1:
            items[place].CopyFrom(rng.choice(items))
        else:
            items.add()
    elif items and kind == 2:
        items[place] = _value(rng, field, items[place])
    else:
        items.extend([_value(rng, field, None)] * rng.choice((1, 1, 2, 3, 40)))


def _value(rng: random.Random, field: Any, old: Any) -> Any:
    """A value of the field's type, wrong nearly anywhere."""
    if field.type in (_STRING, _BYTES):
        if old and rng.random() < 0.3:
            old = old[: rng.randrange(len(old))]
            return old
        text = rng.choice(_TEXTS)
        return text if field.type == _STRING else text.encode()
    if field.type in (_FLOAT, _DOUBLE):
        return rng.choice(_REALS)
    if field.type == _ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type == _UINT64:
        return abs(rng.choice(_NUMBERS))
    return rng.choice(_NUMBERS if field.type == _INT32 else _LARGE)
