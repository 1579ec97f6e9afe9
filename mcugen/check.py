"""The model in its framework, the integer program and the host's C, element by element."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mcugen.ir import interp
from mcugen.ir.program import Program
from mcugen.run.host import HostModel
from mcugen.run.original import Answer, Original
from mcugen.run.samples import classes, input_boundary, output_boundary, program_levels

BATCH = 250
#: Samples on which memory is checked: what a layer touches does not depend on them.
MEMORY_SAMPLES = 16
Progress = Callable[[int], None]

#: Executions whose classes are compared, with the name of the result.
_PAIRS = (
    ("reference_interpreter", "reference", "interpreter"),
    ("reference_c", "reference", "c"),
    ("interpreter_c", "interpreter", "c"),
)


#: Random samples on which fast rounding is measured.
ROUNDING_SAMPLES = 64


@dataclass(frozen=True)
class Rounding:
    """What fast rounding changes: outputs on random samples, in levels."""

    samples: int
    elements: int
    differing: int
    largest: int


def measured_rounding(exact: Program, fast: Program) -> Rounding:
    """The outputs of a program that rounds once, against those of the exact one."""
    kind = exact.inputs[0].type
    ends, shape = (kind.integer.lo, kind.integer.hi), (ROUNDING_SAMPLES, *kind.shape[1:])
    x = np.random.default_rng(0).integers(*ends, shape, endpoint=True)
    difference = np.abs(interp.run(fast, x) - interp.run(exact, x))
    differing, largest = int(np.count_nonzero(difference)), int(difference.max())
    return Rounding(ROUNDING_SAMPLES, difference.size, differing, largest)


@dataclass(frozen=True)
class LayerAgreement:
    """One value of the program against the reference and against C."""

    name: str
    source: str
    equal: float | None
    """Share of elements on the reference's level; None for values on no quantizer's grid."""
    max_difference: int | None
    """Largest distance from the reference's level, in levels."""
    c_mismatches: int
    """Elements in which C differs from the interpreter."""


@dataclass(frozen=True)
class CheckReport:
    """The JSON document of `mcugen check`; accuracies and agreements are shares of the samples."""

    reference: str
    """The framework that the model is compared with."""
    exact: bool
    """Every element must equal the reference's."""
    samples: int
    accuracy: dict[str, float]
    agreement: dict[str, float]
    mismatched_elements: dict[str, int]
    elements: int
    """Output elements compared."""
    largest_difference: float | None
    """Of C's outputs from the reference's, as real numbers; None where a function was left out."""
    layers: tuple[LayerAgreement, ...] = ()

    @property
    def fell_short(self) -> bool:
        """C differs from the program, or the program from a reference that it promises to equal."""
        if self.mismatched_elements["interpreter_c"] or self.first_difference:
            return True
        off = self.mismatched_elements.get("reference_c") or self.first_off_reference
        return self.exact and bool(off)

    @property
    def first_difference(self) -> str | None:
        """The first layer in which C differs from the interpreter."""
        return next((item.name for item in self.layers if item.c_mismatches), None)

    @property
    def first_off_reference(self) -> str | None:
        """The first layer in which the interpreter differs from the reference."""
        return next((item.name for item in self.layers if item.max_difference), None)


@dataclass
class _Counts:
    """Sums over the batches so far."""

    samples: int = 0
    right: dict[str, int] = field(default_factory=dict)
    same_class: dict[str, int] = field(default_factory=dict)
    mismatched: dict[str, int] = field(default_factory=dict)
    elements: int = 0
    largest_difference: float | None = None
    layer_equal: dict[str, int] = field(default_factory=dict)
    layer_elements: dict[str, int] = field(default_factory=dict)
    layer_difference: dict[str, int] = field(default_factory=dict)
    layer_c: dict[str, int] = field(default_factory=dict)


def _count(table: dict[str, int], key: str, amount: int | np.integer) -> None:
    table[key] = table.get(key, 0) + int(amount)


@dataclass(frozen=True)
class Checker:
    """The three executions of one model."""

    original: Original
    program: Program
    host: HostModel
    exact: bool
    """See `CheckReport`."""

    def run(self, x: np.ndarray, y: np.ndarray, *, layers: bool, progress: Progress) -> CheckReport:
        """Compare on samples x [N, ...] (real, the model's order) with labels y [N].

        Args:
            x: samples in [0, 1] (see `Boundary.taken`).
            y: class of each sample.
            layers: compare every quantized tensor too.
            progress: called with the number of samples done since the last call.

        Raises:
            McugenError: the samples do not fit the model, or a layer of the C touches memory that
                is not its own.
        """
        boundary = input_boundary(self.program)
        self.host.check_memory(boundary.levels(boundary.taken(x[:MEMORY_SAMPLES])))
        counts = _Counts()
        for first in range(0, len(x), BATCH):
            batch = boundary.taken(x[first : first + BATCH])
            levels = boundary.levels(batch)
            answer = self.original.answer(batch, layers)
            values = interp.trace(self.program, levels)
            c = self.host.run_batch(levels)
            self._compare(counts, answer, values[self.program.output], c, y[first:][:BATCH])
            if layers:
                self._compare_layers(counts, values, answer)
                self._compare_c(counts, values, self.host.trace(levels))
            progress(len(batch))
        return self._report(counts)

    def _compare(
        self,
        counts: _Counts,
        answer: Answer,
        program_output: np.ndarray,
        c: np.ndarray,
        y: np.ndarray,
    ) -> None:
        boundary = output_boundary(self.program)
        c = c.reshape(program_output.shape)
        predicted = {
            "reference": classes(answer.output),
            "interpreter": classes(program_output),
            "c": classes(c),
        }
        for name, found in predicted.items():
            _count(counts.right, name, (found == y).sum())
        for key, one, other in _PAIRS:
            _count(counts.same_class, key, (predicted[one] == predicted[other]).sum())
        _count(counts.mismatched, "interpreter_c", (program_output != c).sum())
        if self.program.output_function is None:
            distance = np.abs(boundary.real(c) - answer.output.reshape(boundary.real(c).shape))
            off = distance > 0.5001 * np.max(boundary.meaning.scale)
            _count(counts.mismatched, "reference_c", off.sum())
            counts.largest_difference = max(counts.largest_difference or 0.0, float(distance.max()))
        counts.elements += c.size
        counts.samples += len(y)

    def _compare_layers(
        self,
        counts: _Counts,
        values: dict[str, np.ndarray],
        answer: Answer,
    ) -> None:
        for name, want in answer.levels.items():
            got = program_levels(self.program.values[name], values[name])
            difference = np.abs(got.reshape(len(got), -1) - want.reshape(len(got), -1))
            _count(counts.layer_equal, name, (difference == 0).sum())
            _count(counts.layer_elements, name, difference.size)
            worst = counts.layer_difference.get(name, 0)
            counts.layer_difference[name] = max(worst, int(difference.max()))

    def _compare_c(
        self, counts: _Counts, values: dict[str, np.ndarray], traced: dict[str, np.ndarray]
    ) -> None:
        for name, found in traced.items():
            _count(counts.layer_c, name, (found.ravel() != values[name].ravel()).sum())

    def _report(self, counts: _Counts) -> CheckReport:
        compared = {*counts.layer_equal, *counts.layer_c}
        ordered = [name for name in self.program.values if name in compared]
        return CheckReport(
            self.original.title,
            self.exact,
            counts.samples,
            {name: right / counts.samples for name, right in counts.right.items()},
            {name: same / counts.samples for name, same in counts.same_class.items()},
            counts.mismatched,
            counts.elements,
            counts.largest_difference,
            tuple(
                LayerAgreement(
                    name,
                    str(self.program.values[name].source or ""),
                    _share(counts, name),
                    counts.layer_difference.get(name),
                    counts.layer_c.get(name, 0),
                )
                for name in ordered
            ),
        )


def _share(counts: _Counts, name: str) -> float | None:
    if name not in counts.layer_equal:
        return None
    return counts.layer_equal[name] / counts.layer_elements[name]
