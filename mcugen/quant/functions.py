"""Which PyTorch functions need their operands on a grid, however a model comes to call them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Role(Enum):
    """What a function does with its operands, hence what it wants of them."""

    LAYER = auto()  # of a tensor by a weight: the layer's own input grid
    POOL = auto()  # averages one tensor: any uniform grid
    PAIR = auto()  # of two tensors: any uniform grid each
    JOIN = auto()  # its result, put together from several tensors, gets one grid


_OPERANDS = {
    Role.LAYER: ("input", "weight"),
    Role.POOL: ("input",),
    Role.PAIR: ("input", "other"),
    Role.JOIN: (),
}


@dataclass(frozen=True)
class Function:
    """A function of the table; `call` is its form that changes no operand."""

    name: str
    role: Role
    call: Callable[..., Tensor]
    in_place: bool = False


@dataclass(frozen=True)
class Call:
    """One call of such a function, with its tensor operands apart from its other arguments."""

    function: Function
    operands: tuple[Tensor, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, operands: Sequence[Tensor]) -> Tensor:
        """The result for other operands; none of them changes."""
        return self.function.call(*operands, *self.args, **self.kwargs)


def _table() -> dict[Callable[..., Any], Function]:
    table: dict[Callable[..., Any], Function] = {}
    alone: dict[Role, tuple[Callable[..., Tensor], ...]] = {
        Role.LAYER: (functional.conv2d, functional.linear, functional.conv_transpose2d),
        Role.POOL: (
            functional.avg_pool2d,
            functional.adaptive_avg_pool2d,
            torch.mean,
            Tensor.mean,
        ),
    }
    for role, calls in alone.items():
        table |= {call: Function(call.__name__, role, call) for call in calls}
    joined = Function("cat", Role.JOIN, torch.cat)
    table |= dict.fromkeys((torch.cat, torch.concat, torch.concatenate), joined)
    for name, same in (("add", ()), ("sub", ("subtract",)), ("mul", ("multiply",))):
        function = Function(name, Role.PAIR, getattr(torch, name))
        for spelling in (name, *same):
            table |= {getattr(torch, spelling): function, getattr(Tensor, spelling): function}
            table[getattr(Tensor, f"{spelling}_")] = replace(function, in_place=True)
    return table


_FUNCTIONS = _table()


def recognize(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call | None:
    """The call of `func`, None where no grid is needed: another function, a number as operand."""
    function = _FUNCTIONS.get(func)
    if function is None:
        return None
    values, rest = list(args), dict(kwargs)
    names = _OPERANDS[function.role]
    for name in names[len(values) :]:
        values.append(rest.pop(name, None))
    operands = tuple(values[: len(names)])
    if not all(isinstance(x, Tensor) and x.is_floating_point() for x in operands):
        return None
    return Call(function, operands, tuple(values[len(names) :]), rest)
