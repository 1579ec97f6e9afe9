"""Models that cannot be lowered: what is wrong, where, what to do; all faults together."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mcugen.errors import McugenError
from tests.frontend.lowering import Quantize, conv, linear, lowered, pixels


def i8(scale: float = 0.01) -> Quantize:
    return Quantize(scale, 0, -128, 127)


class Cumulative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(x, 1)


class Broadcast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.q = nn.AdaptiveAvgPool2d(1), i8()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.q(self.pool(x))


class Turned(nn.Module):
    """Moves the channels where as many rows were."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 1, 3)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q = pixels()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.q(x)
        return x * 2, x * 3


REFUSED: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "unsupported op": (
        lambda: nn.Sequential(pixels(), Cumulative()),
        ["'aten.cumsum.default' has no integer lowering", "test_lower_errors.py:", "mcugen ops"],
    ),
    "input not quantized": (
        lambda: nn.Sequential(conv(3, 4, 3), i8()),
        ["the model's input", "is not quantized", "quantize_"],
    ),
    "weight not quantized": (
        lambda: nn.Sequential(pixels(), nn.Conv2d(3, 4, 3), i8()),
        ["the weight '1.weight' of aten.conv2d.default is not quantized", "quantize_"],
    ),
    "activation not quantized": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), nn.ReLU(), conv(4, 4, 3), i8()),
        [
            "of aten.conv2d.default is not quantized",
            "a quantizer between every two layers",
            "quantize_",
        ],
    ),
    "average of an activation function": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), i8()),
        ["aten.avg_pool2d.default, behind an activation function, is not quantized"],
    ),
    "broadcast": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), i8(), Broadcast(), i8()),
        ["broadcasts [1, 4, 6, 6] with [1, 4, 1, 1]"],
    ),
    "scale zero": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), i8(0.0)),
        ["quantizer scale 0", "positive and finite"],
    ),
    "scale negative": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), i8(-0.5)),
        ["quantizer scale -0.5"],
    ),
    "accumulator overflow": (
        lambda: nn.Sequential(Quantize(1e-5, 0, 0, 65535), nn.Flatten(), linear(192, 4, bits=14)),
        ["linear: the accumulator could overflow 32 bits", "partial sums in [", "fewer bits"],
    ),
    "per-channel activation in front of a dense layer": (
        lambda: nn.Sequential(
            pixels(), conv(3, 2, 3), Quantize([0.1, 0.2], 0, 0, 15), conv(2, 4, 3), i8()
        ),
        ["one scale per channel in front of a dense convolution"],
    ),
    "silu of accumulators": (
        lambda: nn.Sequential(pixels(), conv(3, 4, 3), nn.SiLU(), i8()),
        ["rises and falls", "a quantizer of at most 8 bits in front"],
    ),
    "batch norm behind a transpose": (
        lambda: nn.Sequential(pixels(), conv(3, 6, 3), Turned(), nn.BatchNorm2d(6), i8()),
        ["per-channel values behind a transpose"],
    ),
    "two outputs": (TwoOutputs, ["the model has 2 outputs"]),
    "softmax inside": (
        lambda: nn.Sequential(pixels(), nn.Flatten(), linear(192, 4), nn.Softmax(1), i8()),
        ["is not quantized"],
    ),
    "log softmax inside": (
        lambda: nn.Sequential(pixels(), nn.Flatten(), linear(192, 4), nn.LogSoftmax(1), i8()),
        ["aten.log_softmax.int inside the network"],
    ),
    "training mode batch norm": (
        lambda: nn.Sequential(
            pixels(), conv(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), i8()
        ),
        ["batch norm"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, wanted = REFUSED[name]
    with pytest.raises(McugenError) as caught:
        lowered(module(), (3, 8, 8), tmp_path)
    for words in wanted:
        assert words in str(caught.value)


def test_all_faults_come_together(tmp_path: Path) -> None:
    module = nn.Sequential(
        pixels(), nn.Conv2d(3, 4, 3), i8(), Cumulative(), i8(), conv(4, 4, 3), i8(float("nan"))
    )
    with pytest.raises(McugenError) as caught:
        lowered(module, (3, 8, 8), tmp_path)
    assert len(caught.value.faults) == 1  # all else depends on the first fault's result

    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.a, self.b = pixels(), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.q(x)
            return self.a(x) + self.b(x)

    with pytest.raises(McugenError) as caught:
        lowered(Apart(), (3, 8, 8), tmp_path)
    assert [fault.what for fault in caught.value.faults] == [
        "the weight 'a.weight' of aten.conv2d.default is not quantized",
        "the weight 'b.weight' of aten.conv2d.default is not quantized",
    ]


class OtherGrid(nn.Module):
    """dequantize with another scale than the quantize in front of it."""

    def forward(self, x: Tensor) -> Tensor:
        q = torch.ops.quantized_decomposed
        x = q.quantize_per_tensor(x, 1 / 255, 0, 0, 255, torch.uint8)
        return q.dequantize_per_tensor(x, 1 / 128, 0, 0, 255, torch.uint8)


def test_a_dequantize_of_another_grid(tmp_path: Path) -> None:
    importlib.import_module("torch.ao.quantization.fx._decomposed")  # registers the ops
    with pytest.raises(McugenError, match="has another grid than the tensor it reads"):
        lowered(OtherGrid(), (3, 8, 8), tmp_path)


def test_a_bias_that_is_no_number(tmp_path: Path) -> None:
    layer = conv(3, 4, 3)
    inner = layer.layer
    del inner.bias
    inner.register_buffer("bias", torch.tensor([0.0, 1.0, float("nan"), 2.0]))
    with pytest.raises(McugenError, match="bias' has NaN or infinite values"):
        lowered(nn.Sequential(pixels(), layer, i8()), (3, 8, 8), tmp_path)
