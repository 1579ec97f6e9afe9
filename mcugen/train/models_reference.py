"""Networks that published results are measured on, for comparison with them."""

from torch import Tensor, nn

from mcugen.train.models import Activation, Shape, relu


class Normalize(nn.Module):
    """(x − mean) / std, one number each: pixels become values of both signs."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Mlp704(nn.Module):
    """One hidden layer of 704 on the flattened image; `normalize` may become a `Normalize`.

    704 is the width for which the sizes fit that are reported for LQ-Nets on luci-interpreter. The
    network there had no batch norm; fine-tuning on few planes is better with it.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        activation: Activation = relu,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.normalize: nn.Module = nn.Identity()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(shape[0] * shape[1] * shape[2], 704, bias=not batch_norm)
        self.bn1: nn.Module = nn.BatchNorm1d(704) if batch_norm else nn.Identity()
        self.act1 = activation("fc2")
        self.fc2 = nn.Linear(704, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.flatten(self.normalize(x))
        scores: Tensor = self.fc2(self.act1(self.bn1(self.fc1(x))))
        return scores


class Vgg(nn.Module):
    """Four 3×3 convolutions of 32 to 128 channels, pools in front of the activation functions.

    After VGG-small, which LQ-Nets' results on CIFAR-10 are for, at a twentieth of its size: on
    32×32×3 9.2 M MACs, 150 k weights. A quantizer behind pool and activation sees what it encodes.
    """

    def __init__(self, shape: Shape, classes: int, activation: Activation = relu) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.act1 = activation("conv2")
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.act2 = activation("conv3")
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        self.act3 = activation("conv4")
        self.conv4 = nn.Conv2d(64, 128, 3, padding=1, bias=False)
        self.bn4 = nn.BatchNorm2d(128)
        self.act4 = activation("fc")
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(128 * (shape[1] // 8) * (shape[2] // 8), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, C, H, W]` → scores `[N, classes]`."""
        x = self.act1(self.pool(self.bn1(self.conv1(x))))
        x = self.act2(self.pool(self.bn2(self.conv2(x))))
        x = self.act3(self.pool(self.bn3(self.conv3(x))))
        x = self.act4(self.bn4(self.conv4(x)))
        scores: Tensor = self.fc(self.flatten(x))
        return scores
