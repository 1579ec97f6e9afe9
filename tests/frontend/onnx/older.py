"""Operators as older versions of ONNX have them, with attributes where now there are inputs."""

from collections.abc import Callable

from tests.frontend.onnx.graphs import Graph


def clip(g: Graph) -> str:
    return g.node("Clip", g.image(1, 3, 4, 4), min=-0.5, max=1.25)


def pad(g: Graph) -> str:
    x = g.node("Relu", g.image(1, 2, 4, 5))
    return g.node("Pad", x, pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.25)


def squeeze(g: Graph) -> str:
    pooled = g.node("GlobalMaxPool", g.image(1, 3, 4, 5))
    return g.node("Unsqueeze", g.node("Squeeze", pooled, axes=[2, 3]), axes=[2, 3])


def reduce_mean(g: Graph) -> str:
    return g.node("ReduceMean", g.image(1, 3, 4, 5), axes=[2, 3], keepdims=g.whole(0, 1))


def split(g: Graph) -> str:
    return g.nodes_of("Split", 2, g.image(1, 6, 4, 4), axis=1, split=[4, 2])[1]


def resize(g: Graph) -> str:
    x = g.image(1, 2, 3, 4)
    return g.node("Resize", x, g.constant([1, 1, 2, 3]), mode="nearest")


def batch_norm(g: Graph) -> str:
    parts = [g.constant(g.rng.uniform(0.5, 1, 3)) for _ in range(4)]
    return g.node("BatchNormalization", g.image(1, 3, 4, 4), *parts, momentum=0.9)


def dropout(g: Graph) -> str:
    return g.node("Dropout", g.image(1, 3, 4, 4), ratio=0.3)


#: Version of the operators, and what is made of them.
OLDER: dict[str, tuple[int, Callable[[Graph], str]]] = {
    "Clip 6": (10, clip),
    "Pad 2": (10, pad),
    "Resize 10": (10, resize),
    "Dropout 10": (10, dropout),
    "Squeeze 11": (12, squeeze),
    "Split 11": (12, split),
    "BatchNormalization 9": (12, batch_norm),
    "ReduceMean 13": (17, reduce_mean),
}
