"""The model zoo: small networks for small images, each built for an input shape and a class count.

`zoo.py` gives them their names.
They are plain float modules; `quantize_` makes them quantized. `activation(name)` makes the
nonlinearity in front of the layer `name`, so that a layer with binary inputs can get a hardtanh,
which keeps the sign that a ReLU would throw away.
"""

from collections.abc import Callable

from torch import Tensor, nn

from mcugen.errors import fail

Shape = tuple[int, int, int]  # channels, height, width
Activation = Callable[[str], nn.Module]


def relu(layer: str) -> nn.Module:
    """A ReLU in front of every layer."""
    return nn.ReLU()


class Mlp(nn.Module):
    """Two hidden layers of 64 on the flattened image."""

    def __init__(self, shape: Shape, classes: int, activation: Activation = relu) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(shape[0] * shape[1] * shape[2], 64, bias=False)
        self.bn1 = nn.BatchNorm1d(64)
        self.act1 = activation("fc2")
        self.fc2 = nn.Linear(64, 64, bias=False)
        self.bn2 = nn.BatchNorm1d(64)
        self.act2 = activation("fc3")
        self.fc3 = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.act1(self.bn1(self.fc1(self.flatten(x))))
        x = self.act2(self.bn2(self.fc2(x)))
        scores: Tensor = self.fc3(x)
        return scores


class LeNet(nn.Module):
    """Two 5×5 convolutions with pools and two linear layers (after LeNet-5, LeCun et al., 1998).

    On 28×28×1: 338 k MACs, 21 k weights. Images below 16×16 are padded, so that something is left
    for the second convolution.
    """

    def __init__(self, shape: Shape, classes: int, activation: Activation = relu) -> None:
        super().__init__()
        channels, height, width = shape
        padding = 2 if min(height, width) < 16 else 0
        lost = 4 - 2 * padding
        rows, columns = ((size - lost) // 2 - lost for size in (height, width))
        if min(rows, columns) < 2:
            raise fail("train", "the image is too small for lenet", got=str(shape), want="≥ 4×4")
        self.conv1 = nn.Conv2d(channels, 8, 5, padding=padding, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.act1 = activation("conv2")
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 5, padding=padding, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.act2 = activation("fc1")
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * (rows // 2) * (columns // 2), 64, bias=False)
        self.bn3 = nn.BatchNorm1d(64)
        self.act3 = activation("fc2")
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.pool1(self.act1(self.bn1(self.conv1(x))))
        x = self.pool2(self.act2(self.bn2(self.conv2(x))))
        x = self.act3(self.bn3(self.fc1(self.flatten(x))))
        scores: Tensor = self.fc2(x)
        return scores


class _Separable(nn.Module):
    """Depthwise 3×3, then pointwise 1×1, each with batch norm (MobileNet, Howard et al., 2017)."""

    def __init__(self, name: str, channels: int, out: int, stride: int, act: Activation) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = act(f"{name}.pointwise")
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.depthwise(x)))
        x = self.bn2(self.pointwise(x))
        return x


class DsCnn(nn.Module):
    """A stem and three depthwise-separable blocks (after DS-CNN, Zhang et al., 2017)."""

    def __init__(self, shape: Shape, classes: int, activation: Activation = relu) -> None:
        super().__init__()
        stride = 2 if min(shape[1:]) >= 16 else 1
        self.stem = nn.Conv2d(shape[0], 16, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.act = activation("block1.depthwise")
        self.block1 = _Separable("block1", 16, 32, 1, activation)
        self.act1 = activation("block2.depthwise")
        self.block2 = _Separable("block2", 32, 32, 2, activation)
        self.act2 = activation("block3.depthwise")
        self.block3 = _Separable("block3", 32, 64, 1, activation)
        self.act3 = activation("pool")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.act(self.bn(self.stem(x)))
        x = self.act1(self.block1(x))
        x = self.act2(self.block2(x))
        x = self.act3(self.block3(x))
        scores: Tensor = self.fc(self.flatten(self.pool(x)))
        return scores


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut (ResNet, He et al., 2016, basic block).

    Where shape or stride change, the shortcut is a 1×1 convolution with batch norm.
    """

    def __init__(self, name: str, channels: int, out: int, stride: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.act1 = act(f"{name}.conv2")
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        total: Tensor = self.shortcut(x) + y
        return total


class ResNet(nn.Module):
    """A stem and three residual blocks of 8, 16 and 32 channels."""

    def __init__(self, shape: Shape, classes: int, activation: Activation = relu) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[0], 8, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.act = activation("block1.conv1")
        self.block1 = _Residual("block1", 8, 8, 1, activation)
        self.act1 = activation("block2.conv1")
        self.block2 = _Residual("block2", 8, 16, 2, activation)
        self.act2 = activation("block3.conv1")
        self.block3 = _Residual("block3", 16, 32, 2, activation)
        self.act3 = activation("pool")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.act(self.bn(self.stem(x)))
        x = self.act1(self.block1(x))
        x = self.act2(self.block2(x))
        x = self.act3(self.block3(x))
        scores: Tensor = self.fc(self.flatten(self.pool(x)))
        return scores
