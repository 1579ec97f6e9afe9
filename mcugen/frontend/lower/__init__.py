"""From an exported PyTorch graph to the integer program.

Every quantizer puts a tensor on a grid; a convolution of a grid by a grid is integer arithmetic;
whatever real happens between there and the next quantizer (bias, batch norm, activation, pooling)
is deferred and becomes one integer epilogue. One handler per ATen op, in one table.
"""

from collections.abc import Callable
from difflib import get_close_matches

from mcugen.errors import McugenError, fail
from mcugen.frontend.graph import ExportedGraph, GraphNode, Ref
from mcugen.frontend.lower import dense, elementwise, layout, pools, quantizers, results
from mcugen.frontend.lower.operands import real, tensor
from mcugen.frontend.lower.packing import IDENTITIES, packing
from mcugen.frontend.lower.state import Constant, Context, Poisoned, RawInput, Tensor
from mcugen.ir.program import Program

Handler = Callable[[Context, GraphNode], Tensor]


def _same(ctx: Context, node: GraphNode) -> Tensor:
    """Ops without effect on a frozen network: dropout, clone, detach, casts."""
    name = next(iter(node.arguments))
    found = tensor(ctx, node, name)
    if found is None:
        raise fail("lower", f"{node.target} without a tensor")
    return found


_VIEWS = (
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.unsqueeze.default",
)


def in_place(target: str) -> str:
    """The in-place form of an op: the archive reader has renamed what it overwrites."""
    name, overload = target.rsplit(".", 1)
    return f"{name}_.{overload}"


#: The one table from ATen op to handler; `mcugen ops` prints it.
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(IDENTITIES, _same),
    **dict.fromkeys(_VIEWS, layout.view),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(map(in_place, elementwise.UNARY), elementwise.unary),
    "mcugen.quantize.default": quantizers.quantize,
    "mcugen.quantize_basis.default": quantizers.quantize_basis,
    "aten.fake_quantize_per_tensor_affine.default": quantizers.fake_quantize,
    "aten.fake_quantize_per_tensor_affine.tensor_qparams": quantizers.fake_quantize,
    "aten.fake_quantize_per_channel_affine.default": quantizers.fake_quantize,
    "quantized_decomposed.quantize_per_tensor.default": quantizers.quantize_decomposed,
    "quantized_decomposed.quantize_per_tensor.tensor": quantizers.quantize_decomposed,
    "quantized_decomposed.quantize_per_channel.default": quantizers.quantize_decomposed,
    "quantized_decomposed.dequantize_per_tensor.default": quantizers.dequantize_decomposed,
    "quantized_decomposed.dequantize_per_tensor.tensor": quantizers.dequantize_decomposed,
    "quantized_decomposed.dequantize_per_channel.default": quantizers.dequantize_decomposed,
    "aten.conv2d.default": dense.conv2d,
    "aten.conv2d.padding": dense.conv2d,
    "aten.conv_transpose2d.input": dense.conv_transpose2d,
    "aten.linear.default": dense.linear,
    "aten.batch_norm.default": elementwise.batch_norm,
    "aten._native_batch_norm_legit_no_training.default": elementwise.batch_norm,
    "aten.add.Tensor": elementwise.add,
    "aten.add_.Tensor": elementwise.add,
    "aten.add.Scalar": elementwise.add,
    "aten.sub.Tensor": elementwise.subtract,
    "aten.sub.Scalar": elementwise.subtract,
    "aten.rsub.Scalar": elementwise.reverse_subtract,
    "aten.mul.Tensor": elementwise.multiply,
    "aten.mul.Scalar": elementwise.multiply,
    "aten.div.Tensor": elementwise.divide,
    "aten.div.Scalar": elementwise.divide,
    "aten.max_pool2d.default": pools.max_pool2d,
    "aten.max_pool2d_with_indices.default": pools.max_pool2d,
    "aten.adaptive_max_pool2d.default": pools.adaptive_max_pool2d,
    "aten.avg_pool2d.default": pools.avg_pool2d,
    "aten.adaptive_avg_pool2d.default": pools.adaptive_avg_pool2d,
    "aten.mean.dim": pools.mean,
    "aten.permute.default": layout.permute,
    "aten.transpose.int": layout.permute,
    "aten.cat.default": layout.concatenate,
    "aten.upsample_nearest2d.vec": layout.upsample_nearest,
    "mcugen.resize.default": layout.resize,
    "aten.slice.Tensor": layout.slices,
    "aten.narrow.default": layout.slices,
    "aten.pad.default": layout.pad,
    "aten.constant_pad_nd.default": layout.pad,
    "aten.softmax.int": results.softmax,
    "aten._softmax.default": results.softmax,
    "aten.log_softmax.int": results.softmax,
    "aten._log_softmax.default": results.softmax,
    "aten.argmax.default": results.argmax,
}


def lower(graph: ExportedGraph, name: str) -> Program:
    """The integer program of an exported graph; not yet verified, dead nodes still inside.

    Raises:
        McugenError: every fault found: ops without a lowering, tensors without a quantizer,
            parameters that are no grid, accumulators that could overflow.
    """
    ctx = Context(graph, packing=packing(graph))
    _constants(ctx)
    _input(ctx)
    for node in graph.nodes:
        _lower_node(ctx, node)
    output = _output(ctx)
    if ctx.faults:
        raise McugenError("lower", dict.fromkeys(ctx.faults))
    builder = ctx.builder
    return Program(
        name,
        graph.sha256,
        tuple(builder.inputs),
        tuple(builder.consts.values()),
        tuple(builder.nodes),
        output,
        ctx.output_function,
    )


def _constants(ctx: Context) -> None:
    for name, data in ctx.graph.tensors.items():
        ctx.tensors[name] = Constant(data, ctx.graph.qualified.get(name, name))


def _input(ctx: Context) -> None:
    if len(ctx.graph.inputs) != 1:
        names = ", ".join(ctx.graph.inputs)
        raise fail(
            "lower", f"the model has {len(ctx.graph.inputs)} inputs: {names}", want="one input"
        )
    (name,) = ctx.graph.inputs
    shape = ctx.graph.metas[name].shape
    if not shape or shape[0] != 1:
        raise fail(
            "lower",
            f"the input '{name}' has shape {list(shape)}",
            want="a batch of one",
            help="export with an example input whose first axis is 1",
        )
    ctx.tensors[name] = RawInput(name, shape, shape)


def _lower_node(ctx: Context, node: GraphNode) -> None:
    """Lower one node; a fault poisons its results, so that it is reported once."""
    result: Tensor = Poisoned()
    if not any(isinstance(ctx.tensors.get(ref), Poisoned) for ref in node.reads):
        try:
            handler = HANDLERS.get(node.target)
            if handler is None:
                raise _unsupported(node)
            result = handler(ctx, node)
        except McugenError as error:
            ctx.fault(error, node.source)
    for output in node.outputs:
        ctx.tensors[output] = result


def _unsupported(node: GraphNode) -> McugenError:
    near = get_close_matches(node.target, HANDLERS, n=3)
    hint = f"close to it: {', '.join(near)}; " if near else ""
    return fail(
        "lower",
        f"'{node.target}' has no integer lowering",
        help=f"{hint}`mcugen ops` lists what is supported",
    )


def _output(ctx: Context) -> str:
    if len(ctx.graph.outputs) != 1:
        raise fail("lower", f"the model has {len(ctx.graph.outputs)} outputs", want="one output")
    (name,) = ctx.graph.outputs
    last = next((node for node in ctx.graph.nodes if name in node.outputs), None)
    if last is None:
        raise fail("lower", "the model's output is not computed by any op")
    if isinstance(ctx.tensors[name], Poisoned):
        return ""
    closing = GraphNode(last.target, last.outputs, {"self": Ref(name)}, last.source)
    try:
        return _final(ctx, closing)
    except McugenError as error:
        ctx.fault(error, last.source)
        return ""


def _final(ctx: Context, node: GraphNode) -> str:
    """The output with its meaning attached: reports and checks read it there."""
    final = results.scores(ctx, real(ctx, node, "self"), node)
    builder = ctx.builder
    for index, item in enumerate(builder.nodes):
        if item.result.name == final.ref and item.result.meaning is None:
            builder.nodes[index] = results.with_meaning(item, final.meaning)
    if not builder.nodes:
        raise fail("lower", "the model computes nothing")
    return final.ref
