"""Lowering: for every op, the integer program computes PyTorch's levels."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu

from mcugen.ir import Planes, ops
from tests.frontend.lowering import (
    OnBasis,
    Quantize,
    Transposed,
    assert_agrees,
    conv,
    linear,
    pixels,
    randomize_norms,
)

Layers = list[nn.Module]


def u4(scale: float = 0.05) -> Quantize:
    return Quantize(scale, 0, 0, 15)


def u8(scale: float = 0.01) -> Quantize:
    return Quantize(scale, 0, 0, 255)


def i8(scale: float = 0.01) -> Quantize:
    return Quantize(scale, 3, -128, 127)


CHAINS: dict[str, Callable[[], Layers]] = {
    "plain": lambda: [conv(3, 8, 3), i8()],
    "stride, padding, dilation": lambda: [
        conv(3, 8, (3, 5), stride=(2, 1), padding=(2, 3), dilation=(2, 1)),
        i8(),
        conv(8, 4, 3, padding="same", dilation=2),
        i8(),
    ],
    "groups": lambda: [conv(3, 6, 3, groups=3), u4(), conv(6, 4, 3, groups=2), i8()],
    "depthwise": lambda: [conv(3, 3, 3, groups=3, padding=1), nn.ReLU(), u8(), conv(3, 5, 1), i8()],
    "batch norm, relu6": lambda: [conv(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), u4()],
    "batch norm, relu, 8 bits": lambda: [conv(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), u8()],
    "max pool before quantizer": lambda: [
        conv(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        u4(),
    ],
    "max pool then batch norm": lambda: [conv(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), Shift(8), u4()],
    "ceil mode": lambda: [
        conv(3, 4, 3),
        u4(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        conv(4, 4, 1),
        i8(),
    ],
    "padded max pool": lambda: [conv(3, 4, 3), i8(), nn.MaxPool2d(3, 2, 1), conv(4, 4, 1), i8()],
    "average pool": lambda: [conv(3, 4, 3), u8(), nn.AvgPool2d(2), u8(), conv(4, 4, 1), i8()],
    "padded average pool": lambda: [conv(3, 4, 3), i8(), nn.AvgPool2d(3, 2, 1), i8()],
    "adaptive pools": lambda: [
        conv(3, 4, 3),
        u8(),
        nn.AdaptiveAvgPool2d(2),
        i8(),
        nn.AdaptiveMaxPool2d(1),
    ],
    "average of accumulators": lambda: [conv(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), i8()],
    "hardtanh": lambda: [conv(3, 4, 3), nn.Hardtanh(), i8()],
    "leaky relu": lambda: [conv(3, 4, 3), nn.LeakyReLU(0.125), Quantize(0.05, 0, -8, 7)],
    "sigmoid, few levels": lambda: [conv(3, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid(), u4(1 / 15)],
    "tanh of 8 bits": lambda: [conv(3, 4, 3), i8(0.02), nn.Tanh(), i8(1 / 127)],
    "hard swish": lambda: [conv(3, 4, 3), i8(0.03), nn.Hardswish(), i8(0.02)],
    "silu": lambda: [conv(3, 4, 3), i8(0.03), nn.SiLU(), i8(0.02)],
    "sign": lambda: [
        conv(3, 4, 3),
        nn.BatchNorm2d(4),
        Sign(),
        Quantize(1.0, 0, -1, 1),
        conv(4, 4, 3),
        i8(),
    ],
    "relu behind its quantizer": lambda: [conv(3, 4, 3), i8(), nn.ReLU(), conv(4, 4, 3), i8()],
    "per-channel activation": lambda: [
        conv(3, 3, 3),
        Quantize([0.01, 0.02, 0.005], 0, -128, 127),
        conv(3, 6, 3, groups=3),
        i8(),
    ],
    "dropout and flatten": lambda: [
        conv(3, 4, 3),
        u4(),
        nn.Dropout(),
        nn.Flatten(),
        linear(400, 5),
    ],
    "flatten before quantizer": lambda: [
        conv(3, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        u4(),
        linear(400, 5),
    ],
    "softmax inside": lambda: [
        nn.Flatten(),
        linear(432, 12),
        i8(0.05),
        nn.Softmax(1),
        u8(1 / 255),
        linear(12, 5),
    ],
    "transposed convolution": lambda: [
        conv(3, 4, 3),
        i8(),
        Transposed(4, 5, 3, stride=2, padding=1, output_padding=1),
        i8(),
        Transposed(5, 2, 2, stride=1),
        nn.ReLU(),
        u8(),
    ],
    "nearest neighbours": lambda: [conv(3, 4, 3), nn.Upsample(scale_factor=2), nn.ReLU(), u8()],
    "nearest neighbours of a size": lambda: [conv(3, 4, 3), u8(), nn.Upsample(size=(17, 23))],
    "log softmax": lambda: [nn.Flatten(), linear(432, 5), nn.LogSoftmax(1)],
    "odd level counts": lambda: [
        conv(3, 4, 3, bits=3),
        Quantize(0.07, 0, -11, 11),
        conv(4, 4, 3, bits=2),
        i8(),
    ],
    "2 to 7 bits": lambda: [
        layer
        for bits in range(2, 8)
        for layer in (conv(3, 3, 3, bits=bits, padding=1), Quantize(0.02, 0, 0, 2**bits - 1))
    ],
    "binary": lambda: [
        conv(3, 33, 3),
        nn.BatchNorm2d(33),
        OnBasis(0.7),
        conv(33, 40, 3, bits=1, padding=1),
        nn.BatchNorm2d(40),
        nn.MaxPool2d(2),
        OnBasis(0.4),
        nn.Flatten(),
        linear(40 * 25, 7, bits=1),
    ],
    "binary with an offset": lambda: [
        conv(3, 8, 3),
        nn.BatchNorm2d(8),
        OnBasis(0.7, offset=0.21),
        conv(8, 8, 3, bits=1),
        i8(0.05),
    ],
    "binary activations, int8 weights": lambda: [
        conv(3, 8, 3),
        nn.BatchNorm2d(8),
        OnBasis(0.5),
        conv(8, 4, 3, padding=1),
        i8(),
    ],
    "int8 activations, binary weights": lambda: [
        conv(3, 8, 3),
        u8(),
        conv(8, 4, 3, bits=1),
        i8(0.05),
    ],
    "slices": lambda: [
        Crop(1, 7),
        conv(3, 6, 3),
        nn.BatchNorm2d(6),
        Crop(0, 3),
        u8(),
        Channels(2, 5),
        conv(3, 4, 1),
        i8(),
    ],
    "pad": lambda: [conv(3, 4, 3), i8(), nn.ZeroPad2d((1, 2, 0, 1)), conv(4, 4, 3), i8()],
    "pad before quantizer": lambda: [
        conv(3, 4, 3),
        nn.ReLU(),
        nn.ZeroPad2d(1),
        u4(),
        conv(4, 4, 3),
        i8(),
    ],
    "scaled by a number": lambda: [conv(3, 4, 3), i8(), Scale(0.5), conv(4, 4, 3), i8()],
    "permute": lambda: [conv(3, 4, 3), i8(), Permute(0, 1, 3, 2), conv(4, 4, 3), i8()],
    "shuffle channels": lambda: [conv(3, 4, 3), i8(), Shuffle(2), conv(4, 4, 3), i8()],
    "scores of an image": lambda: [conv(3, 4, 3), nn.Flatten()],
    "in-place functions": lambda: [
        conv(3, 4, 3),
        nn.ReLU6(inplace=True),
        i8(),
        nn.Hardswish(True),
        i8(),
    ],
    "image from a vector": lambda: [
        nn.Flatten(),
        linear(432, 36),
        i8(),
        nn.Unflatten(1, (4, 3, 3)),
        conv(4, 4, 3),
        i8(),
    ],
}


class Crop(nn.Module):
    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.first : self.last, self.first : -1]


class Channels(nn.Module):
    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.first, self.last - self.first)


class Sign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sign(x)


class Shift(nn.Module):
    """A constant per channel, as a parameter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.linspace(-0.3, 0.4, channels)[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * 1.5 + self.amount - 0.1


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Permute(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(*self.order)


class Shuffle(nn.Module):
    """ShuffleNet's channel shuffle."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@pytest.mark.parametrize("name", CHAINS)
def test_chain(name: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = nn.Sequential(pixels(), *CHAINS[name]())
    assert_agrees(randomize_norms(module), (3, 12, 12), tmp_path)


class Residual(nn.Module):
    """Two branches with other scales, one straight from its accumulators."""

    def __init__(self, quantized: bool) -> None:
        super().__init__()
        self.input = pixels()
        self.stem, self.q = conv(3, 4, 3, padding=1), i8(0.0131723)
        self.branch, self.norm = conv(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.requantize = i8(0.0213907) if quantized else nn.Identity()
        self.last = u8(0.0301459)

    def forward(self, x: Tensor) -> Tensor:
        x = self.q(self.stem(self.input(x)))
        return self.last(relu(x + self.requantize(self.norm(self.branch(x)))))


@pytest.mark.parametrize("quantized", [True, False])
def test_residual(quantized: bool, tmp_path: Path) -> None:
    torch.manual_seed(3)
    # Accumulators pass a 16-bit grid on their way into a sum: one level, at a border.
    module = randomize_norms(Residual(quantized))
    program = assert_agrees(module, (3, 8, 8), tmp_path, apart=0 if quantized else 1)
    assert any(isinstance(node.op, ops.Add) for node in program.nodes)


class Branches(nn.Module):
    """cat of two convolutions; the quantizer stands behind it, or in each branch."""

    def __init__(self, behind: bool) -> None:
        super().__init__()
        self.input, self.a, self.b = pixels(), conv(3, 4, 3), conv(3, 2, 3)
        self.norm = nn.BatchNorm2d(6)
        self.each = nn.Identity() if behind else i8(0.02)
        self.behind = i8(0.02) if behind else nn.Identity()
        self.last, self.final = conv(6, 3, 1), i8()

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        joined = torch.cat([self.each(self.a(x)), self.each(self.b(x))], 1)
        if not isinstance(self.behind, nn.Identity):
            joined = max_pool2d(relu(self.norm(joined)), 2)
        return self.final(self.last(self.behind(joined)))


@pytest.mark.parametrize("behind", [True, False])
def test_concatenation(behind: bool, tmp_path: Path) -> None:
    torch.manual_seed(4)
    program = assert_agrees(randomize_norms(Branches(behind)), (3, 8, 8), tmp_path)
    assert any(isinstance(node.op, ops.Concat) for node in program.nodes)


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input, self.a, self.b = pixels(), conv(3, 4, 3), conv(3, 4, 3)
        self.qa, self.qb, self.last = i8(0.02), Quantize(1 / 255, 0, 0, 255), i8(0.03)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        return self.last(self.qa(self.a(x)) * self.qb(torch.sigmoid(self.b(x))))


def test_sigmoid_of_a_shared_scale_is_exact(tmp_path: Path) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.a, self.q = pixels(), conv(3, 4, 3), Quantize(1 / 255, 0, 0, 255)

        def forward(self, x: Tensor) -> Tensor:
            return self.q(torch.sigmoid(self.q(self.a(self.input(x))) * 4 - 2))

    assert_agrees(Gate(), (3, 6, 6), tmp_path)


def test_product_of_tensors(tmp_path: Path) -> None:
    torch.manual_seed(5)
    module = Product()
    module.qb = Quantize(1 / 15, 0, 0, 15)
    program = assert_agrees(module, (3, 8, 8), tmp_path)
    assert any(isinstance(node.op, ops.Mul) for node in program.nodes)


def test_argmax_at_the_end(tmp_path: Path) -> None:
    class Classify(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(pixels(), nn.Flatten(), linear(48, 7))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).softmax(1).argmax(1)

    program = assert_agrees(Classify(), (3, 4, 4), tmp_path)
    assert isinstance(program.nodes[-1].op, ops.ArgMax)


class Decomposed(nn.Module):
    """What PyTorch's PT2E flow leaves: stored int8 weights, quantize/dequantize pairs."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = torch.randint(-127, 128, (4, 3, 3, 3), generator=generator, dtype=torch.int8)
        self.register_buffer("weight", weight)
        self.register_buffer("scales", torch.rand(4, generator=generator) * 0.01 + 0.001)
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))
        self.bias = nn.Parameter(torch.randn(4, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        q = torch.ops.quantized_decomposed
        x = q.quantize_per_tensor(x, 1 / 255, 0, 0, 255, torch.uint8)
        x = q.dequantize_per_tensor(x, 1 / 255, 0, 0, 255, torch.uint8)
        w = q.dequantize_per_channel(self.weight, self.scales, self.zeros, 0, -127, 127, torch.int8)
        x = relu(conv2d(x, w, self.bias))
        x = q.quantize_per_tensor(x, 0.023, -128, -128, 127, torch.int8)
        return q.dequantize_per_tensor(x, 0.023, -128, -128, 127, torch.int8)


def test_pt2e_graph(tmp_path: Path) -> None:
    importlib.import_module("torch.ao.quantization.fx._decomposed")  # registers the ops
    assert_agrees(Decomposed(), (3, 8, 8), tmp_path)


class FakeQuantized(nn.Module):
    """PyTorch's own fake-quantize ops, ties to even."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("scale", torch.rand(4) * 0.01 + 0.002)
        self.register_buffer("zero", torch.zeros(4, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, 1 / 255, 0, 0, 255)
        w = torch.fake_quantize_per_channel_affine(
            self.conv.weight, self.scale, self.zero, 0, -127, 127
        )
        x = relu(conv2d(x, w, self.conv.bias))
        return torch.fake_quantize_per_tensor_affine(x, 0.0625, 5, 0, 15)


def test_fake_quantize_graph(tmp_path: Path) -> None:
    torch.manual_seed(6)
    assert_agrees(FakeQuantized(), (3, 8, 8), tmp_path)


def test_a_binary_layer_with_a_dead_channel(tmp_path: Path) -> None:
    module = nn.Sequential(pixels(), conv(3, 8, 3), OnBasis(0.5), conv(8, 4, 3, bits=1), i8(0.05))
    module[3].layer.parametrizations.weight[0].scale[1] = 0.0
    assert_agrees(module, (3, 8, 8), tmp_path)


def test_binary_layers_stay_packed(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = randomize_norms(nn.Sequential(pixels(), *CHAINS["binary"]()))
    program = assert_agrees(module, (3, 12, 12), tmp_path)
    packed = [v for v in program.values.values() if isinstance(v.type.element, Planes)]
    assert len(packed) == 3  # two layers' activations, one of them pooled


BASES: dict[str, Callable[[], list[nn.Module]]] = {
    "two planes on two": lambda: [
        conv(3, 16, 3),
        nn.BatchNorm2d(16),
        OnBasis(0.3, 0.71),
        conv(16, 40, 3, planes=2),
        nn.BatchNorm2d(40),
        OnBasis(0.4, 0.9),
        nn.Flatten(),
        linear(40 * 64, 7, planes=2),
    ],
    "three on one, one on three": lambda: [
        conv(3, 16, 3),
        OnBasis(0.11, 0.21, 0.43),
        conv(16, 40, 3, planes=1),
        nn.BatchNorm2d(40),
        OnBasis(0.4),
        conv(40, 8, 1, planes=3),
        u8(),
    ],
    "offsets, padded and not": lambda: [
        conv(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        OnBasis(0.31, offset=0.4),
        conv(16, 33, 3, planes=1, padding=1),
        nn.BatchNorm2d(33),
        nn.ReLU(),
        OnBasis(0.2, 0.47, offset=0.73),
        conv(33, 8, 3, planes=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        OnBasis(0.2, 0.47, offset=0.73),
        nn.Flatten(),
        linear(800, 5, planes=3),
    ],
    "pools wait, on ranks where the codes do not rise": lambda: [
        conv(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.MaxPool2d(2),
        OnBasis(0.3, 0.4, 0.5),
        conv(16, 40, 2, planes=2),
        nn.BatchNorm2d(40),
        nn.MaxPool2d(2),
        OnBasis(0.2, 0.3, 0.8),
        nn.Flatten(),
        linear(160, 7, planes=4),
    ],
    "read by integers too": lambda: [
        conv(3, 16, 3),
        OnBasis(0.2, 0.3, 0.4, offset=0.1),
        conv(16, 4, 3, padding=1),
        u8(),
        conv(4, 4, 3, planes=3),
        u8(),
    ],
    "depthwise": lambda: [
        conv(3, 40, 3),
        OnBasis(0.2, 0.5),
        conv(40, 40, 3, planes=2, groups=40, padding=1),
        OnBasis(0.4),
        conv(40, 8, 1, planes=1),
        u8(),
    ],
}


@pytest.mark.parametrize("name", BASES)
def test_bases(name: str, tmp_path: Path) -> None:
    """Integers stand for bases to 2^-14, so that a value at a border may fall on its other side."""
    torch.manual_seed(5)
    module = randomize_norms(nn.Sequential(pixels(), *BASES[name]()))
    program = assert_agrees(module, (3, 12, 12), tmp_path, apart=1)
    assert any(isinstance(value.type.element, Planes) for value in program.values.values()) == (
        name != "read by integers too"
    )


def test_equal_quantizers_of_one_tensor_are_shared(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.a, self.b, self.c = (
                pixels(),
                conv(3, 4, 3),
                conv(4, 2, 1),
                conv(4, 2, 1),
            )
            self.q, self.again, self.last = i8(), i8(), i8()

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(self.input(x))
            return self.last(self.b(self.q(x)) + self.c(self.again(x)))

    program = assert_agrees(Twice(), (3, 6, 6), tmp_path)
    users = program.users()
    (first,) = [n for n in program.nodes if isinstance(n.op, ops.Conv2d) and n.op.x == "%x"]
    assert len(users[first.result.name]) == 1
