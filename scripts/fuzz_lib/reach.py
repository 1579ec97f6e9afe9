"""What a run reached: kernels with their epilogues on each core, and ops."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcugen.emit import Emitted
from mcugen.emit.manifest import Layer
from mcugen.ir import Program
from mcugen.ir.ops import OPS
from mcugen.kernels import KERNELS

#: Random programs have no states: tests/ir/test_states.py runs sequences through all back ends.
ELSEWHERE = {"state_write"}
EPILOGUES = ("requantize", "threshold", "lookup")


@dataclass
class Reach:
    """Counts; those of several runs add up."""

    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Layers by kernel, epilogue and core."""
    ops: Counter[str] = field(default_factory=Counter)

    def count(self, programs: Iterable[Program], emitted: Iterable[tuple[str, Emitted]]) -> None:
        """Add what one batch reached."""
        for program in programs:
            self.ops.update(node.op.mnemonic for node in program.nodes)
        for core, item in emitted:
            for layer in item.manifest.layers:
                self.cells[layer.kernel, _epilogue(layer), core] += 1

    def add(self, other: "Reach") -> None:
        self.cells += other.cells
        self.ops += other.ops

    @property
    def missing(self) -> list[str]:
        """Kernels and ops that were never hit."""
        hit = {kernel for kernel, _, _ in self.cells}
        kernels = [kernel.name for kernel in KERNELS if kernel.name not in hit]
        return sorted({*kernels, *(op for op in OPS if not self.ops[op])} - ELSEWHERE)


def _epilogue(layer: Layer) -> str:
    name = next((word for word in EPILOGUES if layer.op.endswith(word)), "none")
    return f"{name} to planes" if name != "none" and layer.out_dtype == "bits" else name
