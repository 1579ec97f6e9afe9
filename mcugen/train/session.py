"""What the methods share around the loop: data, model, checkpoint, result."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcugen import data
from mcugen.errors import fail
from mcugen.quant import export
from mcugen.quant.quantizer import keep_scales_positive_
from mcugen.train import distributed, loop, models, teacher, zoo
from mcugen.train.config import TrainConfig, TrainResult, leads
from mcugen.train.models_reference import Normalize


@dataclass
class Session:
    """One training run: its data, its checkpoint and its clock."""

    config: TrainConfig
    classes: int
    train_samples: loop.Samples
    test_samples: loop.Samples
    checkpoint: loop.Checkpoint
    clock: loop.Stopwatch

    @classmethod
    def start(cls, config: TrainConfig, identity: str) -> "Session":
        """Checks the configuration, loads data and, to resume, the checkpoint.

        `identity` says which method and options run; a checkpoint of others is refused.
        """
        check(config)
        distributed.join()
        clock = loop.Stopwatch()
        train_data, test_data = data.load(config.data, "train"), data.load(config.data, "test")
        classes = max(train_data.classes, test_data.classes)
        samples = loop.Samples.of(train_data, config.limit)
        if config.teacher is not None:
            samples = replace(samples, taught=teacher.scores(config.teacher, samples, classes))
        identity = f"{identity} {_what_matters(config)} teacher={_digest(samples.taught)}"
        checkpoint = loop.Checkpoint(config.checkpoint, identity)
        if config.resume and config.checkpoint is not None and config.checkpoint.exists():
            checkpoint.load()
        loop.set_seed(config.seed)
        return cls(
            config,
            classes,
            samples,
            loop.Samples.of(test_data),
            checkpoint,
            clock,
        )

    def build(self, activation: models.Activation = models.relu) -> nn.Module:
        """The configured zoo model with fresh weights."""
        return zoo.build(self.config.model, self.train_samples.shape, self.classes, activation)

    def normalize(self, model: nn.Module) -> None:
        """Has the model bring its input to mean 0 and variance 1 over all training pixels.

        Raises McugenError for a network without a place for that.
        """
        if not hasattr(model, "normalize"):
            got = self.config.model
            raise fail("train", "this network has no place to normalize its input", got=got)
        x = self.train_samples.x
        model.normalize = Normalize(float(x.mean()), float(x.std()))

    def stage(self, name: str, epochs: int, learning_rate: float) -> loop.Stage:
        """A stage with the configuration's batch size and seed."""
        config = self.config
        return loop.Stage(
            name, epochs, learning_rate, config.batch_size, config.seed, config.augment
        )

    def train(
        self,
        model: nn.Module,
        stage: loop.Stage,
        step_hook: Callable[[Any], None] = keep_scales_positive_,
    ) -> float:
        """Runs a stage unless the checkpoint is past it; returns its last mean loss.

        `step_hook` gets the model after each step.
        """
        if self.checkpoint.finished(stage) and self.checkpoint.state["stage"] != stage.name:
            return 0.0  # the next stage's state replaces the model's
        samples = (self.train_samples, self.test_samples)
        return loop.run_stage(model, *samples, stage, self.checkpoint, step_hook)

    def export(self, model: nn.Module) -> None:
        """Writes the trained model with its quantizers; the leader does."""
        if leads():
            export(model, torch.zeros(1, *self.train_samples.shape), self.config.output)
        distributed.wait()

    def accuracy(self, model: nn.Module) -> float:
        """The share of test images whose class the model tells."""
        return loop.accuracy(model, self.test_samples)

    def result(self, accuracy: float, loss: float, summary: str) -> TrainResult:
        """The report of a run that has written its output."""
        return TrainResult(
            path=self.config.output,
            accuracy=accuracy,
            samples=len(self.test_samples.y),
            seconds=self.clock.seconds(),
            loss=loss,
            summary=summary,
        )


def check(config: TrainConfig) -> None:
    """Raises McugenError, before any work, for values that cannot be meant."""
    if config.model not in zoo.ZOO:
        known = ", ".join(zoo.ZOO)
        raise fail("train", "no model of this name", got=repr(config.model), want=known)
    if config.output.suffix != ".pt2":
        raise fail("train", "the output is not a .pt2 file name", got=str(config.output))
    for folder in (config.output.parent, config.checkpoint.parent if config.checkpoint else None):
        if folder is not None and not folder.is_dir():
            raise fail("train", "no such folder", got=str(folder))
    counts = {"epochs": config.epochs, "batch size": config.batch_size, "limit": config.limit}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise fail("train", f"{name} below one", got=str(value))
    if config.batch_size < 2:
        raise fail("train", "batch norm needs a batch of two", got=str(config.batch_size))
    if config.resume and config.checkpoint is None:
        raise fail("train", "no checkpoint to resume from", help="name one")
    if config.learning_rate is not None and not 0 < config.learning_rate < float("inf"):
        raise fail("train", "the learning rate is not positive", got=str(config.learning_rate))


def _what_matters(config: TrainConfig) -> str:
    """The fields that decide the weights; paths do not."""
    names = ("model", "data", "epochs", "batch_size", "learning_rate", "seed", "limit", "augment")
    return " ".join(f"{name}={getattr(config, name)}" for name in names)


def _digest(taught: Tensor | None) -> str | None:
    """Tells one teacher from another by what it says."""
    return None if taught is None else hashlib.sha256(taught.numpy().tobytes()).hexdigest()[:16]


def start_from_(model: nn.Module, path: Path) -> None:
    """Takes the weights of a float stage's checkpoint, or of a plain state_dict.

    Raises McugenError for a file that is neither, or one of another network.
    """
    try:
        state = torch.load(path, weights_only=True)
        if state.get("stage", "float") != "float":
            raise ValueError(f"it is of a {state['stage']} stage")
        model.load_state_dict(state.get("model", state))
    except Exception as error:  # torch.load raises anything on a damaged file
        got = str(error).strip().splitlines()[:1]
        raise fail(
            "train",
            "cannot start from this checkpoint",
            at=str(path),
            got=f"{type(error).__name__}: {got[0] if got else ''}",
            help="mcugen train float --model … --checkpoint FILE makes one",
        ) from error
