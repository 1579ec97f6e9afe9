"""Compute equal things once.

    %2 = requantize %1, @a.m, @a.b {...}     %2 = requantize %1, @a.m, @a.b {...}
    %3 = requantize %1, @b.m, @b.b {...} →   %4 = conv2d %2, @w {...}
    %4 = conv2d %3, @w {...}

where the constants hold equal values: two layers that quantize one tensor on one grid.
"""

from dataclasses import replace

from mcugen.ir.program import Node, Program


def share_common(program: Program) -> Program:
    """The program with each repeated op replaced by its first result."""
    digests = {const.name: const.digest for const in program.consts}
    first: dict[object, str] = {}
    names: dict[str, str] = {}
    kept = []
    for node in program.nodes:
        op = node.op.renamed(names)
        key = op.renamed(digests)
        if key in first:
            names[node.result.name] = first[key]
            continue
        first[key] = node.result.name
        kept.append(Node(node.result, op))
    program = replace(program, output=names.get(program.output, program.output))
    return program.with_nodes(tuple(kept))
