"""Whole models for the benchmark: those of MLPerf Tiny, and what others need for them.

Two of them are trained and found by $MCUGEN_MODELS. Of the other three only the shapes are known
here: they are written as .tflite files with random weights, quantized as converters do (a scale
per output channel, symmetric; activations behind a ReLU from −128 on). Cycles of straight int8
kernels depend on the shapes alone; which requantization a layer can take depends on the numbers.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tflite

from tests.frontend.tflite.writer import Writer

_CODES = tflite.BuiltinOperator
_RELU = tflite.ActivationFunctionType.RELU
_SAME, _VALID = tflite.Padding.SAME, tflite.Padding.VALID
_RANGE = 6.0
"""Activations run from 0 to this, and from minus this where there is no ReLU."""


@dataclass(frozen=True)
class Peers:
    """What others take for a model.

    CMSIS-NN's cycles are measured on the cycle model used here; the others' cycles per
    multiply-accumulate follow from the milliseconds on NUCLEO-L4R5ZI (Cortex-M4, 120 MHz, real
    flash), MLPerf Tiny closed division, as published.
    """

    macs: int
    cmsis_nn: Mapping[str, float]
    """Cycles, by core."""
    published: tuple[float, ...] = ()
    """Cycles per multiply-accumulate, in the order of `PUBLISHED`."""


#: The core of the published figures, and whose `Peers.published` holds.
PUBLISHED_CORE = "cortex-m4"
PUBLISHED = (
    "X-CUBE-AI 9.0 (v1.2)",
    "Plumerai 2023.05 (v1.1)",
    "microTVM + CMSIS-NN (v1.0)",
    "TFLM (v0.5)",
)


def _cmsis_nn(m4: float, m3: float, m0plus: float) -> Mapping[str, float]:
    return {"cortex-m4": m4, "cortex-m3": m3, "cortex-m0plus": m0plus}


PEERS: Mapping[str, Peers] = {
    "IC ResNet-8": Peers(12_501_632, _cmsis_nn(36.5e6, 71.2e6, 136.8e6), (1.58, 1.61, 3.74, 6.76)),
    "KWS DS-CNN": Peers(2_656_768, _cmsis_nn(9.20e6, 16.7e6, 39.5e6), (1.95, 2.16, 4.51, 8.22)),
    "VWW MobileNetV1 0.25": Peers(
        7_489_664, _cmsis_nn(29.0e6, 50.4e6, 118.6e6), (1.42, 1.58, 4.83, 9.62)
    ),
    "AD autoencoder": Peers(264_192, _cmsis_nn(0.707e6, 1.69e6, 2.35e6), (2.39, 1.84, 3.91, 4.57)),
    "streaming wake word": Peers(826_368, _cmsis_nn(2.69e6, 6.86e6, 12.9e6)),
}


@dataclass(frozen=True)
class _Tensor:
    index: int
    shape: tuple[int, ...]
    scale: float


@dataclass
class _Net:
    """A .tflite file under construction, layer behind layer."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    writer: Writer = field(default_factory=Writer)

    def tensor(self, shape: tuple[int, ...], scale: float, zero: int) -> _Tensor:
        name = f"t{len(self.writer.tensors)}"
        return _Tensor(self.writer.activation(name, shape, scale, zero), shape, scale)

    def output(self, shape: tuple[int, ...], relu: bool) -> _Tensor:
        return self.tensor(shape, _RANGE / 255 * (1 if relu else 2), -128 if relu else 4)

    def weights(self, x: _Tensor, size: tuple[int, ...], axis: int, taps: int) -> list[int]:
        """Weights that keep the activations' size, and a bias: indices of both."""
        real = self.rng.normal(0, np.sqrt(2 / taps), size)
        others = tuple(other for other in range(len(size)) if other != axis)
        shape = [-1 if other == axis else 1 for other in range(len(size))]
        scales = np.abs(real).max(axis=others) / 127
        levels = np.rint(real / scales.reshape(shape)).astype(np.int8)
        bias_scales = scales * x.scale
        bias = np.rint(self.rng.normal(0, 0.2, size[axis]) / bias_scales).astype(np.int32)
        zeros = [0] * size[axis]
        int8, int32 = tflite.TensorType.INT8, tflite.TensorType.INT32
        return [
            self.writer.constant("weights", levels, int8, scales.tolist(), zeros, axis),
            self.writer.constant("bias", bias, int32, bias_scales.tolist(), zeros),
        ]

    def _convolution(
        self, x: _Tensor, size: tuple[int, int], outputs: int, stride: int, padding: int
    ) -> tuple[_Tensor, dict[str, int]]:
        """The output of a convolution with ReLU, and its options."""
        extents = [
            -(-(extent - (reach - 1) * (padding == _VALID)) // stride)
            for extent, reach in zip(x.shape[1:3], size, strict=True)
        ]
        options = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        y = self.output((1, *extents, outputs), relu=True)
        return y, {**options, "FusedActivationFunction": _RELU}

    def conv2d(
        self, x: _Tensor, outputs: int, size: tuple[int, int] = (1, 1), stride: int = 1
    ) -> _Tensor:
        y, options = self._convolution(x, size, outputs, stride, _SAME)
        weights = self.weights(x, (outputs, *size, x.shape[3]), 0, size[0] * size[1] * x.shape[3])
        inputs = [x.index, *weights]
        self.writer.operator(_CODES.CONV_2D, inputs, [y.index], "Conv2DOptions", **options)
        return y

    def depthwise(
        self, x: _Tensor, size: tuple[int, int], stride: int = 1, padding: int = _SAME
    ) -> _Tensor:
        y, options = self._convolution(x, size, x.shape[3], stride, padding)
        options["DepthMultiplier"] = 1
        inputs = [x.index, *self.weights(x, (1, *size, x.shape[3]), 3, size[0] * size[1])]
        code = _CODES.DEPTHWISE_CONV_2D
        self.writer.operator(code, inputs, [y.index], "DepthwiseConv2DOptions", **options)
        return y

    def linear(self, x: _Tensor, outputs: int, relu: bool) -> _Tensor:
        y = self.output((1, outputs), relu)
        inputs = [x.index, *self.weights(x, (outputs, x.shape[1]), 0, x.shape[1])]
        options = {"FusedActivationFunction": _RELU} if relu else {}
        code = _CODES.FULLY_CONNECTED
        self.writer.operator(code, inputs, [y.index], "FullyConnectedOptions", **options)
        return y

    def flat(self, x: _Tensor) -> _Tensor:
        shape = (1, int(np.prod(x.shape)))
        y = self.tensor(shape, x.scale, -128)
        target = self.writer.constant("shape", np.array(shape), tflite.TensorType.INT32)
        self.writer.operator(_CODES.RESHAPE, [x.index, target], [y.index], "ReshapeOptions")
        return y

    def average(self, x: _Tensor) -> _Tensor:
        y = self.tensor((1, 1, 1, x.shape[3]), x.scale, -128)
        height, width = x.shape[1:3]
        window = {"FilterHeight": height, "FilterWidth": width, "StrideH": 1, "StrideW": 1}
        options = {"Padding": _VALID, **window}
        code = _CODES.AVERAGE_POOL_2D
        self.writer.operator(code, [x.index], [y.index], "Pool2DOptions", **options)
        return y

    def softmax(self, x: _Tensor) -> _Tensor:
        y = self.tensor(x.shape, 1 / 256, -128)
        self.writer.operator(_CODES.SOFTMAX, [x.index], [y.index], "SoftmaxOptions", Beta=1.0)
        return y

    def file(self, x: _Tensor, y: _Tensor) -> bytes:
        return self.writer.write([x.index], [y.index])


def visual_wake_words() -> bytes:
    """MobileNetV1 of width 0.25 on 96×96 pixels of three colours, two classes."""
    net = _Net()
    x = net.tensor((1, 96, 96, 3), 1 / 255, -128)
    y = net.conv2d(x, 8, (3, 3), 2)
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)]
    for outputs, stride in [*blocks, *[(128, 1)] * 5, (256, 2), (256, 1)]:
        y = net.conv2d(net.depthwise(y, (3, 3), stride), outputs)
    return net.file(x, net.softmax(net.linear(net.flat(net.average(y)), 2, relu=False)))


def autoencoder() -> bytes:
    """640 inputs through four layers of 128, one of 8 and four of 128 back to 640."""
    net = _Net()
    x = net.tensor((1, 640), 12 / 255, 90)
    y = x
    for outputs in (*[128] * 4, 8, *[128] * 4):
        y = net.linear(y, outputs, relu=True)
    return net.file(x, net.linear(y, 640, relu=False))


def wake_word() -> bytes:
    """Four depthwise separable convolutions over 30 moments of 40 features, without padding.

    Windows as in the reference's `keras_model.py` (benchmark/training/streaming_wakeword of
    github.com/mlcommons/tiny); the channels, 128, 128, 128 and 32, are those that give the
    826,368 multiply-accumulates that are told of it.
    """
    net = _Net()
    x = net.tensor((1, 30, 1, 40), _RANGE / 255, -128)
    y = x
    for window, outputs in ((3, 128), (5, 128), (10, 128), (15, 32)):
        y = net.conv2d(net.depthwise(y, (window, 1), padding=_VALID), outputs)
    return net.file(x, net.linear(net.flat(y), 3, relu=False))


#: Models that are written here, by the names of `PEERS`.
WRITTEN: Mapping[str, Callable[[], bytes]] = {
    "VWW MobileNetV1 0.25": visual_wake_words,
    "AD autoencoder": autoencoder,
    "streaming wake word": wake_word,
}
_TRAINED = {
    "IC ResNet-8": "mlperf_tiny_ic_resnet8_int8.tflite",
    "KWS DS-CNN": "mlperf_tiny_kws_dscnn_int8.tflite",
}


def files(folder: Path) -> dict[str, Path]:
    """Model files by name: the trained ones that are there, and the others, written to `folder`."""
    trained = Path(os.environ.get("MCUGEN_MODELS", ""))
    found = {name: trained / file for name, file in _TRAINED.items() if (trained / file).is_file()}
    for name, make in WRITTEN.items():
        found[name] = folder / f"{make.__name__}.tflite"
        found[name].write_bytes(make())
    return found
