"""Models written as people write them: sums, pools and concatenations that are no modules."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import mcugen
from mcugen.errors import McugenError
from mcugen.quant import LayerGrids, Uniform, calibrate, quantize_
from tests.frontend.lowering import OnBasis, Quantize, assert_agrees, randomize_norms

SHAPE = (3, 8, 8)
X = torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(3))


class BasicBlock(nn.Module):
    """As in torchvision's ResNet."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        out = self.relu(out)
        return out


class ResNet(nn.Module):
    """A stem with max pool, three blocks, `avgpool` and `torch.flatten`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 12, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    """As in torchvision's MobileNetV2."""

    def __init__(self, inp: int, oup: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inp * expand
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(
            nn.Conv2d(inp, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNet(nn.Module):
    """Linear bottlenecks in a row, and a pool that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, 1, 1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU6(inplace=True),
            InvertedResidual(6, 6, 1, 2),
            InvertedResidual(6, 6, 1, 2),
            InvertedResidual(6, 8, 2, 2),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class Fire(nn.Module):
    """As in torchvision's SqueezeNet."""

    def __init__(self, inplanes: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze, 1)
        self.activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.squeeze(x))
        return torch.cat(
            [self.activation(self.expand1x1(x)), self.activation(self.expand3x3(x))], 1
        )


class SqueezeNet(nn.Module):
    """Fire modules with a max pool between, `mean` at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            Fire(8, 4, 6),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(12, 4, 6),
        )
        self.head = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.head(self.features(x))).mean((2, 3))


class Shuffle(nn.Module):
    """Two branches, concatenated and shuffled as in ShuffleNet, and an average over the result."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 1)
        self.right = nn.Conv2d(3, 4, 3, padding=1)
        self.mix = nn.Conv2d(8, 4, 1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((torch.relu(self.left(x)), torch.relu(self.right(x))), dim=1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return functional.avg_pool2d(self.mix(functional.avg_pool2d(x, 2)), 4).flatten(1)


class Bare(nn.Module):
    """No modules at all: `F.conv2d`, `F.linear`, products, differences and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 3, 3) / 5)
        self.weight = nn.Parameter(torch.randn(4, 6) / 3)
        self.gain = nn.Parameter(torch.rand(1, 6, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        a = functional.relu(functional.conv2d(x, self.kernel, padding=1)) * self.gain
        b = torch.sigmoid(functional.conv2d(input=x, weight=self.kernel, padding=1))
        x = (a * b - b) * 0.5
        return functional.linear(x.mean((2, 3)), self.weight)


class SqueezeExcite(nn.Module):
    """A product with a tensor that is broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.gate = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        x = x * torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(x, 1)))
        return x.mean((2, 3))


def trained(model: nn.Module, bits: int = 8, steps: int = 3) -> nn.Module:
    """`model` quantized, calibrated, and trained for a few steps."""
    torch.manual_seed(0)
    quantize_(randomize_norms(model), Uniform(bits=bits), Uniform(bits=bits))
    calibrate(model, X.split(16))
    optimizer = torch.optim.SGD(model.parameters(), 1e-5)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model.train()(X), torch.arange(32) % 4).backward()
        optimizer.step()
    return model.eval()


def scales(model: nn.Module) -> dict[str, float]:
    parameters = model.activation_quantizers.named_parameters()
    return {name: value.item() for name, value in parameters if value.numel() == 1}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("net", [ResNet, MobileNet, SqueezeNet, Shuffle, Bare])
def test_trains_and_lowers_and_the_integers_agree(net, bits, tmp_path):
    torch.manual_seed(0)
    # A sigmoid per channel goes through a 16-bit grid, which may round to the next level.
    assert_agrees(trained(net(), bits), SHAPE, tmp_path, apart=int(net is Bare))


@pytest.mark.parametrize("net", [ResNet, MobileNet, SqueezeNet, Shuffle, Bare, SqueezeExcite])
def test_scales_learn_and_survive_copies_and_state_dicts(net):
    torch.manual_seed(0)
    model = trained(net(), steps=0)
    before = scales(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    twin = copy.deepcopy(model)
    with torch.no_grad():
        want = model(X)
        assert torch.equal(twin(X), want)
    model.train()(X).square().sum().backward()
    torch.optim.SGD(model.parameters(), 1e-4).step()
    assert sum(before[name] != value for name, value in scales(model).items()) == len(before) - 1
    assert scales(twin) == before  # a copy has its own
    model.load_state_dict(state)
    fresh = trained(net(), steps=0)
    fresh.load_state_dict(state)
    with torch.inference_mode():
        assert torch.equal(model.eval()(X), want)
        assert torch.equal(fresh(X), want)


def test_squeeze_excite_is_quantized_whatever_lowering_can_do(tmp_path):
    model = trained(SqueezeExcite())
    assert "mul" in model.activation_quantizers.named()
    mcugen.export(model, X[:1], tmp_path / "m.pt2")


def test_one_quantizer_for_each_tensor():
    model = trained(ResNet(), steps=0)
    plan = {str(site): site for site in model.activation_quantizers.plan}
    first = plan["conv2d in 'layer1.0.conv1'"].operands[0]
    assert plan["add in 'layer1.0'"].operands[1] == first
    block = plan["conv2d in 'layer2.0.conv1'"].operands[0]
    assert plan["conv2d in 'layer2.0.downsample.0'"].operands[0] == block
    assert plan["conv2d in 'conv1'"].operands == ((), ())


def test_a_sum_takes_the_finer_grid_that_a_layer_asks_for():
    wide = {"layer1.0.conv1": LayerGrids(activation=Uniform(bits=8))}
    model = quantize_(ResNet(), activation=Uniform(bits=4), overrides=wide)
    calibrate(model, [X])
    named = model.activation_quantizers.named()
    (site,) = [s for s in model.activation_quantizers.plan if str(s) == "add in 'layer1.0'"]
    assert [named[chain[0]].grid.count for chain in site.operands] == [16, 256]


def test_numbers_constants_and_what_is_on_a_grid_get_none():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(6, 2, 3)
            self.register_buffer("table", torch.rand(1, 3, 1, 1))

        def forward(self, x):
            parts = functional.pad(x, (1, 1, 1, 1)).permute(0, 1, 3, 2).chunk(3, dim=1)
            x = torch.cat(
                [*parts, functional.dropout(functional.pad(x, (1, 1, 1, 1)), training=False)], 1
            )
            y = self.conv(x) * 0.5 + 1
            return 1 - y / 2 + torch.exp(self.table).mean() * torch.rand(1)

    model = quantize_(Net())
    calibrate(model, [X])
    assert list(model.activation_quantizers.named()) == ["input"]


def test_a_tensor_changed_in_place_has_its_new_value_afterwards():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            y = self.conv(x)
            y.add_(x)
            y.mul_(self.conv(y))
            return y

    model = quantize_(Net())
    calibrate(model, [X])
    conv, holder = model.conv, model.activation_quantizers
    q = holder.named()
    with torch.no_grad():
        x = q["input"](X)
        y = q["add"](conv(x)) + x
        want = q["conv_conv2d"](y) * q["mul"](conv(q["conv_conv2d"](y)))
        torch.testing.assert_close(model(X), want)


def test_names_of_modules_stand_for_the_calls_in_their_code():
    skip = {"layer1.0", "layer2.0.conv1"}
    own = {"layer1.1": LayerGrids(activation=Uniform(bits=3))}
    model = quantize_(ResNet(), skip=skip, overrides=own)
    calibrate(model, [X])
    named = model.activation_quantizers.named()
    plan = {str(site): site.operands for site in model.activation_quantizers.plan}
    assert plan["add in 'layer1.0'"] == ((), ())
    assert plan["conv2d in 'layer2.0.conv1'"] == ((), ())
    out, identity = plan["add in 'layer1.1'"]
    assert [named[name].grid.count for name in out] == [8]
    assert [named[name].grid.count for name in identity] == [256, 8]  # a convolution reads it too


def test_a_module_called_twice_has_a_quantizer_for_each_call():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            for _ in range(3):
                x = self.norm(self.conv(x))
            return x

    model = quantize_(Net())
    calibrate(model, [X])
    assert list(model.activation_quantizers.named()) == ["input", "conv_conv2d", "conv_conv2d_2"]


def test_a_quantizer_that_the_model_has_itself_is_enough(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 4)
            self.grid, self.sign = Quantize(0.05, 128, 0, 255), OnBasis(0.5)

        def forward(self, x):
            x = self.grid(self.conv(x))
            x = functional.max_pool2d(x, 2)
            return self.head(self.sign(x)).flatten(1)

    model = quantize_(Net())
    calibrate(model, [X])
    assert list(model.activation_quantizers.named()) == ["input"]
    assert_agrees(model, SHAPE, tmp_path)


def test_a_quantized_model_inside_another_lowers(tmp_path):
    assert_agrees(nn.Sequential(trained(MobileNet()), nn.Softmax(1)), SHAPE, tmp_path)


def test_weights_of_functions_are_checked_and_computed_ones_left_alone():
    model = Bare()
    with torch.no_grad():
        model.kernel[0, 0, 0, 0] = torch.nan
    quantize_(model)
    with pytest.raises(McugenError, match="NaN or infinite") as caught:
        calibrate(model, [X.where(X > 2, 0)])
    assert caught.value.faults[0].at

    class Standardized(nn.Conv2d):
        def forward(self, x):
            return functional.conv2d(x, self.weight - self.weight.mean(), self.bias)

    model = quantize_(Standardized(3, 4, 1))
    calibrate(model, [X])
    assert list(model.activation_quantizers.named()) == ["input"]


def test_other_calls_than_in_calibration_are_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            y = torch.relu(self.conv(x))
            if self.training:
                y = y + y.flip(2)
            return y.mean((2, 3))

    model = quantize_(Net())
    calibrate(model, [X])
    with pytest.raises(McugenError, match="other calls than in calibration") as caught:
        model.train()(X)
    assert (caught.value.faults[0].got, caught.value.faults[0].want) == ("add", "mean")
    model.eval()(X)
    torch.ones(2) + torch.ones(2)  # and no mode is left behind
    with pytest.raises(McugenError, match="no quantizers"):
        calibrate(Net(), [X])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_model_that_is_interrupted_leaves_nothing_behind(error):
    class Net(nn.Sequential):
        fails = False

        def forward(self, x):
            x = super().forward(x)
            if self.fails:
                raise error
            return x

    model = quantize_(Net(nn.Conv2d(3, 4, 1)))
    calibrate(model, [X])
    model.fails = True
    with pytest.raises(error):
        model(X)
    assert torch.overrides._get_current_function_mode_stack() == []
