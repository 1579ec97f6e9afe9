"""The runs behind `scripts/reproduce/lq`: what is trained, on which seeds, and the tables."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from runs import Group, Row, Run, asked, perform, show, table

from mcugen.train import TrainConfig
from mcugen.train.float import Options as Float
from mcugen.train.lq import Options as Planes

PLANES = (1, 2, 3)
SEEDS = range(5)
FEW_SEEDS = range(3)
DOCUMENT = {0: "97.19 %, 2.1 MB", 1: "75.11 %, 76.2 KB", 2: "88.86 %, 147.2 KB"}
DOCUMENT[3] = "95.59 %, 218.3 KB"


def document() -> Group:
    """784-704-10 without batch norm, quantized after training, the image included.

    Three epochs take the float network to the document's accuracy and not beyond.
    """
    variants = {
        "normalized, tanh": {"normalize": True, "activation": "tanh"},
        "normalized, relu": {"normalize": True},
        "pixels/255, relu": {},
    }
    rows = []
    for variant, shared in variants.items():
        stem = variant.translate(str.maketrans(" ,/", "___"))
        configs = {
            f"{stem}_s{seed}": TrainConfig(
                *("mlp704_plain", "mnist", Path(), 3, 100), learning_rate=1e-3, seed=seed
            )
            for seed in SEEDS
        }
        runs = [Run(f"float_{name}", c, Float(**shared)) for name, c in configs.items()]
        rows.append(Row(f"{variant}, float, {document_size(0)}", runs, DOCUMENT[0]))
        for offset in (False, True):
            for planes in reversed(PLANES):
                options = Planes(
                    planes=planes,
                    layer_planes=f"fc1={planes}/{planes}",
                    offset=offset,
                    post_training=True,
                    **shared,
                )
                kind = f"ptq{planes}{'_offset' if offset else ''}"
                label = f"{variant}, {'' if offset else 'no '}offset, int{planes}"
                runs = [
                    Run(f"{kind}_{name}", c, options, f"float_{name}")
                    for name, c in configs.items()
                ]
                label += f", {document_size(planes)}"
                rows.append(Row(label, runs, DOCUMENT[planes]))
    return Group("784-704-10 on MNIST, quantized after training", rows, "document")


def document_size(planes: int) -> str:
    """Size of 784-704-10 as the document's figures suggest: 0 planes are float32.

    Bits of a row in whole bytes, a float32 basis per neuron, a float32 bias; KiB.
    """
    layers = ((784, 704), (704, 10))
    if planes == 0:
        return f"{sum(4 * o * (i + 1) for i, o in layers) / 2**20:.1f} MB"
    return f"{sum(o * (planes * (i // 8 + 4) + 4) for i, o in layers) / 2**10:.1f} KB"


def tuned() -> Group:
    """The same network with fine-tuning."""
    float_row, rows = [], {planes: [] for planes in PLANES}
    for seed in SEEDS:
        start = f"tuned_float_s{seed}"
        config = TrainConfig("mlp704", "mnist", Path(), seed=seed)
        epochs = dataclasses.replace(config, epochs=3)
        float_row.append(Run(start, epochs, Float(normalize=True)))
        for planes in PLANES:
            options = Planes(planes, layer_planes=f"fc1={planes}/{planes}", normalize=True)
            epochs = dataclasses.replace(config, epochs=2)
            rows[planes].append(Run(f"tuned{planes}_s{seed}", epochs, options, start))
    goals = {1: "97 %", 2: "97.8 %", 3: "98 %"}
    found = [Row("float", float_row)]
    found += [Row(f"int{planes}", rows[planes], goals[planes]) for planes in PLANES]
    return Group("784-704-10 on MNIST, fine-tuned", found, "goal")


def lenet() -> Group:
    """A small convolutional network: 8-bit pixels, 2 planes in the first layer's weights."""
    float_row, rows = [], {planes: [] for planes in PLANES}
    for seed in FEW_SEEDS:
        start = f"lenet_float_s{seed}"
        config = TrainConfig("lenet", "mnist", Path(), epochs=6, seed=seed)
        float_row.append(Run(start, config, Float()))
        for planes in PLANES:
            options = Planes(planes, layer_planes="conv1=2")
            rows[planes].append(Run(f"lenet{planes}_s{seed}", config, options, start))
    goals = {1: "97.5 %", 2: "float − 0.3 points", 3: ""}
    found = [Row("float", float_row)]
    found += [Row(f"int{planes}", rows[planes], goals[planes]) for planes in PLANES]
    return Group("lenet on MNIST, fine-tuned", found, "goal")


def cifar() -> Group:
    """CIFAR-10 with planes everywhere but in the image, the first layer's weights on 2 at least."""
    config = TrainConfig("vgg", "cifar10", Path(), epochs=20, augment=True)
    rows = [Row("float", [Run("cifar_float", config, Float())])]
    config = dataclasses.replace(config, epochs=6)
    for planes in PLANES:
        options = Planes(planes, layer_planes=f"conv1={max(planes, 2)}")
        rows.append(Row(f"int{planes}", [Run(f"cifar{planes}", config, options, "cifar_float")]))
    return Group("vgg on CIFAR-10, fine-tuned", rows)


GROUPS: dict[str, Callable[[], Group]] = {
    "document": document,
    "tuned": tuned,
    "lenet": lenet,
    "cifar": cifar,
}


def main() -> None:
    wanted, folder = asked("LQ-Nets", GROUPS)
    show(table(group, folder) for group in perform(wanted, GROUPS, folder))


if __name__ == "__main__":
    main()
