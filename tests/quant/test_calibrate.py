"""Where quantizers end up after `quantize_` and `calibrate`, and calibration data at the edges."""

import pytest
import torch
from torch import nn

from mcugen.errors import McugenError
from mcugen.quant import LayerGrids, Uniform, calibrate, quantize_
from mcugen.quant.quantizer import BasisQuantizer, Quantizer


class Residual(nn.Module):
    """conv → relu → (conv beside identity) → + → relu → pool → linear."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.stem(x))
        x = self.relu(x + self.conv(x))
        return self.fc(torch.flatten(self.pool(x), 1))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def quantizers(model):
    """Type and number of levels of each activation quantizer, by name."""
    return {name: q.grid.count for name, q in model.activation_quantizers.named().items()}


def test_quantizers_that_see_one_tensor_become_one_and_gridded_tensors_get_none():
    model = quantize_(Residual())
    calibrate(model, [torch.rand(8, 1, 6, 6)])
    assert list(quantizers(model)) == [
        "input",  # for the stem too
        "conv_conv2d",  # of the sum too
        "add",
        "pool_adaptive_avg_pool2d",
        "fc_linear",  # an average leaves the grid
    ]
    assert str(model.activation_quantizers.plan[2]) == "add"
    assert model.activation_quantizers.plan[2].operands == (("conv_conv2d",), ("add",))


def test_a_grid_survives_pool_flatten_and_dropout_but_fewer_levels_are_quantized_again():
    layers = [nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(9, 3)]
    model = quantize_(nn.Sequential(*layers))
    calibrate(model, [torch.rand(4, 1, 6, 6)])
    assert sum(isinstance(m, Quantizer) for m in model.modules()) == 2  # input and weight
    model = quantize_(nn.Sequential(*layers[:3], nn.Linear(9, 3)), activation=Uniform(bits=4))
    calibrate(model, [torch.rand(4, 1, 6, 6)])
    assert sum(isinstance(m, Quantizer) for m in model.modules()) == 3


def test_a_sequential_quantizes_its_input_first_and_its_scores_never():
    model = quantize_(nn.Sequential(nn.Linear(4, 3)))
    calibrate(model, [torch.rand(4, 4)])
    x = torch.rand(2, 4)
    linear, holder = model
    first = holder.named()["input"]
    pixels = torch.floor(x * 255 + 0.5) / 255
    torch.testing.assert_close(model(x), nn.functional.linear(pixels, linear.weight, linear.bias))
    assert (first.lo, first.hi, first.zero_point.item()) == (0, 255, 0)
    assert first.scale.item() == torch.tensor(1 / 255).item()
    assert not first.scale.requires_grad


def test_skip_and_overrides():
    model = quantize_(
        Residual(),
        skip={"fc"},
        overrides={"conv": LayerGrids(Uniform(bits=1), Uniform(bits=1))},
    )
    calibrate(model, [torch.rand(8, 1, 6, 6)])
    assert quantizers(model) == {
        "input": 256,
        "conv_conv2d": 256,  # what the sum wants
        "conv_conv2d_2": 2,  # behind it
        "add": 256,
        "pool_adaptive_avg_pool2d": 256,
    }
    assert model.activation_quantizers.plan[1].operands[0] == ("conv_conv2d", "conv_conv2d_2")
    assert isinstance(model.activation_quantizers.named()["conv_conv2d_2"], BasisQuantizer)


def test_binary_activations_leave_adds_and_average_pools_at_eight_bits():
    model = quantize_(Residual(), Uniform(bits=1), Uniform(bits=1))
    calibrate(model, [torch.rand(8, 1, 6, 6)])
    assert model.activation_quantizers.plan[2].operands == (("conv_conv2d",), ("add",))
    assert quantizers(model)["conv_conv2d"] == quantizers(model)["add"] == 256
    assert quantizers(model)["conv_conv2d_2"] == quantizers(model)["fc_linear"] == 2


def test_names_that_do_not_exist_and_quantizing_twice():
    with pytest.raises(McugenError, match="no layer of this name"):
        quantize_(Residual(), skip=["nowhere"])
    with pytest.raises(McugenError, match="no layer of this name"):
        quantize_(Residual(), overrides={"nowhere": LayerGrids()})
    model = quantize_(Residual(), overrides={"relu": LayerGrids()})
    with pytest.raises(McugenError, match="nothing here has an operand"):
        calibrate(model, [torch.rand(2, 1, 6, 6)])
    with pytest.raises(McugenError, match="quantized already"):
        quantize_(quantize_(Residual()))


def test_weights_that_are_not_finite_are_all_named():
    model = Residual()
    with torch.no_grad():
        model.conv.weight[0, 0, 0, 0] = torch.nan
        model.fc.weight[0, 0] = torch.inf
    with pytest.raises(McugenError) as caught:
        quantize_(model)
    assert [fault.at for fault in caught.value.faults] == ["conv.weight", "fc.weight"]


def test_uncalibrated_is_an_error():
    with pytest.raises(McugenError, match="no scale yet"):
        quantize_(Residual())(torch.rand(1, 1, 6, 6))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_values_that_are_not_finite(bad):
    x = torch.rand(8, 1, 6, 6)
    x[5, 0, 1, 1] = bad
    model = quantize_(Residual(), input_range=None)
    with pytest.raises(McugenError, match="NaN or infinite"):
        calibrate(model, [x])
    calibrate(model, [torch.rand(8, 1, 6, 6)])  # and the model is still usable
    assert model(torch.rand(1, 1, 6, 6)).isfinite().all()


def test_no_data_and_layers_out_of_reach():
    with pytest.raises(McugenError, match="no data"):
        calibrate(quantize_(Residual()), [])
    model = Residual()
    model.unused = nn.Linear(3, 3)
    with pytest.raises(McugenError, match="no data reached") as caught:
        calibrate(quantize_(model), [torch.rand(2, 1, 6, 6)])
    assert caught.value.faults[0].at == "unused"
    with pytest.raises(McugenError, match="percentile"):
        calibrate(quantize_(Residual()), [torch.rand(2, 1, 6, 6)], percentile=0)


def lone_quantizer(x, **options):
    model = quantize_(nn.Sequential(nn.ReLU(), nn.Linear(x.shape[1], 2)), input_range=None)
    calibrate(model, [x], **options)
    return model.activation_quantizers.named()["input"]


@pytest.mark.parametrize("search", [False, True])
def test_constant_data(search):
    zero = lone_quantizer(torch.zeros(5, 3), search=search)
    assert (zero.scale.item(), zero.zero_point.item()) == (1.0, 0)
    five = lone_quantizer(torch.full((5, 3), 5.0), search=search)
    assert five(torch.tensor([5.0, 0.0])).tolist() == pytest.approx([5.0, 0.0])
    below = lone_quantizer(torch.full((5, 3), -5.0), search=search)
    assert below(torch.tensor([-5.0, 0.0])).tolist() == pytest.approx([-5.0, 0.0])
    tiny = lone_quantizer(torch.full((5, 3), 1e-44), search=search)
    assert tiny.scale.item() == 1.0


def test_percentile_cuts_outliers():
    x = torch.rand(1000, 4)
    x[7, 2] = 1000.0
    assert lone_quantizer(x).scale.item() == pytest.approx(1000 / 255)
    assert lone_quantizer(x, percentile=99.9).scale.item() < 1.01 / 255


def test_search_never_has_more_error_than_the_full_range():
    x = torch.randn(500, 8) ** 3
    full, searched = lone_quantizer(x), lone_quantizer(x, search=True)
    assert (searched(x) - x).square().mean() <= (full(x) - x).square().mean()


def test_calibration_is_repeatable_and_keeps_the_training_flag():
    x = torch.rand(64, 1, 6, 6)
    scales = []
    for _ in range(2):
        torch.manual_seed(3)
        model = quantize_(Residual().train(), Uniform(bits=4), Uniform(bits=4))
        calibrate(model, x.split(16), percentile=99, search=True)
        assert model.training
        scales.append([p.tolist() for n, p in model.named_parameters() if "scale" in n])
    assert scales[0] == scales[1]


def test_per_channel_activations():
    grid = Uniform(bits=8, per_channel=True)
    model = quantize_(
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 1, 1)), activation=grid
    )
    calibrate(model, [torch.rand(4, 2, 3, 3)])
    assert model.activation_quantizers.named()["2_conv2d"].scale.shape == (3,)
    model(torch.rand(1, 2, 3, 3))
