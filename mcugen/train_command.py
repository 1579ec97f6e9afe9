"""The command `mcugen train`: its options as types, and what it does.

Which method has which option, its `Options` says.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from mcugen import flags
from mcugen.errors import fail
from mcugen.report import console

Method = Annotated[
    str, Argument(metavar="METHOD", help="float, uniform, lq, nlevel, bernoulli or ste.")
]
Model = Annotated[
    str,
    Option(
        help="mlp, lenet, dscnn, resnet, mlp704, mlp704_plain, vgg, bits4k, bits8k, cnn6 … cnn10, "
        "resnet18 or resnet34."
    ),
]
Output = Annotated[Path, Option("-o", "--output", help="The .pt2 to write.")]
Epochs = Annotated[int | None, Option(help="Default: the method's.")]
BatchSize = Annotated[int, Option()]
LearningRate = Annotated[float | None, Option(help="Peak; default: the method's.")]
Seed = Annotated[int, Option()]
TrainLimit = Annotated[int | None, Option("--limit", help="Train on the first N samples.")]
Augment = Annotated[bool, Option("--augment", help="Mirror and shift training images.")]
Teacher = Annotated[Path | None, Option(help="Checkpoint of a float run to learn from.")]
Checkpoint = Annotated[Path | None, Option(help="Save the state here.")]
Resume = Annotated[bool, Option("--resume", help="Go on from --checkpoint.")]

Activation = Annotated[str | None, Option(help="float, lq: relu, tanh or hardtanh.")]
Normalize = Annotated[
    bool | None, Option("--normalize", help="float, lq: pixels to mean 0, variance 1 (mlp704).")
]
PerChannel = Annotated[
    bool | None, Option("--per-channel/--per-tensor", help="uniform, lq: grids of weights.")
]
PostTraining = Annotated[
    bool | None, Option("--post-training", help="uniform, lq, nlevel: no training once quantized.")
]

Bits = Annotated[int | None, Option(help="uniform: weights and activations, 1–8.")]
WeightBits = Annotated[int | None, Option(help="uniform.")]
ActivationBits = Annotated[int | None, Option(help="uniform.")]
Levels = Annotated[int | None, Option(help="uniform: any level count instead.")]
FirstBits = Annotated[int | None, Option(help="uniform: first layer's weights.")]
LastBits = Annotated[int | None, Option(help="uniform: last layer.")]
LayerBits = Annotated[
    str | None, Option(help="uniform: weight/input bits, like conv2=4/4,fc1=1/1.")
]

Planes = Annotated[int | None, Option(help="lq: weights and activations, 1–4.")]
WeightPlanes = Annotated[int | None, Option(help="lq.")]
ActivationPlanes = Annotated[int | None, Option(help="lq.")]
LayerPlanes = Annotated[str | None, Option(help="lq: weight/input planes, like conv1=2,fc1=1/2.")]
Offset = Annotated[
    bool | None, Option("--offset/--no-offset", help="lq: of activations; default: with relu.")
]
Sequential = Annotated[
    bool | None, Option("--sequential", help="lq: calibrate behind quantized layers.")
]
QemSolver = Annotated[str | None, Option("--solver", help="lq: closed or gradient.")]
Start = Annotated[Path | None, Option(help="lq, nlevel: checkpoint of a float run to start from.")]

ActivationLevels = Annotated[int | None, Option(help="nlevel: of activations, 3–256.")]
WeightLevels = Annotated[int | None, Option(help="nlevel: of weights, 3–256.")]
Mode = Annotated[str | None, Option(help="nlevel: a stage trains the rest, or one layer.")]
StageEpochs = Annotated[int | None, Option(help="nlevel: of each stage.")]


def given(method: str, known: Collection[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The method's options that were given on the command line.

    Raises:
        McugenError: some that the method does not have.
    """

    def spelled(names: list[str]) -> str:
        return ", ".join(f"--{name.replace('_', '-')}" for name in names)

    given = {name: value for name, value in options.items() if value is not None}
    if unknown := sorted(given.keys() - known):
        raise fail(
            "train",
            f"method '{method}' has no option {spelled(unknown)}",
            help=f"options of {method}: {spelled(sorted(known))}",
        )
    return given


Gradient = Annotated[
    str | None,
    Option(help="bernoulli: precise, approx1, approx2, autograd; ste: clipped, identity."),
]
Schedule = Annotated[str | None, Option(help="bernoulli: all, layers or parts.")]
NormalSums = Annotated[
    bool | None, Option("--normal", help="bernoulli: central limit theorem in convolutions.")
]
Shift = Annotated[int | None, Option(help="bernoulli, ste: cut images up to N pixels off centre.")]


def train(  # noqa: PLR0913 - one parameter per flag
    context: typer.Context,
    method: Method,
    model: Model,
    data: flags.DataName,
    output: Output,
    epochs: Epochs = None,
    batch_size: BatchSize = 128,
    learning_rate: LearningRate = None,
    seed: Seed = 0,
    limit: TrainLimit = None,
    augment: Augment = False,
    teacher: Teacher = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    activation: Activation = None,
    normalize: Normalize = None,
    per_channel: PerChannel = None,
    post_training: PostTraining = None,
    bits: Bits = None,
    weight_bits: WeightBits = None,
    activation_bits: ActivationBits = None,
    levels: Levels = None,
    first_bits: FirstBits = None,
    last_bits: LastBits = None,
    layer_bits: LayerBits = None,
    planes: Planes = None,
    weight_planes: WeightPlanes = None,
    activation_planes: ActivationPlanes = None,
    layer_planes: LayerPlanes = None,
    offset: Offset = None,
    sequential: Sequential = None,
    solver: QemSolver = None,
    start: Start = None,
    activation_levels: ActivationLevels = None,
    weight_levels: WeightLevels = None,
    mode: Mode = None,
    stage_epochs: StageEpochs = None,
    gradient: Gradient = None,
    schedule: Schedule = None,
    normal: NormalSums = None,
    shift: Shift = None,
    as_json: flags.Json = False,
) -> None:
    """Train a zoo model with one of the methods and write it as a .pt2."""
    from mcugen import train as methods
    from mcugen.report import documents, tables

    chosen = methods.method(method)
    values = {name: context.params[name] for name in methods.TrainConfig.__dataclass_fields__}
    others = values.keys() | {"method", "as_json"}
    options = {name: value for name, value in context.params.items() if name not in others}
    options = given(method, chosen.Options.__dataclass_fields__.keys(), options)
    result = chosen.train(methods.TrainConfig(**values), chosen.Options(**options))
    if methods.leads():
        console.answer(as_json, documents.trained(result), tables.trained(result))
