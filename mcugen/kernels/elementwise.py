"""The loop that elementwise kernels share: templates/elementwise.j2 lays it out."""

from dataclasses import dataclass

from mcugen.kernels.base import Recipe
from mcugen.kernels.epilogue import epilogue_of
from mcugen.kernels.step import Step
from mcugen.kernels.window import elementwise_overlap


@dataclass(frozen=True)
class Context:
    pixels: int
    channels: int
    value: str
    """The accumulator, from elements in_0[i], in_1[i] ..."""


def recipe(step: Step, value: str) -> Recipe:
    """A recipe that stores the epilogue of `value` for every element, in memory order."""
    epilogue = epilogue_of(step)
    size, channels = step.accumulator.size, step.accumulator.channels
    by_channel = epilogue.per_channel or not step.output.is_integer
    shape = (size // channels, channels) if by_channel else (1, size)
    return Recipe(Context(*shape, value), (), elementwise_overlap(step), epilogue)
