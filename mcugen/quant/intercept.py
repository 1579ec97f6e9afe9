"""How activation quantizers get into a model that nobody rewrites.

While the model runs, a `TorchFunctionMode` sees every function call, whether `nn.Conv2d`, `x + y`
or `F.avg_pool2d` makes it, and sends the operands of those in `functions.py` through quantizers.
Which, a plan says that calibration made from one run (`placement.py`): the calls in their order,
for each operand the names of its quantizers. `torch.export` runs the same code, so that they are in
the graph.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from mcugen.errors import McugenError, fail
from mcugen.quant.functions import Call, recognize
from mcugen.quant.quantizer import Quantizer
from mcugen.quant.wishes import Wishes

HOLDER = "activation_quantizers"
Chain = tuple[str, ...]  # names of quantizers, the first one first


@dataclass(frozen=True)
class Site:
    """One call of the plan: where, what, and the quantizers of each operand and of the result."""

    owner: str
    function: str
    operands: tuple[Chain, ...] = ()
    result: Chain = ()

    def __str__(self) -> str:
        return f"{self.function} in '{self.owner}'" if self.owner else self.function


class Interceptor(TorchFunctionMode):
    """Hands the calls that need grids to `perform`.

    An operand that is changed in place is left as it was, and its new value takes its place in
    every later call: quantizing it first would change a copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self._new_values: dict[int, tuple[Tensor, Tensor]] = {}  # the old one stays, so its id does

    def perform(self, call: Call) -> Tensor | None:
        """The call's result, or None to have the call made as it was written."""
        raise NotImplementedError

    def current(self, values: Any) -> Any:
        """The values, nested in any way, with what became of tensors changed in place."""
        if not self._new_values:
            return values
        return pytree.tree_map_only(Tensor, self._newest, values)

    def _newest(self, x: Tensor) -> Tensor:
        while id(x) in self._new_values:
            x = self._new_values[id(x)][1]
        return x

    def __torch_function__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> Any:
        args, kwargs = self.current((args, kwargs or {}))
        call = recognize(func, args, kwargs)
        result = self.perform(call) if call is not None else None
        if call is None or result is None:
            return func(*args, **kwargs)
        if call.function.in_place:
            self._new_values[id(args[0])] = args[0], result
        return result


class ActivationQuantizers(nn.Module):
    """Holds the quantizers of a model's input and of all its operands, and the plan.

    It computes nothing when called, since a Sequential calls all its children.
    """

    def __init__(self, input: Quantizer, wishes: Wishes) -> None:
        super().__init__()
        self.add_module("input", input)
        self.wishes = wishes
        self.plan: tuple[Site, ...] | None = None
        self.tracer: Interceptor | None = None  # takes the plan's place while there is none

    def forward(self, x: Tensor) -> Tensor:
        return x

    def named(self) -> dict[str, Quantizer]:
        """The quantizers by name, the input's first."""
        return {name: q for name, q in self.named_children() if isinstance(q, Quantizer)}

    def apply_chain(self, chain: Chain, x: Tensor) -> Tensor:
        """`x` through the quantizers of these names."""
        for name in chain:
            x = self.get_submodule(name)(x)
        return x


def holder_of(model: nn.Module) -> ActivationQuantizers:
    """What `quantize_` put into the model.

    Raises McugenError for a model that it did not prepare.
    """
    holder = getattr(model, HOLDER, None)
    if not isinstance(holder, ActivationQuantizers):
        raise fail("quant", "the model has no quantizers", help="call mcugen.quant.quantize_ first")
    return holder


def install(model: nn.Module, holder: ActivationQuantizers) -> None:
    """Puts the holder into the model and its quantizers in the way of the model's calls."""
    model.add_module(HOLDER, holder)
    # Not hooks: a Ctrl-C inside the model would skip the one that leaves the mode. The partial
    # refers to the model, not to a closure, so that a deep copy refers to the copy.
    run = functools.partial(_run, model, model.forward)
    model.forward = functools.update_wrapper(run, model.forward)


def _run(
    model: nn.Module, forward: Callable[..., Any], x: Tensor, /, *args: Any, **kwargs: Any
) -> Any:
    holder = holder_of(model)
    x = holder.apply_chain(("input",), x)
    mode = holder.tracer or _Replay(holder)
    with mode:
        result = forward(x, *args, **kwargs)
    if isinstance(mode, _Replay):
        mode.check_end()
    return mode.current(result)


class _Replay(Interceptor):
    """One run of a calibrated model: follows the plan call by call."""

    def __init__(self, holder: ActivationQuantizers) -> None:
        super().__init__()
        if holder.plan is None:
            raise fail(
                "quant",
                "an activation quantizer has no scale yet",
                help="run mcugen.quant.calibrate(model, batches) first",
            )
        self._holder = holder
        self._sites = iter(holder.plan)

    def perform(self, call: Call) -> Tensor | None:
        site = next(self._sites, None)
        if site is None or site.function != call.function.name:
            raise _differs(call.function.name, str(site) if site else "the end")
        if not any(site.operands) and not site.result:
            return None
        pairs = zip(site.operands, call.operands, strict=True)
        result = call.run([self._holder.apply_chain(chain, x) for chain, x in pairs])
        return self._holder.apply_chain(site.result, result)

    def check_end(self) -> None:
        """Raises McugenError where calls of the plan were not made."""
        site = next(self._sites, None)
        if site is not None:
            raise _differs("the end", str(site))


def _differs(got: str, want: str) -> McugenError:
    return fail(
        "quant",
        "the model makes other calls than in calibration",
        got=got,
        want=want,
        help="its forward must make the same sums, products, pools and layers every time, "
        "in training as in evaluation",
    )
