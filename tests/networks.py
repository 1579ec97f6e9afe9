"""Programs with the shapes of well-known small networks, random weights, 8 bits throughout."""

import numpy as np

from mcugen.ir import Int, Program, TensorType, ops
from mcugen.ir.types import INT32_MAX
from tests.builder import Builder

I8 = Int(8, True, -128, 127)
_WIDE = Int(64, True, -(2**63), 2**63 - 1)
_MULTIPLIER = Int(31, False, 0, INT32_MAX)


class Network(Builder):
    """Layers of int8 with an epilogue each; seeds of their weights count up."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(TensorType((1, *shape), I8))
        self._rng = np.random.default_rng(0)

    def channels(self, x: str) -> int:
        return self.program(x).env.type(x).channels

    def weights(self, *shape: int) -> str:
        return self.const(self._rng.integers(-127, 128, shape), I8)

    def requantized(self, acc: str) -> str:
        """`acc` on int8, its interval on the whole of it."""
        kind = self.program(acc).env.type(acc)
        multiplier = [256 * 2**30 // max(1, kind.integer.hi - kind.integer.lo)]
        return self.op(
            ops.Requantize(
                acc,
                self.const(multiplier, _MULTIPLIER),
                self.const([1 << 29], _WIDE),
                shift=30,
                lo=I8.lo,
                hi=I8.hi,
            )
        )

    def conv(self, x: str, out: int, size: tuple[int, int], stride: int = 1) -> str:
        """Convolution with the padding that keeps the extent (divided by `stride`)."""
        w = self.weights(out, *size, self.channels(x))
        return self._windowed(x, w, size, stride, groups=1)

    def depthwise(self, x: str, stride: int = 1) -> str:
        channels = self.channels(x)
        return self._windowed(x, self.weights(channels, 3, 3, 1), (3, 3), stride, groups=channels)

    def _windowed(self, x: str, w: str, size: tuple[int, int], stride: int, groups: int) -> str:
        _, height, width, _ = self.program(x).env.type(x).shape
        top, bottom = _same(height, size[0], stride)
        left, right = _same(width, size[1], stride)
        padding, strides = (top, bottom, left, right), (stride, stride)
        conv = ops.Conv2d(x, w, stride=strides, padding=padding, groups=groups, x_zero=-128)
        return self.requantized(self.op(conv))

    def add(self, x: str, y: str) -> str:
        return self.requantized(self.op(ops.Add(x, y, x_factor=1000, y_factor=1000)))

    def pooled(self, x: str) -> str:
        """The mean over the image."""
        _, height, width, _ = self.program(x).env.type(x).shape
        return self.requantized(self.op(ops.SumPool(x, window=(height, width), stride=(1, 1))))

    def classified(self, x: str, classes: int) -> Program:
        size = self.program(x).env.type(x).size
        flat = self.op(ops.Reshape(x, shape=(1, size)))
        linear = self.op(ops.Linear(flat, self.weights(classes, size)))
        return self.done(self.requantized(linear))


def _same(extent: int, size: int, stride: int) -> tuple[int, int]:
    """Padding before and after, as TensorFlow's SAME."""
    total = max(0, (-(-extent // stride) - 1) * stride + size - extent)
    return total // 2, total - total // 2


def resnet8() -> Program:
    """The residual network of MLPerf Tiny's image classification."""
    net = Network((32, 32, 3))
    x = net.conv(net.x, 16, (3, 3))
    x = net.add(net.conv(net.conv(x, 16, (3, 3)), 16, (3, 3)), x)
    for channels in (32, 64):
        inner = net.conv(net.conv(x, channels, (3, 3), 2), channels, (3, 3))
        x = net.add(inner, net.conv(x, channels, (1, 1), 2))
    return net.classified(net.pooled(x), 10)


def dscnn() -> Program:
    """The depthwise separable network of MLPerf Tiny's keyword spotting."""
    net = Network((49, 10, 1))
    x = net.conv(net.x, 64, (10, 4), 2)
    for _ in range(4):
        x = net.conv(net.depthwise(x), 64, (1, 1))
    return net.classified(net.pooled(x), 12)


def mobilenet() -> Program:
    """MobileNet v1 0.25 at 96 × 96, as MLPerf Tiny's visual wake words has it."""
    net = Network((96, 96, 3))
    x = net.conv(net.x, 8, (3, 3), 2)
    widths = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    for index, channels in enumerate(widths):
        x = net.depthwise(x, 2 if index in (1, 3, 5, 11) else 1)
        x = net.conv(x, channels, (1, 1))
    return net.classified(net.pooled(x), 2)
