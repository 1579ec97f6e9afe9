"""Remove what the output does not depend on.

%1 = conv2d %x, @w {...}                 %1 = conv2d %x, @w {...}
%2 = lookup %1, @unused          →       output %1
output %1
"""

from mcugen.ir.program import Program


def drop_dead(program: Program) -> Program:
    """The program without nodes and constants that nothing reads."""
    needed = set(program.wanted)
    kept = []
    for node in reversed(program.nodes):
        if node.result.name in needed:
            needed.update(node.op.operands)
            kept.append(node)
    return program.with_nodes(tuple(reversed(kept)))
