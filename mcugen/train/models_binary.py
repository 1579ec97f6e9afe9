"""Networks for weights and activations of one bit: outlines, and what every kind of them shares.

An outline is trained with real weights (`Cropped`, in the zoo), as a Bernoulli network
(`mcugen.train.bernoulli`) or with a straight-through gradient (`mcugen.train.ste`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcugen.errors import fail
from mcugen.quant import ops as _ops  # noqa: F401 - registers the quantizer ops
from mcugen.train.models import Activation, Shape, relu

SIDE = 24  # of the image's centre that the networks look at
MAX_SHIFT = 2  # off the centre: the margin of 28×28


@dataclass(frozen=True)
class LayerShape:
    """A convolution without padding, or a linear layer, for which `kernel` is 0."""

    name: str
    inputs: int  # channels or features
    outputs: int
    kernel: int = 0
    stride: int = 1

    @property
    def terms(self) -> int:
        """Products in each sum."""
        return self.inputs * max(1, self.kernel) ** 2

    @property
    def weights(self) -> tuple[int, ...]:
        """The shape of torch's weights for this layer."""
        kernel = (self.kernel, self.kernel) if self.kernel else ()
        return (self.outputs, self.inputs, *kernel)


@dataclass(frozen=True)
class Outline:
    """Convolutions as (channels, kernel, stride), then hidden linear layers, then the scores."""

    convolutions: tuple[tuple[int, int, int], ...]
    hidden: tuple[int, ...]

    def layers(self, shape: Shape, classes: int) -> list[LayerShape]:
        """The layers from input to output, for images `[C, H, W]`.

        Raises McugenError for images that are too small.
        """
        channels, side = shape[0], SIDE
        if min(shape[1:]) < side:
            got, want = f"{shape[1]}×{shape[2]}", f"{side}×{side} or more"
            raise fail("train", "the image is too small for this network", got=got, want=want)
        found = []
        for index, (outputs, kernel, stride) in enumerate(self.convolutions, 1):
            found.append(LayerShape(f"conv{index}", channels, outputs, kernel, stride))
            channels, side = outputs, (side - kernel) // stride + 1
        features = channels * side**2
        for index, outputs in enumerate(self.hidden, 1):
            found.append(LayerShape(f"fc{index}", features, outputs))
            features = outputs
        return [*found, LayerShape("scores", features, classes)]


#: By the name of the zoo: so many kilobytes of binary weights, rounded up to a power of two.
OUTLINES = {
    # That of the work on Bernoulli layers: 33,856 weights, 4,232 bytes.
    "bits4k": Outline(((8, 6, 2), (32, 10, 2)), (64, 80)),
    "bits8k": Outline(((32, 6, 2), (32, 4, 2)), (64, 80)),
}


def outline(model: str) -> Outline:
    """The outline of this name; McugenError for another network."""
    if model not in OUTLINES:
        want = ", ".join(OUTLINES)
        raise fail("train", "this method trains other networks", got=repr(model), want=want)
    return OUTLINES[model]


def check_shift(shift: int) -> None:
    """Raises McugenError for more than the margin around the part of the image that counts."""
    if not 0 <= shift <= MAX_SHIFT:
        raise fail("train", "shift out of range", got=str(shift), want=f"0 … {MAX_SHIFT}")


def describe(shapes: list[LayerShape]) -> str:
    """Size of the weights in one line."""
    weights = sum(shape.terms * shape.outputs for shape in shapes)
    return f"image, weights and activations binary: {weights} weights, {weights // 8} bytes"


class Sign(nn.Module):
    """+1 above 0, else −1, as the quantizer op."""

    one: Tensor
    zero: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(1), persistent=False)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Values → ±1."""
        binary: Tensor = torch.ops.mcugen.quantize_basis(x, self.one, self.zero, -1)
        return binary


class Bits(nn.Module):
    """Pixels in 0 … 1 → the centre of the image in ±1: +1 from 128/255 on.

    In training, each batch is cut up to `shift` pixels off the centre, drawn from torch's global
    generator.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, shift: int = 1) -> None:
        super().__init__()
        self.shift = shift
        self.sign = Sign()
        self.register_buffer("scale", torch.tensor(1 / 255), persistent=False)
        self.register_buffer("zero", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → `[N, C, SIDE, SIDE]`."""
        x = torch.ops.mcugen.quantize(x, self.scale, self.zero, 0, 255, -1)
        top, left = (self._first(size) for size in x.shape[2:])
        bits: Tensor = self.sign(x[:, :, top : top + SIDE, left : left + SIDE] - 0.5)
        return bits

    def _first(self, size: int) -> int:
        centre = (size - SIDE) // 2
        if not self.training:
            return centre
        shift = min(self.shift, centre)
        return centre + int(torch.randint(-shift, shift + 1, ()))


class Cropped(nn.Module):
    """An outline with real weights, batch norm and activation functions, on an image of bits."""

    def __init__(self, layers: list[LayerShape], activation: Activation) -> None:
        super().__init__()
        self.bits = Bits()
        self.names = [layer.name for layer in layers]
        for layer, after in zip(layers, [*self.names[1:], ""], strict=True):
            self.add_module(layer.name, real_layer(layer))
            if after:
                norm = nn.BatchNorm2d if layer.kernel else nn.BatchNorm1d
                self.add_module(f"bn_{layer.name}", norm(layer.outputs))
                self.add_module(f"act_{layer.name}", activation(after))

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.bits(x)
        for name in self.names:
            layer = self.get_submodule(name)
            x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
            if name != self.names[-1]:
                x = self.get_submodule(f"act_{name}")(self.get_submodule(f"bn_{name}")(x))
        return x


def real_layer(layer: LayerShape) -> nn.Conv2d | nn.Linear:
    """A layer of torch without bias: batch norm follows, or scores, which need none."""
    if layer.kernel:
        return nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, bias=False)
    return nn.Linear(layer.inputs, layer.outputs, bias=False)


def weigh(layer: LayerShape, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The layer's sums for torch's weights: `[N, C, H, W]` or `[N, features]`."""
    if not layer.kernel:
        return functional.linear(x.flatten(1), weight, bias)
    return functional.conv2d(x, weight, bias, layer.stride)


def builder(name: str) -> Callable[[Shape, int, Activation], nn.Module]:
    """Builds the zoo's network for an outline."""

    def build(shape: Shape, classes: int, activation: Activation = relu) -> nn.Module:
        return Cropped(OUTLINES[name].layers(shape, classes), activation)

    return build
