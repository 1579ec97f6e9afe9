"""Division by small known numbers, rounded half away from zero, without a division instruction.

a / n = (a · m) >> shift with m = ⌈2^shift / n⌉, exactly, where a · (m·n − 2^shift) < 2^shift
(Granlund and Montgomery, Division by Invariant Integers using Multiplication, 1994).
"""

from dataclasses import dataclass

from mcugen.kernels.storage import INT32


@dataclass(frozen=True)
class Division:
    """One shift for all divisors."""

    shift: int
    reciprocals: tuple[int, ...]
    """By divisor from 1 on; 0 for those that do not occur."""
    wide: bool
    """The product needs more than 32 bits."""


def division(divisors: tuple[int, ...], reach: int) -> Division | None:
    """How n·`reach` and less, plus n / 2, is divided by each n of `divisors` (rising).

    None where no multiplier of 31 bits does it.
    """
    largest = {n: n * reach + n // 2 for n in divisors}
    for shift in range(divisors[-1].bit_length() + 31):
        multipliers = {n: -(-(1 << shift) // n) for n in divisors}
        if max(multipliers.values()) > INT32.hi or max(largest.values()) > INT32.hi:
            return None
        if all(largest[n] * (m * n - (1 << shift)) < 1 << shift for n, m in multipliers.items()):
            wide = any(largest[n] * m >= 2**32 for n, m in multipliers.items())
            every = tuple(multipliers.get(n, 0) for n in range(1, divisors[-1] + 1))
            return Division(shift, every, wide)
    return None
