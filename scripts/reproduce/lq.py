"""The runs behind `scripts/reproduce/lq`: what is trained, on which seeds, and the tables.

Every run leaves NAME.json in the output folder and is skipped once that is there; a run that was
stopped goes on from its last epoch.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mcugen.train import TrainConfig, method
from mcugen.train.float import Options as Float
from mcugen.train.lq import Options as Planes

PLANES = (1, 2, 3)
SEEDS = range(5)
FEW_SEEDS = range(3)


@dataclass(frozen=True)
class Run:
    """One training run; `start` names the float run that it goes on from."""

    name: str
    config: TrainConfig
    options: Float | Planes
    start: str | None = None


@dataclass(frozen=True)
class Group:
    """The runs of one table: a row for each network, a column for each number of planes."""

    title: str
    runs: list[Run]
    note: str = ""


class Folder:
    """The output folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def checkpoint(self, name: str) -> Path:
        return self.path / f"{name}.ckpt"

    def result(self, name: str) -> dict[str, Any] | None:
        """What a finished run reached."""
        file = self.path / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def perform(self, run: Run) -> None:
        """Does a run unless it is done."""
        if self.result(run.name) is not None:
            return
        options = run.options
        if run.start is not None:
            options = dataclasses.replace(options, start=self.checkpoint(run.start))
        config = dataclasses.replace(
            run.config,
            output=self.path / f"{run.name}.pt2",
            checkpoint=self.checkpoint(run.name),
            resume=True,
        )
        done = method("float" if isinstance(options, Float) else "lq").train(config, options)
        kept = {"accuracy": done.accuracy, "seconds": done.seconds, "summary": done.summary}
        part = self.path / f"{run.name}.part"
        part.write_text(json.dumps(kept))
        part.replace(self.path / f"{run.name}.json")
        console.print(f"{run.name}: {100 * done.accuracy:.2f} % in {done.seconds:.0f} s")


console = Console(highlight=False)


def config(model: str, data: str, seed: int, **changes: Any) -> TrainConfig:
    return TrainConfig(model, data, Path(), seed=seed, **changes)


def document() -> Group:
    """The document's table: 784-704-10, quantized after training, image included."""
    variants = {
        "normalized, tanh": {"normalize": True, "activation": "tanh"},
        "normalized, ReLU": {"normalize": True},
        "pixels/255, ReLU": {},
    }
    runs = []
    for seed in SEEDS:
        for title, shared in variants.items():
            name = f"{_slug(title)}_s{seed}"
            settings = config(
                "mlp704", "mnist", seed, epochs=10, batch_size=100, learning_rate=1e-3
            )
            runs.append(Run(f"float_{name}", settings, Float(**shared)))
            for offset in (False, True):
                for planes in PLANES:
                    options = Planes(
                        planes=planes,
                        layer_planes=f"fc1={planes}/{planes}",
                        offset=offset,
                        post_training=True,
                        **shared,
                    )
                    label = f"ptq{planes}_{'offset_' if offset else ''}{name}"
                    runs.append(Run(label, settings, options, f"float_{name}"))
    return Group("784-704-10 on MNIST, quantized after training", runs)


def tuned() -> Group:
    """The same network with fine-tuning."""
    runs = []
    for seed in SEEDS:
        settings = config("mlp704", "mnist", seed)
        float_epochs = dataclasses.replace(settings, epochs=3)
        runs.append(Run(f"tuned_float_s{seed}", float_epochs, Float(normalize=True)))
        for planes in PLANES:
            options = Planes(planes=planes, layer_planes=f"fc1={planes}/{planes}", normalize=True)
            more = dataclasses.replace(settings, epochs=2)
            runs.append(Run(f"tuned{planes}_s{seed}", more, options, f"tuned_float_s{seed}"))
    return Group("784-704-10 on MNIST, fine-tuned", runs)


def _slug(title: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in title.lower())


def cifar() -> Group:
    """CIFAR-10 with planes everywhere but in the image."""
    settings = config("vgg", "cifar10", 0, epochs=20, augment=True)
    runs = [Run("cifar_float", settings, Float())]
    for planes in PLANES:
        more = dataclasses.replace(settings, epochs=8)
        runs.append(Run(f"cifar{planes}", more, Planes(planes=planes), "cifar_float"))
    return Group("vgg on CIFAR-10", runs)


GROUPS: dict[str, Callable[[], Group]] = {"document": document, "tuned": tuned, "cifar": cifar}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--output", type=Path, default=Path("build/reproduce/lq"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Folder(arguments.output)
    for name in arguments.groups or GROUPS:
        for run in GROUPS[name]().runs:
            folder.perform(run)


if __name__ == "__main__":
    main()
