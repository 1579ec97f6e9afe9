"""How tight the intervals of dense ops are: what inputs made for the purpose attain of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mcugen.ir import Program, interp, ops
from mcugen.ir.ops import Env
from mcugen.ir.types import Planes
from scripts.fuzz_lib.samples import driving, ends, taps_inside


@dataclass
class Tightness:
    """Accumulator bounds of dense ops, two for each op."""

    bounds: int = 0
    attained: int = 0
    whole: int = 0
    """Of all bounds, those of ops as networks have them: see `_is_whole`."""
    whole_attained: int = 0
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
        source = program.env.type(op.x).element
        if isinstance(source, Planes):
            x = np.stack([x] * source.count)
        values = {op.x: x, op.w: program.env.data(op.w)}
        result = interp.evaluate(op, program.env, values.__getitem__)
        element = op.infer(program.env).integer
        low, high = int(result.min()), int(result.max())
        hits = (low == element.lo) + (high == element.hi)
        self.bounds += 2
        self.attained += hits
        self.outside += (low < element.lo) + (high > element.hi)
        if _is_whole(op, program.env):
            self.whole += 2
            self.whole_attained += hits

    def add(self, other: "Tightness") -> None:
        self.bounds += other.bounds
        self.attained += other.attained
        self.whole += other.whole
        self.whole_attained += other.whole_attained
        self.outside += other.outside


def _is_whole(op: ops.Conv2d | ops.Linear, env: Env) -> bool:
    """Some window lies wholly inside the image, and where others do not, zero is in the interval.

    Elsewhere the interval allows for taps to be missing that never are, or never are together.
    """
    if isinstance(op, ops.Linear) or not any(op.padding):
        return True
    kind, size = env.type(op.x), env.type(op.w).shape[1:3]
    reach = kind.element.reach if isinstance(kind.element, Planes) else 1
    lo, hi = (end * reach for end in ends(kind))
    windows = zip(op.windows((size[0], size[1])), kind.shape[1:3], size, strict=True)
    inside = all(len(taps_inside(window, extent)) == taps for window, extent, taps in windows)
    return inside and lo <= op.x_zero <= hi
