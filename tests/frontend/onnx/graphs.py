"""Random quantized ONNX models: one operator each, between levels, of any grid."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint4": (0, 15), "int4": (-8, 7)}
CODES = {
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint4": TensorProto.UINT4,
    "int4": TensorProto.INT4,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
}


@dataclass
class Graph:
    """A model under construction, and the random numbers it is made from."""

    rng: np.random.Generator
    opset: int = 21
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    """Of what DequantizeLinear made."""
    dtype: str = ""
    """Of activations: ONNX Runtime's optimizer takes it to be the same throughout."""

    grid: tuple[float, int] | None = None
    """Scale and zero point that the last quantizer must have."""

    def __post_init__(self) -> None:
        self.dtype = str(self.pick("uint8", "int8"))

    def name(self) -> str:
        return f"t{len(self.nodes)}_{len(self.constants)}_{len(self.inputs)}"

    def constant(self, values: object, dtype: str = "float32") -> str:
        """A constant of the model."""
        name, data = self.name(), np.asarray(values)
        if dtype in ("int4", "uint4"):
            flat = [int(one) for one in data.ravel()]
            self.constants.append(helper.make_tensor(name, CODES[dtype], data.shape, flat))
        else:
            self.constants.append(numpy_helper.from_array(data.astype(dtype), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        """The first output of a new node."""
        return self.nodes_of(op, 1, *inputs, domain=domain, **attributes)[0]

    def nodes_of(
        self, op: str, count: int, *inputs: str, domain: str = "", **attributes: object
    ) -> list[str]:
        outputs = [f"{self.name()}_{index}" for index in range(count)]
        self.nodes.append(
            helper.make_node(
                op, inputs, outputs, name=f"/{op}_{outputs[0]}", domain=domain, **attributes
            )
        )
        if domain and domain not in self.domains:
            self.domains.append(domain)
        return outputs

    def pick(self, *choices: object) -> object:
        return choices[int(self.rng.integers(len(choices)))]

    def whole(self, low: int, high: int) -> int:
        """A random integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def zero(self, dtype: str) -> int:
        """A zero point: at an end of the type for every other one."""
        low, high = RANGES[dtype]
        return self.whole(low, high) if self.rng.random() < 0.5 else int(self.pick(low, high))

    def real(self, levels: str, scale: object, zero: object, dtype: str, **more: object) -> str:
        """The real numbers of `levels`."""
        grid = self.constant(scale), self.constant(zero, dtype)
        found = self.node("DequantizeLinear", levels, *grid, **more)
        self.scales[found] = np.asarray(scale, np.float32)
        return found

    def image(self, *shape: int) -> str:
        """A real tensor out of an input of levels."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, CODES[self.dtype], shape))
        return self.real(name, self.rng.uniform(0.005, 0.05), self.zero(self.dtype), self.dtype)

    def weight(self, shape: Sequence[int], axis: int) -> str:
        """A stored weight: of 8 or 4 bits, with one scale or one per channel, any zero point."""
        dtype = str(self.pick("int8", "int8", "uint8", "int4", "uint4"))
        low, high = RANGES[dtype]
        levels = self.constant(self.rng.integers(low, high + 1, shape), dtype)
        if self.rng.random() < 0.5:
            return self.real(levels, self.rng.uniform(0.002, 0.02), self.zero(dtype), dtype)
        scales = self.rng.uniform(0.002, 0.02, shape[axis])
        return self.real(levels, scales, [self.zero(dtype) for _ in scales], dtype, axis=axis)

    def bias(self, x: str, w: str, count: int) -> str:
        """A stored bias on the product of the scales of x and w, as ONNX Runtime takes it to be."""
        scale = self.scales[x] * self.scales[w]
        levels = self.constant(self.rng.integers(-4000, 4000, count), "int32")
        return self.node("DequantizeLinear", levels, self.constant(scale), axis=0)

    def quantized(self, real: str) -> str:
        """`real` on a grid that fits what it is for random inputs, more or less."""
        low, high = self.reach(real)
        dtype = self.dtype
        if self.grid:
            scale, zero = self.grid
            return self.node(
                "QuantizeLinear", real, self.constant(scale), self.constant(zero, dtype)
            )
        least, greatest = RANGES[dtype]
        scale = np.float32(max(high - low, 1e-3) / 255 * self.rng.uniform(0.4, 2.0))
        zero = self.zero(dtype)
        if self.rng.random() < 0.7:
            zero = int(np.clip(round(least - low / float(scale)), least, greatest))
        return self.node("QuantizeLinear", real, self.constant(scale), self.constant(zero, dtype))

    def reach(self, tensor: str) -> tuple[float, float]:
        """Least and greatest value of a tensor for random inputs."""
        plain = onnxruntime.SessionOptions()
        plain.log_severity_level, plain.intra_op_num_threads = 4, 1
        plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.model(tensor, "float32"), plain)
        results = [session.run(None, sample)[0] for sample in self.feed(4)]
        return float(np.min(results)), float(np.max(results))

    def feed(self, count: int) -> list[dict[str, np.ndarray]]:
        """Random levels for each input, the extremes among them."""
        samples = []
        for index in range(count):
            sample = {}
            for value in self.inputs:
                kind = value.type.tensor_type
                shape = [dim.dim_value for dim in kind.shape.dim]
                dtype = {code: name for name, code in CODES.items()}[kind.elem_type]
                low, high = RANGES[dtype]
                data = self.rng.integers(low, high + 1, shape)
                data = [data, np.full(shape, low), np.full(shape, high), data][index % 4]
                sample[value.name] = data.astype(dtype)
            samples.append(sample)
        return samples

    def model(self, output: str, dtype: str = "") -> bytes:
        """The file with `output` as its result; levels like the input's, where no type is given."""
        outputs = [helper.make_tensor_value_info(output, CODES[dtype or self.dtype], None)]
        graph = helper.make_graph(self.nodes, "random", self.inputs, outputs, self.constants)
        versions = [helper.make_opsetid("", self.opset)]
        versions += [helper.make_opsetid(domain, 1) for domain in self.domains]
        model = helper.make_model(graph, opset_imports=versions, ir_version=10)
        return bytes(model.SerializeToString())


def _extent(g: Graph) -> tuple[int, int]:
    return g.whole(5, 9), g.whole(5, 9)


def window(g: Graph, size: int, rank: int = 2) -> dict[str, object]:
    """Attributes of a sliding window that fits extents from 5."""
    found: dict[str, object] = {
        "kernel_shape": [size] * rank,
        "strides": [g.whole(1, min(size, 2)) for _ in range(rank)],
    }
    if g.rng.random() < 0.3:
        found["auto_pad"] = g.pick("SAME_UPPER", "SAME_LOWER", "VALID")
    else:
        found["pads"] = [g.whole(0, size - 1) for _ in range(2 * rank)]
    return found


def conv(g: Graph) -> str:
    size, groups, per = g.whole(1, 3), g.whole(1, 3), g.whole(1, 3)
    x = g.image(1, groups * per, *_extent(g))
    attributes = window(g, size)
    if "auto_pad" not in attributes:
        attributes["dilations"] = [g.whole(1, 2), g.whole(1, 2)]
    outputs = groups * g.whole(1, 3)
    w = g.weight((outputs, per, size, size), 0)
    more = [g.bias(x, w, outputs)] if g.rng.random() < 0.5 else []
    return g.node("Conv", x, w, *more, group=groups, **attributes)


def depthwise(g: Graph) -> str:
    channels, size = g.whole(2, 9), g.whole(1, 3)
    x = g.image(1, channels, *_extent(g))
    w = g.weight((channels, 1, size, size), 0)
    return g.node("Conv", x, w, g.bias(x, w, channels), group=channels, **window(g, size))


def conv_1d(g: Graph) -> str:
    channels, outputs, size = g.whole(1, 5), g.whole(1, 5), g.whole(1, 3)
    x = g.image(1, channels, g.whole(5, 12))
    return g.node("Conv", x, g.weight((outputs, channels, size), 0), **window(g, size, 1))


def conv_transpose(g: Graph) -> str:
    channels, outputs, size, stride = g.whole(1, 4), g.whole(1, 4), g.whole(1, 4), g.whole(1, 3)
    x = g.image(1, channels, g.whole(2, 5), g.whole(2, 5))
    w = g.weight((channels, outputs, size, size), 1)
    pads = [g.whole(0, (size - 1) // 2) for _ in range(4)]
    extra = [g.whole(0, stride - 1) if stride > 1 else 0 for _ in range(2)]
    return g.node("ConvTranspose", x, w, strides=[stride] * 2, pads=pads, output_padding=extra)


def gemm(g: Graph) -> str:
    inputs, outputs, turned = g.whole(1, 20), g.whole(1, 9), g.whole(0, 1)
    x = g.image(1, inputs)
    w = g.weight((outputs, inputs) if turned else (inputs, outputs), 0 if turned else 1)
    more = [g.bias(x, w, outputs)] if g.rng.random() < 0.5 else []
    alpha, beta = g.pick((1.0, 1.0), (0.75, 1.0), (1.5, 0.5))  # type: ignore[misc]
    return g.node("Gemm", x, w, *more, transB=turned, alpha=alpha, beta=beta)


def matmul(g: Graph) -> str:
    inputs, outputs = g.whole(1, 20), g.whole(1, 9)
    return g.node("MatMul", g.image(1, inputs), g.weight((inputs, outputs), 1))


def _shape(g: Graph) -> tuple[int, ...]:
    return (1, g.whole(1, 5), g.whole(1, 6), g.whole(1, 6)) if g.rng.random() < 0.7 else (1, 7)


def with_itself(g: Graph) -> str:
    """A sum, difference or product of a tensor and a function of it."""
    x = g.image(*_shape(g))
    y = requantized(g, g.node(str(g.pick("Relu", "Neg", "Tanh")), x))
    op = str(g.pick("Add", "Sub", "Mul"))
    return g.node(op, *((x, y) if g.rng.random() < 0.5 else (y, x)))


def requantized(g: Graph, real: str) -> str:
    """`real` behind another pair of quantizer and dequantizer."""
    levels = g.quantized(real)
    scale, zero = g.nodes[-1].input[1:]
    return g.node("DequantizeLinear", levels, scale, zero)


def with_constant(g: Graph) -> str:
    shape = _shape(g)
    per = (1, shape[1], *(1 for _ in shape[2:]))
    values = g.rng.uniform(0.1, 1.0, per if g.rng.random() < 0.5 else ())
    x, c = g.image(*shape), g.constant(values)
    op = str(g.pick("Add", "Sub", "Mul", "Div"))
    return g.node(op, *((x, c) if op == "Div" or g.rng.random() < 0.5 else (c, x)))


def unary(op: str, **attributes: object) -> Callable[[Graph], str]:
    return lambda g: g.node(op, g.image(*_shape(g)), **attributes)


def clip(g: Graph) -> str:
    low, high = sorted(g.rng.uniform(-3, 3, 2))
    ends = [g.constant(np.float32(low)), g.constant(np.float32(high))]
    return g.node("Clip", g.image(*_shape(g)), *ends[: g.whole(0, 2)])


def batch_norm(g: Graph) -> str:
    shape = _shape(g)
    parts = [g.constant(g.rng.uniform(-1, 1, shape[1])) for _ in range(3)]
    variance = g.constant(g.rng.uniform(0.1, 2, shape[1]))
    return g.node("BatchNormalization", g.image(*shape), *parts, variance, epsilon=1e-3)


def max_pool(g: Graph) -> str:
    attributes = window(g, g.whole(1, 3))
    if "pads" in attributes:
        attributes["ceil_mode"] = g.whole(0, 1)
    return g.node("MaxPool", g.image(1, g.whole(1, 4), *_extent(g)), **attributes)


def average_pool(g: Graph) -> str:
    attributes = window(g, g.whole(1, 3))
    attributes["count_include_pad"] = g.whole(0, 1)
    return g.node("AveragePool", g.image(1, g.whole(1, 4), *_extent(g)), **attributes)


def whole_image(g: Graph) -> str:
    x = g.image(1, g.whole(1, 4), *_extent(g)[: g.whole(1, 2)])
    return g.node(str(g.pick("GlobalAveragePool", "GlobalMaxPool")), x)


def reduce_mean(g: Graph) -> str:
    x = g.image(1, g.whole(1, 4), *_extent(g))
    return g.node("ReduceMean", x, g.constant([2, -1], "int64"), keepdims=g.whole(0, 1))


def views(g: Graph) -> str:
    x = g.image(1, 4, 6, 3)
    kind = g.whole(0, 3)
    if kind == 0:
        return g.node("Flatten", x, axis=g.pick(1, -3))
    if kind == 1:
        wanted = g.pick([1, -1], [0, -1, 2], [1, 8, 3, 3], [0, 0, 18])
        return g.node("Reshape", x, g.constant(wanted, "int64"))
    if kind == 2:
        return g.node("Unsqueeze", g.node("Flatten", x), g.constant([2, 3], "int64"))
    pooled = g.node("GlobalMaxPool", x)
    return g.node("Squeeze", pooled, g.constant([2, 3], "int64"))


def transpose(g: Graph) -> str:
    rest = g.rng.permutation([1, 2, 3]).tolist()
    return g.node("Transpose", g.image(1, 2, 3, 4), perm=[0, *rest])


def concat(g: Graph) -> str:
    x = g.image(1, 3, 4, 5)
    y = requantized(g, g.node("Sigmoid", x))
    return g.node("Concat", x, y, x, axis=g.pick(1, 2, -1))


def split(g: Graph) -> str:
    x = g.image(1, 6, 4, 4)
    parts = g.nodes_of("Split", 2, x, g.constant([2, 4], "int64"), axis=1)
    return parts[g.whole(0, 1)]


def slices(g: Graph) -> str:
    x = g.image(1, 6, 7, 8)
    bounds = ([1, 0, -6], [5, 4, 99]), ([2, 1, 0], [-1, 2, 8])
    begins, ends = g.pick(*bounds)  # type: ignore[misc]
    return g.node("Slice", x, *(g.constant(one, "int64") for one in (begins, ends, [1, 2, 3])))


def pad(g: Graph) -> str:
    x = g.image(1, 2, 4, 5)
    amounts = [0, 0, *(g.whole(0, 2) for _ in range(2)), 0, 0, *(g.whole(0, 2) for _ in range(2))]
    return g.node("Pad", g.node("Relu", x), g.constant(amounts, "int64"))


def softmax(g: Graph) -> str:
    """On a grid that holds all shares: ONNX Runtime's table overflows on finer ones."""
    found = g.node("Softmax", g.image(1, g.whole(2, 12)), axis=g.pick(1, -1))
    g.grid = float(g.pick(1 / 255, 1 / 256)), RANGES[g.dtype][0]
    return found


def resize(g: Graph) -> str:
    x = g.image(1, 2, g.whole(2, 5), g.whole(2, 5))
    kind = g.pick("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    rounding = g.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    form = {"coordinate_transformation_mode": kind, "nearest_mode": rounding, "mode": "nearest"}
    if g.rng.random() < 0.5:
        sizes = g.constant([1, 2, g.whole(1, 9), g.whole(1, 9)], "int64")
        return g.node("Resize", x, "", "", sizes, **form)
    scales = g.constant([1, 1, g.pick(2.0, 1.5, 0.6), g.pick(3.0, 2.0)])
    return g.node("Resize", x, "", scales, **form)


def harmless(g: Graph) -> str:
    x = g.node("Identity", g.node("Dropout", g.image(*_shape(g))))
    return g.node("Cast", x, to=TensorProto.FLOAT)


KINDS: dict[str, Callable[[Graph], str]] = {
    "conv": conv,
    "depthwise": depthwise,
    "conv 1d": conv_1d,
    "conv transpose": conv_transpose,
    "gemm": gemm,
    "matmul": matmul,
    "two tensors": with_itself,
    "a constant": with_constant,
    **{
        op: unary(op)
        for op in ("Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Abs", "Neg")
    },
    "LeakyRelu": unary("LeakyRelu", alpha=0.2),
    "clip": clip,
    "batch norm": batch_norm,
    "max pool": max_pool,
    "average pool": average_pool,
    "average pool 1d": lambda g: g.node("AveragePool", g.image(1, 3, 7), **window(g, 3, 1)),
    "whole image": whole_image,
    "reduce mean": reduce_mean,
    "views": views,
    "transpose": transpose,
    "concat": concat,
    "split": split,
    "slice": slices,
    "pad": pad,
    "softmax": softmax,
    "resize": resize,
    "harmless": harmless,
}
