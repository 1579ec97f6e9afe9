"""What a kernel is: the descriptor that the planner asks, and what it answers.

A kernel is one file here and one template `templates/kernels/<name>.c.j2`. `accepts` says which
steps it can compute on which core, `cost` predicts its cycles (rough, but monotone in the work: its
only use is to rank kernels that accept the same step), `build` packs the constants and computes
every value that the template lays out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mcugen.kernels.constants import Constant
from mcugen.kernels.epilogue import Epilogue
from mcugen.kernels.step import Step
from mcugen.kernels.straight.routine import Routine
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Recipe:
    """One step as a kernel will compute it.

    `overlaps` says, per input, how far above the output's first byte that input must begin for the
    kernel to overwrite it while reading (every byte is then read before it is written); None where
    the two must not overlap. `in_place`: the only input may begin where the output does, though it
    must not overlap it in another way.
    """

    context: object
    """Ready-made values for the template, which sees them as `k`."""
    constants: tuple[Constant, ...]
    overlaps: tuple[int | None, ...]
    epilogue: Epilogue | None
    """The function that turns an accumulator into an output element, where the kernel uses one."""
    in_place: bool = False
    scratch_bytes: int = 0
    code_bytes: int = 400
    """Rough, for ranking by size; what the linker makes of it is in `mcugen build`."""
    helpers: frozenset[str] = frozenset()
    """Shared functions that it calls: each a template in templates/helpers/ and its arguments."""
    routines: tuple[Routine, ...] = ()
    """Straight-line routines that it calls; layers with equal ones share them."""

    @property
    def constant_bytes(self) -> int:
        """Weights and tables, those of the epilogue included."""
        own = self.epilogue.constants if self.epilogue else ()
        return sum(item.bytes for item in (*self.constants, *own))

    @property
    def all_helpers(self) -> frozenset[str]:
        """Those that its epilogue calls included."""
        return self.helpers | (self.epilogue.helpers if self.epilogue else frozenset())


@dataclass(frozen=True)
class Kernel:
    """The descriptor of one kernel."""

    name: str
    supports: str
    """What it accepts, in a sentence for error messages and `mcugen ops`."""
    accepts: Callable[[Step, Core], bool]
    cost: Callable[[Step, Core], int]
    """Predicted cycles; see the module's docstring."""
    build: Callable[[Step, Core], Recipe]
