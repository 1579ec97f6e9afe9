"""An operator's name and options, from the schema's tables."""

import math
from dataclasses import fields
from types import ModuleType
from typing import Any

from mcugen.errors import fail
from mcugen.frontend.tflite.options import TABLES, Options

STAGE = "tflite"
#: Fields that hold a number of an enumeration, with its name in the schema.
_ENUMERATIONS = {"fused_activation_function": "ActivationFunctionType", "padding": "Padding"}


def names_of(enumeration: type) -> dict[int, str]:
    """The names of an enumeration's numbers."""
    items = vars(enumeration).items()
    return {value: name for name, value in items if isinstance(value, int)}


class OptionsReader:
    """Reads the operators of one code."""

    def __init__(self, module: ModuleType, code: Any) -> None:
        self._module, self._code = module, code

    def name(self, index: int) -> str:
        """The operator's name, like `CONV_2D`.

        Raises:
            McugenError: a custom operator, or a number that the schema does not know.
        """
        # The number outgrew its first field, of one byte, which old files alone fill.
        number = max(self._code.BuiltinCode(), self._code.DeprecatedBuiltinCode())
        if number == self._module.BuiltinOperator.CUSTOM:
            custom = (self._code.CustomCode() or b"")[:100].decode("utf-8", errors="replace")
            raise fail(
                STAGE,
                "a custom operator",
                at=f"operator {index}",
                got=ascii(custom),
                want="built-in operators",
            )
        found = names_of(self._module.BuiltinOperator).get(number)
        if found is None:
            what = "an operator that the schema does not know"
            raise fail(STAGE, what, at=f"operator {index}", got=str(number))
        return found

    def read(self, item: Any, where: str) -> Options:
        """The options of an operator; the schema's defaults where there are none.

        Raises:
            McugenError: a number that stands for no activation function or padding, or is none.
        """
        kinds = names_of(self._module.BuiltinOptions)
        name = kinds.get(item.BuiltinOptionsType(), "")
        kind, union = TABLES.get(name), item.BuiltinOptions()
        if kind is None or union is None:
            return Options()
        table = getattr(self._module, name)()
        table.Init(union.Bytes, union.Pos)
        values = {part.name: self._value(table, part.name, where) for part in fields(kind)}
        return kind(**values)

    def _value(self, table: Any, field: str, where: str) -> Any:
        camel = "".join(part.capitalize() for part in field.split("_"))
        value = getattr(table, camel)()
        if isinstance(value, float) and not math.isfinite(value):
            raise fail(STAGE, f"{field} is no number", at=where, got=str(value))
        if field not in _ENUMERATIONS:
            return value
        names = names_of(getattr(self._module, _ENUMERATIONS[field]))
        if value not in names:
            raise fail(STAGE, f"no {field} has this number", at=where, got=str(value))
        return names[value]
