"""Float training: the accuracy that the quantized methods are measured against."""

from dataclasses import dataclass

from mcugen.train import session, zoo
from mcugen.train.config import TrainConfig, TrainResult

EPOCHS = 5
LEARNING_RATE = 4e-3


@dataclass(frozen=True)
class Options:
    """The nonlinearity ("relu", "tanh", "hardtanh"); if the input is normalized (as in `lq`)."""

    activation: str = "relu"
    normalize: bool = False


def train(config: TrainConfig, options: Options) -> TrainResult:
    """Trains a zoo model in float32 and exports it without quantizers.

    Raises McugenError for an unknown model, data set or activation and for a loss not a number.
    """
    activation = zoo.activation(options.activation)
    run = session.Session.start(config, f"float {options}")
    model = run.build(activation)
    if options.normalize:
        run.normalize(model)
    stage = run.stage("float", config.epochs or EPOCHS, config.learning_rate or LEARNING_RATE)
    loss = run.train(model, stage)
    run.export(model)
    return run.result(run.accuracy(model), loss, "float32, no quantizers")
