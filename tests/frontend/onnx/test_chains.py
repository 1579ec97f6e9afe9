"""Random networks of several operators: C on the host is the program, and classes are ONNX's."""

from pathlib import Path

import numpy as np
import pytest

from mcugen import pipeline
from mcugen.data import DataSet
from mcugen.run.samples import input_boundary
from tests.frontend.onnx.graphs import Graph, requantized

NETWORKS = 20


def network(g: Graph) -> str:
    """Convolutions, pools and sums in random order, then a linear layer."""
    channels = g.whole(1, 4)
    x = g.image(1, channels, 9, 8)
    for _ in range(g.whole(2, 4)):
        kind = g.whole(0, 5)
        if kind < 2:
            outputs = g.whole(1, 6)
            w = g.weight((outputs, channels, 3, 3), 0)
            y, channels = g.node("Conv", x, w, pads=[1, 1, 1, 1]), outputs
        elif kind == 2:
            w = g.weight((channels, 1, 3, 3), 0)
            y = g.node("Conv", x, w, pads=[1, 1, 1, 1], group=channels)
        elif kind == 3:
            y = g.node("Add", x, requantized(g, g.node("Tanh", x)))
        elif kind == 4:
            y = g.node("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        else:
            y = g.node(str(g.pick("Relu", "LeakyRelu", "HardSwish", "Sigmoid")), x)
        x = requantized(g, y)
    x = requantized(g, g.node("GlobalAveragePool", x))
    return g.node("Gemm", g.node("Flatten", x), g.weight((10, channels), 0), transB=1)


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_networks(seed: int, tmp_path: Path) -> None:
    g = Graph(np.random.default_rng(seed))
    path = tmp_path / "model.onnx"
    path.write_bytes(g.model(g.quantized(network(g))))
    model = pipeline.load(path)
    boundary = input_boundary(model.program)
    levels = np.concatenate([sample["x0"] for sample in g.feed(24)])
    x = (levels.astype(np.float64) - boundary.meaning.zero) * boundary.meaning.scale[0]
    test = DataSet("random", x, np.zeros(len(x), np.int64), tuple("0123456789"))
    report = pipeline.check(model, test, layers=True)
    assert report.mismatched_elements["interpreter_c"] == 0
    assert report.first_difference is None
    assert any(item.equal is not None for item in report.layers)
    for item in report.layers:
        if item.max_difference is not None and item.equal is not None:
            # Ties that ONNX rounds to even may be one off, and what reads them once more.
            assert item.max_difference <= 1, item
            assert item.equal >= 0.97, item
