"""Which kernel computes each step: the fastest, or the smallest, of those that fit the flash.

Predicted cycles rank kernels; cycles measured on the timing model (`mcugen.profile.tune`) take
their place where there are any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from mcugen.errors import Fault, McugenError, fail
from mcugen.kernels import able
from mcugen.kernels.base import Kernel, Recipe
from mcugen.kernels.step import Step
from mcugen.target.cores import Core


class Optimize(StrEnum):
    """What a user wants least of."""

    SPEED = "speed"
    """Cycles."""
    SIZE = "size"
    """Flash: constants and code."""
    RAM = "ram"
    """RAM: input, output, everything between, and the kernels' own memory."""


#: Bytes of flash that speed may take, all layers together, beyond their smallest kernels.
FLASH_SPARE = 32_768


@dataclass(frozen=True)
class Wishes:
    """How kernels are chosen."""

    optimize: Optimize = Optimize.SPEED
    flash_limit: int | None = None
    """Bytes of constants and code (estimated) that kernels keep to where they can."""
    flash_spare: int | None = FLASH_SPARE
    """Bytes that they may take beyond the smallest kernels; None: all that the limit leaves."""
    ram_limit: int | None = None
    """Bytes of RAM that the arena keeps to where it can (see `mcugen.plan.arrange`)."""
    kernels: Mapping[str, str] = field(default_factory=dict)
    """Kernels that must be taken, by the name of the value that the step stores."""
    cycles: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Measured cycles, by value and kernel."""


DEFAULT = Wishes()


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kernel for a step; what it takes is built when somebody asks."""

    step: Step
    kernel: Kernel
    core: Core
    cycles: int

    @cached_property
    def recipe(self) -> Recipe:
        return self.kernel.build(self.step, self.core)

    @property
    def flash_bytes(self) -> int:
        """Constants, and an estimate of the code."""
        return self.recipe.constant_bytes + self.recipe.code_bytes


def candidates(step: Step, core: Core, wishes: Wishes) -> tuple[Candidate, ...]:
    """Every kernel that computes `step` on `core`, the chosen one first.

    Raises:
        McugenError: there is none, or the one that must be taken cannot compute the step.
    """
    value = step.output.name
    found = [Candidate(step, kernel, core, kernel.cost(step, core)) for kernel in able(step, core)]
    found = [replace(c, cycles=wishes.cycles.get((value, c.kernel.name), c.cycles)) for c in found]
    if forced := wishes.kernels.get(value):
        found = [item for item in found if item.kernel.name == forced]
        if not found:
            raise fail("plan", f"kernel {forced} cannot compute the step", at=step.where)
    if wishes.optimize is Optimize.SIZE:
        found.sort(key=lambda item: (item.flash_bytes, item.cycles))
    else:
        found.sort(key=lambda item: item.cycles)
    return tuple(found)


def options(steps: tuple[Step, ...], core: Core, wishes: Wishes) -> list[tuple[Candidate, ...]]:
    """The kernels of every step, each step's chosen one first.

    Raises:
        McugenError: steps that no kernel computes; the faults of all steps come together.
    """
    found: list[tuple[Candidate, ...]] = []
    faults: list[Fault] = []
    for step in steps:
        try:
            found.append(candidates(step, core, wishes))
            found[-1][0].recipe  # noqa: B018 - building finds faults too
        except McugenError as error:
            faults.extend(error.faults)
    if faults:
        raise McugenError("plan", faults)
    return found


def taken(options: Sequence[Sequence[Candidate]], wishes: Wishes) -> list[Candidate]:
    """The kernel of every step: the first of its options, or smaller ones where flash is limited.

    Smaller ones until all keep to the limits, or none is smaller: each time the one that costs
    the fewest cycles per byte it saves.
    """
    chosen = [found[0] for found in options]
    limit = _flash_limit(options, wishes)
    while limit is not None and sum(item.flash_bytes for item in chosen) > limit:
        smaller = [
            ((item.cycles - now.cycles) / (now.flash_bytes - item.flash_bytes), index, rank, item)
            for index, now in enumerate(chosen)
            for rank, item in enumerate(options[index])
            if item.flash_bytes < now.flash_bytes
        ]
        if not smaller:
            break
        _, index, _, best = min(smaller, key=lambda entry: entry[:3])
        chosen[index] = best
    return chosen


def _flash_limit(options: Sequence[Sequence[Candidate]], wishes: Wishes) -> int | None:
    if wishes.flash_spare is None:
        return wishes.flash_limit
    least = sum(min(item.flash_bytes for item in found) for found in options)
    limits = [least + wishes.flash_spare]
    limits += [wishes.flash_limit] if wishes.flash_limit is not None else []
    return min(limits)


def rounds(steps: tuple[Step, ...], core: Core, wishes: Wishes = DEFAULT) -> tuple[Wishes, ...]:
    """Wishes that together take every candidate of every step once: the chosen ones first.

    Round r takes the candidate of rank r, and the last where a step has fewer.
    """
    ranked = {step.output.name: candidates(step, core, wishes) for step in steps}
    most = max((len(found) for found in ranked.values()), default=0)
    return tuple(
        replace(
            wishes,
            kernels={
                value: found[min(rank, len(found) - 1)].kernel.name
                for value, found in ranked.items()
            },
        )
        for rank in range(most)
    )
