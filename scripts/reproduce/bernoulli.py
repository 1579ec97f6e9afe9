"""The runs behind `scripts/reproduce/bernoulli`: what is trained, on which seeds, and tables."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from runs import Folder, Group, Row, Run, asked, console, perform, show, table
from torch import Tensor

from mcugen import data, pipeline
from mcugen.ir import interp
from mcugen.train import TrainConfig, bernoulli, ste
from mcugen.train import float as real
from mcugen.train.bernoulli import sums
from mcugen.train.models_binary import outline

SEEDS = range(3)
EPOCHS = 28  # of whatever is compared

Options = bernoulli.Options | ste.Options | real.Options


def row(
    name: str,
    options: Options,
    beside: str = "",
    *,
    epochs: int = EPOCHS,
    model: str = "bits4k",
    seeds: range = SEEDS,
    teacher: str | None = None,
) -> Row:
    """One kind of training, on all seeds; `teacher` is the run that it learns from."""
    config = TrainConfig(model, "mnist", Path(), epochs=epochs)
    stem = name.replace(" ", "_")
    runs = [
        Run(f"{stem}_s{s}", dataclasses.replace(config, seed=s), options, teacher=teacher)
        for s in seeds
    ]
    return Row(name, runs, beside)


def accuracy() -> Group:
    """The document's network, with equal epochs for everything binary."""
    rows = [
        row("float", real.Options(), "99 %", epochs=6),
        row("bernoulli", bernoulli.Options(), "97.5 %"),
        row("bernoulli normal", bernoulli.Options(normal=True), "97.5 %"),
        row("ste identity", ste.Options("identity"), "89.5 %"),
        row("ste clipped", ste.Options("clipped"), "89.5 %"),
    ]
    return Group(f"Five layers, 33,856 weights, binarized MNIST, {EPOCHS} epochs", rows)


def schedules() -> Group:
    """How layers become binary, with sums of convolutions as normal distributions."""
    rows = [
        row(f"schedule {schedule}", bernoulli.Options(schedule=schedule, normal=True))
        for schedule in ("all", "layers")
    ]
    return Group(f"Schedules, {EPOCHS} epochs", rows)


def chase() -> Group:
    """What a teacher, longer training and a larger network give."""
    one = range(1)
    taught = {"teacher": "teacher_s0"}
    rows = [
        row("teacher", real.Options(), epochs=10, model="lenet", seeds=one),
        row("ste clipped taught", ste.Options("clipped"), "97.5 %", **taught),
        row("bernoulli normal taught", bernoulli.Options(normal=True), "97.5 %", **taught),
        row("bernoulli 112 epochs", bernoulli.Options(), "97.5 %", epochs=112, seeds=one),
        row("no shift", bernoulli.Options(normal=True, shift=0), seeds=one),
        row("shift 2", bernoulli.Options(normal=True, shift=2), seeds=one),
        row("ste clipped 112 epochs", ste.Options("clipped"), "97.5 %", epochs=112, seeds=one),
        row("bits8k ste clipped", ste.Options("clipped"), "98 %", model="bits8k"),
        row("bits8k ste clipped taught", ste.Options("clipped"), "98 %", model="bits8k", **taught),
        row("bits8k bernoulli", bernoulli.Options(normal=True), "98 %", model="bits8k"),
    ]
    return Group("What else was tried", rows)


GROUPS: dict[str, Callable[[], Group]] = {
    "accuracy": accuracy,
    "schedules": schedules,
    "chase": chase,
}


# The gradient test: a layer of TERMS inputs finds the signs of OUTPUTS hidden columns of weights.
TERMS, OUTPUTS, BATCH = 33, 8, 32
GRADIENT_SEEDS = range(50)
DOCUMENT = {"precise": 57.7, "approx1": 63.4, "approx2": 59.2, "autograd": 57.3}
OPTIMIZERS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "Adam 0.02": lambda weights: torch.optim.Adam(weights, 0.02),
    "SGD 0.2": lambda weights: torch.optim.SGD(weights, 0.2),
}
MOST_STEPS = 1000


def steps_to_find(gradient: sums.Gradient, optimizer: str, seed: int) -> int:
    """Steps until the sign of every weight is the hidden one; float64, batches shared by seed."""
    generator = torch.Generator().manual_seed(seed)

    def signs(*shape: int) -> Tensor:
        return torch.randint(2, shape, generator=generator).double()

    hidden = signs(TERMS, OUTPUTS)
    start = torch.empty(TERMS, OUTPUTS, dtype=torch.float64).uniform_(0.4, 0.6, generator=generator)
    weights = start.requires_grad_()
    update = OPTIMIZERS[optimizer]([weights])
    for step in range(1, MOST_STEPS + 1):
        x = signs(TERMS, BATCH)
        target = ((2 * hidden - 1).t() @ (2 * x - 1) >= 0).double()
        loss = ((sums.not_negative(x, weights, gradient) - target) ** 2).sum(0).mean()
        update.zero_grad()
        loss.backward()
        update.step()
        with torch.no_grad():
            weights.clamp_(0, 1)
        if torch.equal(weights >= 0.5, hidden > 0):
            return step
    return MOST_STEPS


def gradients(folder: Folder) -> Table:
    """The gradient test's table, measured where that was not done yet."""
    shown = Table("gradient", title=f"Steps to converge, mean of {len(GRADIENT_SEEDS)} seeds")
    for heading in (*OPTIMIZERS, "document"):
        shown.add_column(heading, justify="right")
    for gradient, document in DOCUMENT.items():
        cells = []
        for optimizer in OPTIMIZERS:
            name = f"gradient_{gradient}_{optimizer.replace(' ', '_')}"
            if folder.result(name) is None:
                start = time.perf_counter()
                steps = [steps_to_find(gradient, optimizer, seed) for seed in GRADIENT_SEEDS]
                folder.keep(name, {"steps": steps, "seconds": time.perf_counter() - start})
            found = folder.result(name)["steps"]
            cells.append(f"{statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}")
        shown.add_row(gradient, *cells, f"{document}")
    return shown


def kernel() -> Table:
    """Processor time of the sums: the C kernel, the normal form, and PyTorch's autograd."""
    shown = Table("layer", title="Microseconds per image, forward + backward")
    kinds = ("approx1", "approx2", "precise", "normal", "autograd")
    for kind in kinds:
        shown.add_column(kind, justify="right")
    for layer, positions in zip(
        outline("bits4k").layers((1, 28, 28), 10), (100, 1, 1, 1), strict=False
    ):
        cells = [layer.name]
        for kind in kinds:
            count = 2 if kind == "autograd" else 128
            x = torch.rand(layer.terms, count * positions, requires_grad=True)
            w = torch.rand(layer.terms, layer.outputs, requires_grad=True)
            times = []
            for _ in range(2 if kind == "autograd" else 5):
                marks = [time.process_time()]
                z = sums.normal(x, w) if kind == "normal" else sums.not_negative(x, w, kind)
                marks.append(time.process_time())
                z.sum().backward()
                marks.append(time.process_time())
                times.append([(b - a) / count * 1e6 for a, b in pairwise(marks)])
            cells.append(" + ".join(f"{min(part):.0f}" for part in zip(*times, strict=True)))
        shown.add_row(*cells)
    return shown


@torch.no_grad()
def differences(path: Path, count: int = 10_000) -> tuple[int, int]:
    """Hidden bits and scores in which distributions and integer program differ, on test images.

    Distributions: the layers' weights as probabilities 0 and 1, through the kernel of exact sums.
    """
    tests = data.load("mnist", "test")
    layers = outline("bits4k").layers(tests.x.shape[1:], tests.classes)
    network = bernoulli.BernoulliNetwork(layers, "approx1", False, 0).eval()
    weights = torch.export.load(path).state_dict
    for layer in network.layers():
        signs = weights[f"{layer.shape.name}_weight"].flatten(1).t()
        layer.weight.copy_((signs + 1) / 2)
    program = pipeline.load(path).program
    bits = scores = 0
    for start in range(0, count, 500):
        x = torch.from_numpy(tests.x[start : start + 500])
        levels = (x * 255).round().long().permute(0, 2, 3, 1).numpy()
        values = interp.trace(program, levels)
        found = [v[0] for v in values.values() if v.dtype == np.int8 and v.ndim > 2]
        hidden = (network.bits(x) + 1) / 2
        for unit, codes in zip(network.units(), found[1:], strict=True):
            hidden = (unit.sums.exact(hidden) >= 0.5).float()
            expected = 2 * hidden.reshape(len(x), unit.sums.shape.outputs, -1).transpose(1, 2) - 1
            bits += int((expected.flatten(1).numpy() != codes.reshape(len(x), -1)).sum())
        scores += int((network.scores(hidden).numpy() != values[program.output]).sum())
    return bits, scores


def main() -> None:
    wanted, folder = asked("Bernoulli layers", ["kernel", "gradients", *GROUPS])
    tables = [kernel()] if "kernel" in wanted else []
    tables += [gradients(folder)] if "gradients" in wanted else []
    groups = perform(wanted, GROUPS, folder)
    tables += [table(group, folder) for group in groups]
    for run in (run for group in groups for run in group.runs()):
        if run.config.model == "bits4k" and isinstance(run.options, bernoulli.Options):
            bits, scores = differences(folder.path / f"{run.name}.pt2")
            console.print(
                f"{run.name}, all test images: {bits} hidden bits, {scores} scores differ"
            )
    show(tables)


if __name__ == "__main__":
    main()
