"""Program to program. The order is this tuple; the verifier runs after each pass."""

from collections.abc import Callable

from mcugen.ir.program import Program
from mcugen.ir.verify import verify
from mcugen.passes.absorb_direction import absorb_direction
from mcugen.passes.absorb_pad import absorb_pad
from mcugen.passes.drop_dead import drop_dead
from mcugen.passes.remove_constant_channels import remove_constant_channels
from mcugen.passes.requantize_rescale import requantize_rescale
from mcugen.passes.requantize_sum import requantize_sum
from mcugen.passes.requantize_threshold import requantize_threshold
from mcugen.passes.share_common import share_common

Pass = Callable[[Program], Program]

#: `drop_dead` comes first: a frontend leaves what nobody reads, and the verifier refuses that.
PIPELINE: tuple[Pass, ...] = (
    drop_dead,
    absorb_pad,
    requantize_sum,
    requantize_rescale,
    share_common,
    absorb_direction,
    requantize_threshold,
    remove_constant_channels,
)


def optimize(program: Program) -> Program:
    """`program` after every pass.

    Raises:
        McugenError: a pass made a program that does not verify.
    """
    for transform in PIPELINE:
        program = verify(transform(program), after=transform.__name__)
    return program
