"""What every training method takes and gives back. No torch here: the command line imports it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainConfig:
    """One training run, apart from the method's own options.

    With `checkpoint`, the state is written there after each epoch; with `resume` too, a run goes on
    from it and ends with the same weights as one that was never interrupted.
    """

    model: str  # a name of the zoo
    data: str  # a known set or an .npz file
    output: Path  # the .pt2 to write
    epochs: int | None = None  # of the whole run; None is the method's default
    batch_size: int = 128
    learning_rate: float | None = None  # peak of the cosine schedule; None is the method's default
    seed: int = 0
    checkpoint: Path | None = None
    resume: bool = False
    limit: int | None = None  # train on the first `limit` samples only
    augment: bool = False  # train on images that are mirrored and shifted at random
    teacher: Path | None = None  # checkpoint of a float run, whose scores are part of the loss


@dataclass(frozen=True)
class Step:
    """Accuracy on the test samples on the way."""

    name: str
    accuracy: float


@dataclass(frozen=True)
class TrainResult:
    """What a run reached: accuracy in 0 … 1 on the test samples, and what is worth a line."""

    path: Path
    accuracy: float
    samples: int  # test samples behind the accuracy
    seconds: float
    loss: float  # mean of the last epoch
    summary: str  # e.g. "input u8; bits of weights/activations: conv1 8/8, others 4/4"
    steps: tuple[Step, ...] = ()  # where a method has some


def leads() -> bool:
    """Whether this process writes and prints: of those that torchrun starts, the first one."""
    return os.environ.get("RANK", "0") == "0"
