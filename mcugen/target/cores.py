"""The Cortex-M cores mcugen knows: compiler flags and the features kernels may rely on."""

from dataclasses import dataclass

from mcugen.errors import fail


@dataclass(frozen=True)
class Core:
    """One core. Floating point is never used, so the soft-float ABI holds everywhere."""

    name: str
    architecture: str
    dsp: bool
    """Armv7E-M / Armv8-M DSP extension: SMLAD, SXTB16, USAT16 ..."""
    multiply_long: bool
    """SMULL and SMLAL: 32 × 32 → 64 in hardware."""
    unaligned: bool
    """Word loads from any address."""
    like: str | None = None
    """The core whose instructions the code is made of, where they are not all of its own."""

    @property
    def instruction_set(self) -> str:
        """The core that compiler and emulator are told."""
        return self.like or self.name

    @property
    def gcc_flags(self) -> tuple[str, ...]:
        return (f"-mcpu={self.instruction_set}", "-mthumb", "-mfloat-abi=soft")


_CORES = (
    Core("cortex-m0", "armv6-m", dsp=False, multiply_long=False, unaligned=False),
    Core("cortex-m0plus", "armv6-m", dsp=False, multiply_long=False, unaligned=False),
    Core("cortex-m3", "armv7-m", dsp=False, multiply_long=True, unaligned=True),
    Core("cortex-m4", "armv7e-m", dsp=True, multiply_long=True, unaligned=True),
    Core("cortex-m7", "armv7e-m", dsp=True, multiply_long=True, unaligned=True),
    Core("cortex-m33", "armv8-m.main", dsp=True, multiply_long=True, unaligned=True),
    # Vectors and hardware loops stay unused: gcc has vectors only with floating-point registers.
    Core(
        "cortex-m55",
        "armv8-m.main",
        dsp=True,
        multiply_long=True,
        unaligned=True,
        like="cortex-m33",
    ),
)

CORES: dict[str, Core] = {core.name: core for core in _CORES}


def core_named(name: str) -> Core:
    """The core called `name`.

    Raises:
        McugenError: no core of that name.
    """
    if name not in CORES:
        raise fail("target", f"unknown core '{name}'", help=f"known cores: {', '.join(CORES)}")
    return CORES[name]
