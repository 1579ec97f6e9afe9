"""The kernels that could compute each layer, with their cycles as predicted and as measured."""

from collections.abc import Callable
from dataclasses import dataclass

from mcugen.emit import emit, write
from mcugen.interrupts import scratch_folder
from mcugen.ir.program import Program
from mcugen.kernels.step import Step
from mcugen.plan.arrange import arrange
from mcugen.plan.choice import Wishes, candidates, rounds
from mcugen.plan.steps import fuse
from mcugen.profile.profile import profile
from mcugen.target.cores import Core

#: By the value that a step stores, and the kernel.
Cycles = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Alternative:
    """One kernel for one layer."""

    layer: str
    op: str
    kernel: str
    chosen: bool
    macs: int
    predicted: int
    """Cycles as the kernel's cost says."""
    measured: int
    """Cycles on the timing model, for a random input."""
    constants: int
    """Bytes of weights and tables."""
    scratch: int
    """Bytes of RAM beside input and output."""


class Tuner:
    """Measures the candidates of every step of a program on a core's timing model."""

    def __init__(self, program: Program, core: Core, wishes: Wishes) -> None:
        self._program, self._core, self._wishes = program, core, wishes
        fused = fuse(program)
        self._steps: tuple[Step, ...] = fused.steps
        self._taken = arrange(program, fused, core, wishes).taken.kernels
        self._rounds = rounds(self._steps, core, wishes)

    @property
    def runs(self) -> int:
        """How often `measure` compiles and runs the model: once per candidate of a step."""
        return len(self._rounds)

    def measure(self, progress: Callable[[int], None]) -> Cycles:
        """Cycles of every candidate; `progress` is called with 1 after each run.

        Raises:
            McugenError: as `profile` and `emit`.
        """
        found: Cycles = {}
        for wish in self._rounds:
            emitted = emit(self._program, self._core, "tune", wishes=wish)
            with scratch_folder() as scratch:
                write(scratch / "model", emitted)
                report = profile(scratch / "model", self._core)
            for layer, cost in zip(emitted.manifest.layers, report.layers, strict=True):
                found[layer.value, layer.kernel] = cost.cycles
            progress(1)
        return found

    def alternatives(self, cycles: Cycles) -> tuple[Alternative, ...]:
        """Every candidate of every layer, in the layers' order, the chosen one first."""
        return tuple(
            Alternative(
                layer=step.title,
                op=step.operation,
                kernel=item.kernel.name,
                chosen=item.kernel.name == self._taken[step.output.name],
                macs=step.macs,
                predicted=item.cycles,
                measured=cycles[step.output.name, item.kernel.name],
                constants=item.recipe.constant_bytes,
                scratch=item.recipe.scratch_bytes,
            )
            for step in self._steps
            for item in sorted(
                candidates(step, self._core, self._wishes),
                key=lambda item: item.kernel.name != self._taken[item.step.output.name],
            )
        )
