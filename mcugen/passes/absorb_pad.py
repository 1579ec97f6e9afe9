"""Let a convolution pad its input itself where a border of real zero stands in front of it.

    %1 = pad %x {padding, value=z}             %2 = conv2d %x, @w {padding', x_zero=z}
    %2 = conv2d %1, @w {padding, x_zero=z} →

Taps outside the image count for nothing, as those on a border of the zero point do. The padded
image never lies in memory.
"""

from dataclasses import replace

from mcugen.ir.ops import Conv2d, Op, Pad
from mcugen.ir.program import Node, Program
from mcugen.passes.drop_dead import drop_dead
from mcugen.passes.retype import retyped


def absorb_pad(program: Program) -> Program:
    """The program with such borders as padding of the convolutions behind them."""
    pads = {node.result.name: node.op for node in program.nodes if isinstance(node.op, Pad)}
    nodes = tuple(Node(node.result, _absorbed(node.op, pads)) for node in program.nodes)
    return drop_dead(retyped(program.with_nodes(nodes)))


def _absorbed(op: Op, pads: dict[str, Pad]) -> Op:
    if not isinstance(op, Conv2d):
        return op
    pad = pads.get(op.x)
    if pad is None or pad.value != op.x_zero:
        return op
    top, bottom, left, right = (a + b for a, b in zip(op.padding, pad.padding, strict=True))
    return replace(op, x=pad.x, padding=(top, bottom, left, right))
