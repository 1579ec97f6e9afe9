"""A routine: a network run again and again over memory, one function in the emitted C."""

from dataclasses import dataclass

from mcugen.kernels.straight.gates import Gate, Kind, needed
from mcugen.kernels.straight.networks import lanewise, prefixed, tabulated


@dataclass(frozen=True)
class Advance:
    """How far a root moves on after each run: a number of words, or the parameter that says."""

    root: str
    words: int | str


@dataclass(frozen=True)
class Routine:
    """A function of roots, the number of runs `count`, and the parameters among the advances.

    Every parameter is a pointer to words or an unsigned number of 32 bits. Two layers that need
    equal routines share one.
    """

    name: str
    """Behind the model's prefix."""
    purpose: str
    gates: tuple[Gate, ...]
    roots: tuple[str, ...]
    advances: tuple[Advance, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        steps = [item.words for item in self.advances if isinstance(item.words, str)]
        return (*self.roots, "count", *steps)

    @property
    def code_bytes(self) -> int:
        """Roughly what it takes on Armv7-M."""
        lookups = sum(gate.kind is Kind.LOOKUP for gate in self.gates)
        return 100 + 4 * len(self.gates) + 10 * lookups


def tabulated_counts(inputs: int, planes: int) -> Routine:
    """Runs `networks.tabulated` for `count` pixels that share a table."""
    return Routine(
        name=f"tabulated_{inputs}_{planes}",
        purpose=f"Adds {inputs} inputs of each pixel to counters of {planes} planes, by a table.",
        gates=needed(tabulated(inputs, planes).gates),
        roots=("counter", "x", "table"),
        advances=(Advance("counter", "counter_step"), Advance("x", "x_step")),
    )


def prefixed_counts(inputs: int, planes: int) -> Routine:
    """Runs `networks.prefixed` for `count` tiles of inputs behind each other."""
    return Routine(
        name=f"prefixed_{inputs}_{planes}",
        purpose=f"Adds {inputs} inputs a run to counters of {planes} planes, from prefix XORs.",
        gates=needed(prefixed(inputs, planes).gates),
        roots=("counter", "x", "weights"),
        advances=(Advance("x", inputs // 32), Advance("weights", inputs)),
    )


def lanewise_counts(inputs: int, planes: int) -> Routine:
    """Runs `networks.lanewise` once."""
    return Routine(
        name=f"lanewise_{inputs}_{planes}",
        purpose=f"Adds {inputs} inputs of each lane to counters of {planes} planes.",
        gates=needed(lanewise(inputs, planes).gates),
        roots=("counter", "x", "weights"),
        advances=(),
    )
