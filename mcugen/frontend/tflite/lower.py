"""From a .tflite graph to the integer program: a handler for each operator, in the file's order."""

from mcugen.errors import McugenError, fail
from mcugen.frontend.tflite.context import STAGE, Context
from mcugen.frontend.tflite.edges import first_tensor, is_edge, last_tensor
from mcugen.frontend.tflite.graph import Graph, Operator
from mcugen.frontend.tflite.handlers import HANDLERS
from mcugen.ir.program import Program


def lower(graph: Graph, name: str) -> Program:
    """The integer program of a .tflite graph; not yet verified.

    Raises:
        McugenError: every fault found: operators without a lowering, types and shapes that an
            operator does not take, accumulators that could overflow.
    """
    ctx = Context(graph)
    ctx.input(first_tensor(graph))
    for operator in graph.operators:
        if not is_edge(graph, operator):
            _lower_operator(ctx, operator)
    if ctx.faults:
        raise McugenError(STAGE, ctx.faults)
    output = ctx.refs.get(last_tensor(graph).index)
    if output is None or not ctx.builder.nodes:
        raise fail(STAGE, "the model computes nothing")
    builder = ctx.builder
    return Program(
        name,
        graph.sha256,
        tuple(builder.inputs),
        tuple(builder.consts.values()),
        tuple(builder.nodes),
        output,
        states=tuple(builder.states),
    )


def _lower_operator(ctx: Context, operator: Operator) -> None:
    """Lower one operator; what reads the result of one that failed stays silent."""
    read = [ctx.graph.tensors[index] for index in operator.inputs if index >= 0]
    made = {tensor.index for tensor in read if tensor.data is None and not tensor.variable}
    if not made <= ctx.refs.keys():
        return
    try:
        handler = HANDLERS.get(operator.name)
        if handler is None:
            what = f"'{operator.name}' has no integer lowering"
            raise fail(STAGE, what, help="`mcugen ops` lists what is supported")
        handler(ctx, operator)
    except McugenError as error:
        ctx.fault(error, operator)
