"""The zoo by name: every network that `train` knows."""

import functools
from collections.abc import Callable

import torch
from torch import nn

from mcugen.errors import fail
from mcugen.quant.weights import WEIGHTED
from mcugen.train import models_large, models_nlevel
from mcugen.train.models import Activation, DsCnn, LeNet, Mlp, ResNet, Shape, relu
from mcugen.train.models_binary import OUTLINES, builder
from mcugen.train.models_reference import Mlp704, Vgg

ZOO: dict[str, Callable[[Shape, int, Activation], nn.Module]] = {
    "mlp": Mlp,
    "lenet": LeNet,
    "dscnn": DsCnn,
    "resnet": ResNet,
    "mlp704": Mlp704,
    "mlp704_plain": functools.partial(Mlp704, batch_norm=False),
    "vgg": Vgg,
    **{name: builder(name) for name in OUTLINES},
    **{name: models_nlevel.builder(name) for name in models_nlevel.PLANS},
    "resnet18": models_large.resnet(2, 2, 2, 2),
    "resnet34": models_large.resnet(3, 4, 6, 3),
}

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "hardtanh": nn.Hardtanh,
}


def activation(name: str) -> Activation:
    """Makes the nonlinearity of this name in front of every layer.

    Raises McugenError for another name.
    """
    if name not in ACTIVATIONS:
        want = ", ".join(ACTIVATIONS)
        raise fail("train", "no activation of this name", got=repr(name), want=want)
    return lambda layer: ACTIVATIONS[name]()


def build(name: str, shape: Shape, classes: int, activation: Activation = relu) -> nn.Module:
    """The zoo's model `name`, its weights drawn from torch's global generator.

    Raises McugenError for a name that is not in the zoo.
    """
    if name not in ZOO:
        raise fail("train", "no model of this name", got=repr(name), want=", ".join(ZOO))
    return ZOO[name](shape, classes, activation)


def layer_names(name: str) -> list[str]:
    """The names of a zoo model's convolutions and linear layers, from input to output."""
    with torch.device("meta"):
        model = build(name, (1, 32, 32), 10)
    return layers_of(model)


def layers_of(model: nn.Module) -> list[str]:
    """The names of a model's layers with weights, in the order of their definition."""
    return [name for name, module in model.named_modules() if isinstance(module, WEIGHTED)]
