"""Makes the .onnx models of this folder. Run `python tests/models/make_onnx.py [NAME …]`.

Zoo models are trained in float32, exported by PyTorch, and quantized by ONNX Runtime's tool, which
sees the first training images.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from onnxruntime.quantization import QuantFormat, QuantType

from mcugen import data
from mcugen.train.config import TrainConfig
from mcugen.train.session import Session
from tests.frontend.onnx.exported import export, quantize

HERE = Path("tests/models")
CALIBRATED_ON = 200


@dataclass(frozen=True)
class Recipe:
    """A network, its training, and how it is quantized."""

    model: str
    data: str
    epochs: int
    form: QuantFormat
    activation: QuantType
    weight: QuantType
    per_channel: bool


_UNSIGNED, _SIGNED = QuantType.QUInt8, QuantType.QInt8
MODELS = {
    "lenet_qdq": Recipe("lenet", "mnist", 4, QuantFormat.QDQ, _UNSIGNED, _SIGNED, True),
    "lenet_qoperator": Recipe(
        "lenet", "mnist", 4, QuantFormat.QOperator, _UNSIGNED, _UNSIGNED, False
    ),
    "digits_resnet_qdq": Recipe("resnet", "digits", 20, QuantFormat.QDQ, _SIGNED, _SIGNED, True),
    "digits_dscnn_qdq": Recipe("dscnn", "digits", 30, QuantFormat.QDQ, _SIGNED, _SIGNED, False),
}


def make(name: str) -> float:
    """Write one model; returns the accuracy of the float network it comes from."""
    recipe = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = TrainConfig(recipe.model, recipe.data, work / "unused.pt2", epochs=recipe.epochs)
        run = Session.start(config, name)
        model = run.build()
        run.train(model, run.stage("float", recipe.epochs, 4e-3))
        path = export(model, run.train_samples.shape, work / "float.onnx")
        images = data.load(recipe.data, "train").x[:CALIBRATED_ON]
        quantize(
            path,
            HERE / f"{name}.onnx",
            images,
            recipe.form,
            recipe.activation,
            recipe.weight,
            recipe.per_channel,
        )
        return run.accuracy(model)


def main(names: list[str]) -> None:
    torch.set_num_threads(1)  # sums in another order give other weights
    for name in names or MODELS:
        print(f"{name}: {100 * make(name):.2f} % in float")


if __name__ == "__main__":
    main(sys.argv[1:])
