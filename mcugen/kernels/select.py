"""When a larger value can be picked by the sign of a difference, without a branch."""

from mcugen.kernels.step import Port
from mcugen.kernels.storage import INT32


def difference_fits(item: Port) -> bool:
    """The difference of any two values of `item` fits 32 bits."""
    element = item.type.integer
    return element.hi - element.lo <= INT32.hi
