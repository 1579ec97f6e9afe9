"""Networks exported from PyTorch and quantized by ONNX Runtime's own tool."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

IMAGE = (1, 12, 12)


class Residual(nn.Module):
    """Every kind of layer that small image networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.inner = nn.Conv2d(12, 12, 3, padding=2, dilation=2)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.first(x), 2)
        x = nn.functional.leaky_relu(self.depthwise(x), 0.1)
        x = nn.functional.relu6(self.pointwise(x))
        y = torch.sigmoid(self.inner(x))
        x = torch.cat([x + y, x * y], 1)[:, 4:20]
        # Not by two: the mean of four levels is often a tie, which ONNX rounds to even.
        x = nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
        return self.last(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class FakeQuantized(nn.Module):
    """A network as quantization-aware training leaves it: PyTorch exports QDQ pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 6, 3, padding=1), nn.Linear(6 * 36, 10)
        for name, layer in (("first", self.first), ("last", self.last)):
            reach = layer.weight.detach().abs().flatten(1).amax(1)
            self.register_buffer(f"{name}_scale", reach / 127)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, 1 / 255, 0, 0, 255)
        weight = _per_channel(self.first.weight, self.first_scale)
        x = torch.relu(nn.functional.conv2d(x, weight, self.first.bias, padding=1))
        x = torch.fake_quantize_per_tensor_affine(x, 0.01, -128, -128, 127)
        x = nn.functional.max_pool2d(x, 2).flatten(1)
        weight = _per_channel(self.last.weight, self.last_scale)
        return nn.functional.linear(x, weight, self.last.bias)


def _per_channel(weight: Tensor, scale: Tensor) -> Tensor:
    zero = torch.zeros(len(scale), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -128, 127)


class _Images(CalibrationDataReader):
    def __init__(self, name: str, images: np.ndarray) -> None:
        self._batches = iter({name: image[None]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def export(module: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """`module` as a float model with the input `image`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further packages is old
        torch.onnx.export(
            module.eval(),
            (torch.zeros(1, *shape),),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=["scores"],
        )
    return path


def quantize(
    source: Path,
    path: Path,
    images: np.ndarray,
    form: QuantFormat,
    activation: QuantType = QuantType.QUInt8,
    weight: QuantType = QuantType.QInt8,
    per_channel: bool = False,
    **more: object,
) -> Path:
    """A float model quantized on `images` [N, ...]."""
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            str(source),
            str(path),
            _Images("image", images.astype(np.float32)),
            quant_format=form,
            activation_type=activation,
            weight_type=weight,
            per_channel=per_channel,
            extra_options=more,
        )
    finally:
        logging.disable(logging.NOTSET)
    return path
