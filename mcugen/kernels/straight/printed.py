"""A routine as the emitted C holds it: assembly for one kind of core, and its portable twin."""

from dataclasses import dataclass

from mcugen.kernels.straight import portable, thumb1, thumb2
from mcugen.kernels.straight.routine import Routine
from mcugen.target.cores import Core


@dataclass(frozen=True)
class Parameter:
    name: str
    c: str
    """Type and space, as in `uint32_t *`."""


@dataclass(frozen=True)
class Printed:
    """Context of templates/routine.c.j2."""

    name: str
    purpose: str
    parameters: tuple[Parameter, ...]
    statements: tuple[str, ...]
    advances: tuple[str, ...]
    assembly: tuple[str, ...]


def printed(routine: Routine, core: Core) -> Printed:
    """`routine` with assembly for `core`."""
    armv6m = core.architecture == "armv6-m"
    return Printed(
        name=routine.name,
        purpose=routine.purpose,
        parameters=tuple(Parameter(name, _type(routine, name)) for name in routine.parameters),
        statements=tuple(portable.statements(routine)),
        advances=tuple(
            f"{item.root} += {item.words}{'u' if isinstance(item.words, int) else ''};"
            for item in routine.advances
        ),
        assembly=tuple(thumb1.lines(routine) if armv6m else thumb2.lines(routine)),
    )


def _type(routine: Routine, name: str) -> str:
    if name not in routine.roots:
        return "uint32_t "
    return "uint32_t *" if name == routine.roots[0] else "const uint32_t *"


def architecture_macro(core: Core) -> str:
    """What compilers define where the assembly for `core` can be used."""
    return "__ARM_ARCH_6M__" if core.architecture == "armv6-m" else "__thumb2__"
