"""From a .tflite graph to the integer program: a handler for each operator, in the file's order."""

from mcugen.errors import McugenError, fail
from mcugen.frontend.tflite.context import ELEMENTS, STAGE, Context
from mcugen.frontend.tflite.graph import Graph, Operator, Tensor
from mcugen.frontend.tflite.handlers import HANDLERS
from mcugen.ir.program import Program


def lower(graph: Graph, name: str) -> Program:
    """The integer program of a .tflite graph; not yet verified.

    Raises:
        McugenError: every fault found: operators without a lowering, types and shapes that an
            operator does not take, accumulators that could overflow.
    """
    ctx = Context(graph)
    ctx.input(_input(graph))
    for operator in graph.operators:
        _lower_operator(ctx, operator)
    if ctx.faults:
        raise McugenError(STAGE, ctx.faults)
    output = ctx.refs.get(_only(graph, "output", graph.outputs).index)
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
    )


def _only(graph: Graph, role: str, indices: tuple[int, ...]) -> Tensor:
    if len(indices) != 1:
        names = ", ".join(str(graph.tensors[index]) for index in indices)
        raise fail(STAGE, f"the model has {len(indices)} {role}s", got=names, want=f"one {role}")
    return graph.tensors[indices[0]]


def _input(graph: Graph) -> Tensor:
    tensor = _only(graph, "input", graph.inputs)
    found = tensor.quantization
    if tensor.dtype not in ELEMENTS or found is None or not found.per_tensor:
        raise fail(
            STAGE,
            f"the input is {tensor.dtype}",
            got=str(tensor),
            want=f"{' or '.join(ELEMENTS)} with one scale",
            help="convert with full-integer quantization and inference_input_type=tf.int8",
        )
    return tensor


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
