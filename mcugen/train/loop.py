"""The training loop: Adam with a cosine schedule, progress, checkpoints."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.nn import functional

from mcugen.data import DataSet
from mcugen.errors import fail
from mcugen.quant.quantizer import grid_parameters, keep_scales_positive_
from mcugen.train import distributed
from mcugen.train.config import leads

EVALUATION_BATCH = 500
WARMUP_SHARE = 0.05  # of the steps: the rate rises linearly before it falls as a cosine
TEACHER_SHARE = 0.7  # of the loss, where there is a teacher
TEACHER_TEMPERATURE = 4.0


@dataclass(frozen=True)
class Samples:
    """A data set on torch's side: x `[N, C, H, W]` float32, y `[N]` int64.

    `taught` are a teacher's scores `[N, classes]`, where there is one.
    """

    x: Tensor
    y: Tensor
    taught: Tensor | None = None

    @classmethod
    def of(cls, data: DataSet, limit: int | None = None) -> "Samples":
        """The first `limit` samples of a set (all for None)."""
        return cls(torch.from_numpy(data.x[:limit]), torch.from_numpy(data.y[:limit]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one sample."""
        return (self.x.shape[1], self.x.shape[2], self.x.shape[3])

    def __getitem__(self, picks: Tensor | slice) -> "Samples":
        taught = None if self.taught is None else self.taught[picks]
        return Samples(self.x[picks], self.y[picks], taught)

    def batches(self, size: int, seed: int) -> Iterator["Samples"]:
        """Shuffled batches of one epoch. A last one of one sample per process is left out."""
        order = torch.randperm(len(self.y), generator=torch.Generator().manual_seed(seed))
        for start in range(0, len(order), size):
            picks = order[start : start + size]
            if len(picks) > distributed.size():
                yield self[picks]

    def loss(self, scores: Tensor) -> Tensor:
        """Mean cross entropy of `scores` with the classes, and with what the teacher says.

        Distillation: Hinton, Vinyals and Dean, 2015, section 2.
        """
        loss = functional.cross_entropy(scores, self.y)
        if self.taught is None:
            return loss
        soft = (self.taught / TEACHER_TEMPERATURE).softmax(1)
        distance = functional.cross_entropy(scores / TEACHER_TEMPERATURE, soft)
        return torch.lerp(loss, distance * TEACHER_TEMPERATURE**2, TEACHER_SHARE)


@dataclass(frozen=True)
class Stage:
    """One run of the optimizer over a model: a method has one or several, in order."""

    name: str
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    augment: bool = False
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or gradient descent with a momentum of 0.9."""


@dataclass
class Checkpoint:
    """The state of a run on disk: which stage and epoch are done, weights and optimizer.

    It is read with `weights_only=True`, so a stranger's file cannot run code.
    """

    path: Path | None
    identity: str  # everything that must be equal for a resumed run to make sense
    state: dict[str, Any] = field(default_factory=dict)

    def load(self) -> None:
        """Raises McugenError for a file that is missing, damaged or of another run."""
        assert self.path is not None
        try:
            state = torch.load(self.path, weights_only=True)
            identity = state["identity"]
        except Exception as error:  # torch.load raises anything on a damaged file
            got = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            raise fail("train", "cannot resume", at=str(self.path), got=got) from error
        if identity != self.identity:
            raise fail(
                "train",
                "the checkpoint belongs to another run",
                at=str(self.path),
                got=identity,
                want=self.identity,
            )
        self.state = state

    def finished(self, stage: Stage) -> bool:
        """Whether the stored run is already past this stage."""
        return stage.name in self.state.get("finished", ())

    def save(self, stage: Stage, epoch: int, model: nn.Module, optimizer: Any, loss: float) -> None:
        """Stores the state after `epoch` epochs of `stage`, in one step; the leader writes it."""
        finished = [name for name in self.state.get("finished", ()) if name != stage.name]
        self.state = {
            "identity": self.identity,
            "finished": [*finished, stage.name] if epoch == stage.epochs else finished,
            "stage": stage.name,
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "loss": loss,
        }
        if self.path is not None and leads():
            self._write()

    def _write(self) -> None:
        assert self.path is not None
        with tempfile.NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
            try:
                torch.save(self.state, file)
                file.flush()
                os.replace(file.name, self.path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


def run_stage(
    model: nn.Module,
    train: Samples,
    test: Samples,
    stage: Stage,
    checkpoint: Checkpoint,
    step_hook: Callable[[nn.Module], None] = keep_scales_positive_,
) -> float:
    """Trains `model` in place through one stage and returns the last epoch's mean loss.

    Resumes inside the stage where the checkpoint says so. `step_hook` runs after each step.
    Raises McugenError where the loss is no longer a number.
    """
    groups = parameter_groups(model, stage.learning_rate)
    plain = stage.optimizer == "sgd"
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(groups, momentum=0.9) if plain else torch.optim.Adam(groups)
    )
    first, loss = 0, math.nan
    if checkpoint.state.get("stage") == stage.name:
        first, loss = checkpoint.state["epoch"], checkpoint.state["loss"]
        model.load_state_dict(checkpoint.state["model"])
        optimizer.load_state_dict(checkpoint.state["optimizer"])
    steps = stage.epochs * math.ceil(len(train.y) / stage.batch_size)
    with progress_bar() as bar:
        task = bar.add_task(stage.name, total=steps, completed=first * steps // stage.epochs)
        for epoch in range(first, stage.epochs):
            torch.manual_seed(stage.seed + epoch)
            loss = _epoch(
                model, train, stage, epoch, optimizer, step_hook, lambda: bar.advance(task)
            )
            text = f"{stage.name} {epoch + 1}/{stage.epochs}  loss {loss:.4f}"
            text += f"  accuracy {100 * accuracy(model, test):.2f} %"
            bar.update(task, description=text)
            if leads() and not bar.console.is_terminal:
                bar.console.print(text, highlight=False)
            checkpoint.save(stage, epoch + 1, model, optimizer, loss)
    return loss


def _epoch(
    model: nn.Module,
    train: Samples,
    stage: Stage,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    step_hook: Callable[[nn.Module], None],
    advance: Callable[[], None],
) -> float:
    model.train()
    trained = distributed.parallel(model)
    per_epoch = math.ceil(len(train.y) / stage.batch_size)
    total = count = 0.0
    batches = train.batches(stage.batch_size, stage.seed * 1000 + epoch)
    for index, batch in enumerate(batches):
        factor = schedule((epoch * per_epoch + index + 0.5) / (stage.epochs * per_epoch))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        if stage.augment:
            batch = replace(batch, x=augmented(batch.x))
        own = batch[distributed.share()]
        loss = own.loss(trained(own.x)) * (len(own.y) / len(batch.y) * distributed.size())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step_hook(model)
        distributed.agree_(model)
        total += loss.item() * len(batch.y)
        count += len(batch.y)
        if not math.isfinite(total):
            raise fail(
                "train", "the loss is not a number", at=f"epoch {epoch + 1}", help="--lr less"
            )
        advance()
    return distributed.mean(total, count)


def augmented(x: Tensor) -> Tensor:
    """Images `[N, C, H, W]`, each mirrored or not and shifted by up to an eighth of its size.

    What a shift brings in is black. From torch's global generator.
    """
    count, channels, height, width = x.shape
    down, right = height // 8, width // 8
    padded = functional.pad(x, (right, right, down, down))
    rows = torch.randint(2 * down + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(2 * right + 1, (count, 1)) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    return padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(channels)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def schedule(progress: float) -> float:
    """Share of the peak learning rate at `progress` (0 … 1): linear warm-up, then half a cosine."""
    if progress < WARMUP_SHARE:
        return progress / WARMUP_SHARE
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP_SHARE) / (1 - WARMUP_SHARE)))


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """Optimizer groups; a scale or basis gets its rate relative to its own size.

    Adam moves every number by about the rate, whatever the gradient; a scale of 0.002 would be
    gone after a few steps.
    """
    grids = {p: None for p in grid_parameters(model) if p.requires_grad}  # ordered and unique
    others = [p for p in model.parameters() if p.requires_grad and p not in grids]
    groups: list[dict[str, Any]] = [{"params": others, "peak": learning_rate}]
    for parameter in grids:
        size = float(parameter.detach().abs().mean())
        groups.append({"params": [parameter], "peak": learning_rate * size})
    return [{**group, "lr": group["peak"]} for group in groups]


def accuracy(model: nn.Module, samples: Samples) -> float:
    """The share of samples whose largest score is their class, in evaluation mode."""
    return int((scores(model, samples).argmax(1) == samples.y).sum()) / len(samples.y)


@torch.no_grad()
def scores(model: nn.Module, samples: Samples) -> Tensor:
    """What `model` says of the samples in evaluation mode: `[N, classes]`."""
    training = model.training
    model.eval()
    found = torch.cat([model(part) for part in torch.split(samples.x, EVALUATION_BATCH)])
    model.train(training)
    return found


def progress_bar() -> Progress:
    """A bar on stderr; where that is no terminal, only the printed lines remain."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not (console.is_terminal and leads()),
    )


def set_seed(seed: int) -> None:
    """Fixes the generators that initialise weights."""
    torch.manual_seed(seed)
    np.random.seed(seed)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start
