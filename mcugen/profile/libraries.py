"""The one place where Unicorn and Capstone are imported: optional, and for profiling only."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from mcugen.errors import fail


@dataclass(frozen=True)
class Libraries:
    """The modules of the `profile` extra."""

    unicorn: ModuleType
    unicorn_arm: ModuleType
    capstone: ModuleType
    capstone_arm: ModuleType


def libraries() -> Libraries:
    """Unicorn and Capstone.

    Raises:
        McugenError: one of them is not installed.
    """
    try:
        return Libraries(
            unicorn=import_module("unicorn"),
            unicorn_arm=import_module("unicorn.arm_const"),
            capstone=import_module("capstone"),
            capstone_arm=import_module("capstone.arm"),
        )
    except ImportError as error:
        raise fail(
            "profile",
            "emulation needs the packages unicorn and capstone",
            got=str(error),
            help="pip install 'mcugen[profile]'",
        ) from error
