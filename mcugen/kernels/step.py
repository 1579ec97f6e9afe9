"""A step: what one kernel computes, one call in the emitted `NAME_run`."""

from dataclasses import dataclass

from mcugen.ir.ops import Env, Op
from mcugen.ir.program import Node, Source
from mcugen.ir.types import Int, Planes, TensorType
from mcugen.kernels.storage import Storage, storage_of


@dataclass(frozen=True)
class Port:
    """A tensor that a step reads or writes at run time."""

    name: str
    type: TensorType
    storage: Storage

    @property
    def is_integer(self) -> bool:
        return isinstance(self.type.element, Int)


def port(name: str, kind: TensorType) -> Port:
    return Port(name, kind, storage_of(kind))


@dataclass(frozen=True)
class Step:
    """A main op with an optional fused epilogue; at least one of them is there.

    `accumulator` is what the epilogue reads: the main op's result, or the step's input where the
    epilogue stands alone. `env` answers questions about constants.
    """

    main: Node | None
    epilogue: Node | None
    inputs: tuple[Port, ...]
    accumulator: TensorType
    output: Port
    env: Env

    @property
    def head(self) -> Node:
        """The node that gives the step its name."""
        node = self.main or self.epilogue
        assert node is not None  # held by plan.steps.fuse
        return node

    @property
    def op(self) -> Op:
        return self.head.op

    @property
    def source(self) -> Source | None:
        return self.head.result.source

    @property
    def title(self) -> str:
        """The module in the user's model, or what the step computes."""
        source = self.source
        return (source and (source.module or source.node)) or self.op.mnemonic

    @property
    def operation(self) -> str:
        """What the step computes, as in `conv2d + threshold`."""
        nodes = [node.op.mnemonic for node in (self.main, self.epilogue) if node]
        return " + ".join(nodes)

    @property
    def where(self) -> str:
        """Where the step came from, for errors."""
        source = f" ({self.source})" if self.source else ""
        return f"{self.head.result.name} = {self.op.mnemonic}{source}"

    def main_is(self, kind: type[Op]) -> bool:
        return self.main is not None and isinstance(self.main.op, kind)

    @property
    def reads_integers(self) -> bool:
        return all(item.is_integer for item in self.inputs)

    @property
    def planes_in(self) -> int:
        """Bit planes of the (first) input; none in integers."""
        element = self.inputs[0].type.element
        return element.count if isinstance(element, Planes) else 0

    @property
    def macs(self) -> int:
        return self.main.op.macs(self.env) if self.main else 0
