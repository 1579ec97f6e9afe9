"""Single layers of 8-bit integers for the benchmark, for the figures in docs/kernels.md.

Shapes are those of the MLPerf Tiny models and their like; weights are normal, as trained ones are.
"""

from collections.abc import Callable, Mapping

import numpy as np

from mcugen.ir import Int, Program, TensorType, ops
from tests.builder import Builder
from tests.kernels.byte_layers import INT8, requantized

_WEIGHTS = Int(8, True, -127, 127)


def _weights(b: Builder, rng: np.random.Generator, shape: tuple[int, ...]) -> str:
    data = np.rint(rng.normal(0, 30, shape)).clip(-127, 127)
    return b.const(data.astype(np.int64), _WEIGHTS)


def _conv2d(
    image: tuple[int, int, int],
    outputs: int,
    size: tuple[int, int],
    stride: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Program:
    rng, b = np.random.default_rng(0), Builder(TensorType((1, *image), INT8))
    weights = _weights(b, rng, (outputs, *size, image[2]))
    op = ops.Conv2d(b.x, weights, stride=(stride, stride), padding=padding, x_zero=-128)
    return b.done(requantized(b, b.op(op), INT8, rng))


def _depthwise(
    image: tuple[int, int, int], size: tuple[int, int] = (3, 3), stride: int = 1
) -> Program:
    """Padded so that the output is as large as the input, divided by the stride."""
    rng, b = np.random.default_rng(0), Builder(TensorType((1, *image), INT8))
    weights = _weights(b, rng, (image[2], *size, 1))
    padding = (size[0] // 2, size[0] // 2, size[1] // 2, size[1] // 2)
    op = ops.Conv2d(
        b.x, weights, stride=(stride, stride), padding=padding, groups=image[2], x_zero=-128
    )
    return b.done(requantized(b, b.op(op), INT8, rng))


def _linear(inputs: int, outputs: int) -> Program:
    rng, b = np.random.default_rng(0), Builder(TensorType((1, inputs), INT8))
    acc = b.op(ops.Linear(b.x, _weights(b, rng, (outputs, inputs)), x_zero=-128))
    return b.done(requantized(b, acc, INT8, rng))


_SAME = (1, 1, 1, 1)
_BEHIND = (0, 1, 0, 1)

#: Programs of one layer each, by what they are; images are rows x columns x channels.
LAYERS: Mapping[str, Callable[[], Program]] = {
    "int8 1x1 64 to 64, 25x5": lambda: _conv2d((25, 5, 64), 64, (1, 1)),
    "int8 1x1 144 to 32, 12x12": lambda: _conv2d((12, 12, 144), 32, (1, 1)),
    "int8 1x1 576 to 64, 4x4": lambda: _conv2d((4, 4, 576), 64, (1, 1)),
    "int8 1x1 8 to 16, 48x48": lambda: _conv2d((48, 48, 8), 16, (1, 1)),
    "int8 3x3 16 to 16, 32x32": lambda: _conv2d((32, 32, 16), 16, (3, 3), 1, _SAME),
    "int8 3x3 32 to 32, 16x16": lambda: _conv2d((16, 16, 32), 32, (3, 3), 1, _SAME),
    "int8 3x3 64 to 64, 8x8": lambda: _conv2d((8, 8, 64), 64, (3, 3), 1, _SAME),
    "int8 3x3 16 to 32, 32x32 by 2": lambda: _conv2d((32, 32, 16), 32, (3, 3), 2, _BEHIND),
    "int8 3x3 32 to 64, 16x16 by 2": lambda: _conv2d((16, 16, 32), 64, (3, 3), 2, _BEHIND),
    "int8 3x3 3 to 16, 32x32": lambda: _conv2d((32, 32, 3), 16, (3, 3), 1, _SAME),
    "int8 10x4 1 to 64, 49x10 by 2": lambda: _conv2d((49, 10, 1), 64, (10, 4), 2, (4, 5, 1, 1)),
    "int8 depthwise 3x3, 16x16x64": lambda: _depthwise((16, 16, 64)),
    "int8 depthwise 3x3, 25x5x64": lambda: _depthwise((25, 5, 64)),
    "int8 depthwise 3x3, 48x48x8": lambda: _depthwise((48, 48, 8)),
    "int8 depthwise 3x3, 3x3x256": lambda: _depthwise((3, 3, 256)),
    "int8 depthwise 3x3, 24x24x32 by 2": lambda: _depthwise((24, 24, 32), stride=2),
    "int8 depthwise 5x5, 16x16x32": lambda: _depthwise((16, 16, 32), (5, 5)),
    "int8 depthwise 15x1, 30x1x64": lambda: _depthwise((30, 1, 64), (15, 1)),
    "int8 linear 784 to 128": lambda: _linear(784, 128),
    "int8 linear 128 to 128": lambda: _linear(128, 128),
}
