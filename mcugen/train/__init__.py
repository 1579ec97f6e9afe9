"""Training methods. A method is one module with `Options` and `train(config, options)`."""

import importlib
from typing import Any, Protocol, cast

from mcugen.errors import fail
from mcugen.train.config import TrainConfig, TrainResult, leads

METHODS = {
    "float": "mcugen.train.float",
    "uniform": "mcugen.train.uniform",
    "lq": "mcugen.train.lq",
    "bernoulli": "mcugen.train.bernoulli",
    "ste": "mcugen.train.ste",
    "nlevel": "mcugen.train.nlevel",
}
MODELS = (  # the names of zoo.ZOO, known without torch
    "mlp",
    "lenet",
    "dscnn",
    "resnet",
    "mlp704",
    "mlp704_plain",
    "vgg",
    "bits4k",
    "bits8k",
    "cnn6",
    "cnn7",
    "cnn8",
    "cnn9",
    "cnn10",
    "resnet18",
    "resnet34",
)


class Method(Protocol):
    """What the module of a method offers."""

    Options: type[Any]  # a frozen dataclass with defaults; its docstring says what each field does

    def train(self, config: TrainConfig, options: Any) -> TrainResult:
        """Trains, writes `config.output` and reports."""
        ...


def method(name: str) -> Method:
    """The module of a training method. Imports torch; raises McugenError for an unknown name."""
    if name not in METHODS:
        raise fail(
            "train", "no training method of this name", got=repr(name), want=", ".join(METHODS)
        )
    try:
        return cast(Method, importlib.import_module(METHODS[name]))
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise fail("train", "torch is not installed", help="pip install 'mcugen[train]'") from error


__all__ = ["METHODS", "MODELS", "Method", "TrainConfig", "TrainResult", "leads", "method"]
