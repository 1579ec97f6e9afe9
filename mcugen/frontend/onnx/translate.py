"""From an ONNX graph to the graph that lowering takes: one handler per operator, in one table.

The new graph speaks ATen, as exported PyTorch models do; QDQ pairs are its quantized_decomposed
ops. Shapes are computed here, for a batch of one.
"""

from difflib import get_close_matches

from mcugen.errors import Fault, McugenError, fail
from mcugen.frontend.graph import ExportedGraph
from mcugen.frontend.onnx import dense, elementwise, fold, layout, pools, quantizers, resize
from mcugen.frontend.onnx.graph import MICROSOFT, STAGE, STANDARD, Known, OnnxGraph, OnnxNode
from mcugen.frontend.onnx.qoperator import FORMS, is_quantized, spelled_out
from mcugen.frontend.onnx.translation import Call, Handler, Translation
from mcugen.frontend.onnx.values import Failed, Live

#: The one table from ONNX operator to handler; `mcugen ops` prints it.
HANDLERS: dict[str, Handler] = {
    "Abs": elementwise.unary("aten.abs.default"),
    "Add": elementwise.binary("aten.add.Tensor"),
    "ArgMax": elementwise.argmax,
    "AveragePool": pools.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Cast": layout.cast,
    "Clip": elementwise.clip,
    "Concat": layout.concatenate,
    "Constant": fold.constant,
    "ConstantOfShape": fold.constant_of_shape,
    "Conv": dense.convolution,
    "ConvTranspose": dense.transposed_convolution,
    "DequantizeLinear": quantizers.dequantize,
    "Div": elementwise.binary("aten.div.Tensor"),
    "Dropout": layout.same,
    "Flatten": layout.reshape,
    "Gemm": dense.gemm,
    "GlobalAveragePool": pools.global_pool,
    "GlobalMaxPool": pools.global_pool,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": elementwise.unary("aten.hardswish.default"),
    "Identity": layout.same,
    "LeakyRelu": elementwise.leaky_relu,
    "LogSoftmax": elementwise.softmax,
    "MatMul": dense.matrix_product,
    "MaxPool": pools.max_pool,
    "Mul": elementwise.binary("aten.mul.Tensor"),
    "Neg": elementwise.unary("aten.neg.default"),
    "PRelu": elementwise.prelu,
    "Pad": layout.pad,
    "QuantizeLinear": quantizers.quantize,
    "ReduceMean": pools.reduce_mean,
    "Relu": elementwise.unary("aten.relu.default"),
    "Reshape": layout.reshape,
    "Resize": resize.resize,
    "Shape": fold.shape,
    "Sigmoid": elementwise.unary("aten.sigmoid.default"),
    "Slice": layout.slices,
    "Softmax": elementwise.softmax,
    "Split": layout.split,
    "Squeeze": layout.reshape,
    "Sub": elementwise.binary("aten.sub.Tensor"),
    "Tanh": elementwise.unary("aten.tanh.default"),
    "Transpose": layout.transpose,
    "Unsqueeze": layout.reshape,
    "Upsample": resize.resize,
}
_DOMAINS = {
    STANDARD: HANDLERS,
    MICROSOFT: {name: HANDLERS[name] for name in ("QuantizeLinear", "DequantizeLinear")},
}
#: Every operator that is read, on real numbers and on levels.
OPERATORS = tuple(sorted({*HANDLERS, *(op for _, op in FORMS), "QLinearConcat"}))
QUANTIZE_STATIC = (
    "onnxruntime.quantization.quantize_static(...), "
    "with this operator among op_types_to_quantize and without nodes_to_exclude"
)
_DYNAMIC = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul")


def translate(graph: OnnxGraph) -> ExportedGraph:
    """The graph that lowering takes.

    Raises:
        McugenError: every node without a translation, or with attributes, shapes or grids that
            have none.
    """
    to = Translation(graph, dict(graph.constants))
    for name, meta in graph.inputs.items():
        live = Live(to.named(name), meta)
        to.values[name], to.metas[live.name] = live, meta
    faults: list[Fault] = []
    for node in graph.nodes:
        _translate_node(to, node, faults)
    if faults:
        raise McugenError(STAGE, faults)
    return ExportedGraph(
        "",
        tuple(_final(to, name, "input") for name in graph.inputs),
        tuple(_final(to, name, "output") for name in graph.outputs),
        tuple(to.nodes),
        to.tensors,
        to.metas,
        to.spelled,
        QUANTIZE_STATIC,
    )


def _translate_node(to: Translation, node: OnnxNode, faults: list[Fault]) -> None:
    """Translate one node; a fault makes its results fail, so that it is reported once."""
    found = (to.values.get(name) for name in node.inputs)
    if not any(isinstance(one, Failed) for one in found):
        try:
            for part in spelled_out(to, node) if is_quantized(node) else (node,):
                call = Call(to, part)
                _handler(call)(call)
                call.finish()
            return
        except McugenError as error:
            faults.extend(error.faults)
    for name in node.outputs:
        to.values[name] = Failed()


def _handler(call: Call) -> Handler:
    """Who translates a node: constants of constants are folded.

    Raises:
        McugenError: nobody does.
    """
    node = call.node
    if not node.domain and node.op in fold.FOLDS and fold.is_constant(call):
        return fold.FOLDS[node.op]
    handlers = _DOMAINS.get(node.domain, {})
    if node.op in handlers:
        return handlers[node.op]
    if node.op in _DYNAMIC:
        raise node.wrong(
            "a model quantized dynamically has no scales of its own",
            help=QUANTIZE_STATIC,
        )
    near = get_close_matches(node.op, handlers, n=3)
    hint = f"close to it: {', '.join(near)}; " if near else ""
    raise node.wrong(
        f"'{node.kind}' has no integer lowering",
        help=f"{hint}`mcugen ops` lists what is supported",
    )


def _final(to: Translation, name: str, what: str) -> str:
    found = to.values[name]
    if not isinstance(found, Live):
        at = f"{to.graph.file}: {what} '{name}'"
        kind = "a constant" if isinstance(found, Known) else "not computed"
        raise fail(STAGE, f"an {what} of the model is {kind}", at=at)
    return found.name
