"""How tight the intervals of dense ops are: what inputs made for the purpose attain of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcugen.ir import Program, interp, ops
from mcugen.ir.types import Planes
from scripts.fuzz_lib.samples import driving


@dataclass
class Tightness:
    """Accumulator bounds of dense ops, two for each op."""

    bounds: int = 0
    attained: int = 0
    unpadded: int = 0
    """Of all bounds, those of ops without padding; padding may leave taps out."""
    unpadded_attained: int = 0
    outside: int = 0
    """Bounds that an input broke."""

    def measure(self, programs: Iterable[Program]) -> None:
        """Drive every dense op of `programs` alone, and see where its accumulators end."""
        for program in programs:
            for node in program.nodes:
                if isinstance(node.op, ops.Conv2d | ops.Linear):
                    self._measure(node.op, program)

    def _measure(self, op: ops.Conv2d | ops.Linear, program: Program) -> None:
        x = driving(op, program.env)
        planes = isinstance(program.env.type(op.x).element, Planes)
        values = {op.x: x[None] if planes else x, op.w: program.env.data(op.w)}
        result = interp.evaluate(op, program.env, values.__getitem__)
        element = op.infer(program.env).integer
        low, high = int(result.min()), int(result.max())
        hits = (low == element.lo) + (high == element.hi)
        self.bounds += 2
        self.attained += hits
        self.outside += (low < element.lo) + (high > element.hi)
        if not any(getattr(op, "padding", (0,))):
            self.unpadded += 2
            self.unpadded_attained += hits

    def add(self, other: "Tightness") -> None:
        self.bounds += other.bounds
        self.attained += other.attained
        self.unpadded += other.unpadded
        self.unpadded_attained += other.unpadded_attained
        self.outside += other.outside
