"""What the tuner measures is what `profile` measures, for every candidate."""

import numpy as np

from mcugen.emit import emit, write
from mcugen.ir import Int, TensorType, ops
from mcugen.plan.choice import Wishes
from mcugen.profile.profile import profile
from mcugen.profile.tune import Tuner
from mcugen.target.cores import core_named
from tests.builder import Builder

I8 = Int(8, True, -128, 127)


def test_cycles_of_every_candidate(tmp_path) -> None:
    core = core_named("cortex-m3")
    b = Builder(TensorType((1, 8, 8, 4), I8))
    x = b.op(ops.Conv2d(b.x, b.const(np.arange(288).reshape(8, 3, 3, 4) % 120, I8)))
    program = b.done(b.op(ops.MaxPool(x, window=(2, 2))))
    tuner = Tuner(program, core, Wishes())
    advanced: list[int] = []
    cycles = tuner.measure(advanced.append)
    assert sum(advanced) == tuner.runs == 3
    found = tuner.alternatives(cycles)
    assert [(item.op, item.chosen) for item in found] == [
        ("conv2d", True),
        ("conv2d", False),
        ("conv2d", False),
        ("max_pool", True),
    ]
    for item in found:
        assert item.macs == (8 * 36 * 36 if item.op == "conv2d" else 0)
    emitted = emit(program, core, "m")
    write(tmp_path / "m", emitted)
    first = profile(tmp_path / "m", core).layers
    chosen = [item.measured for item in found if item.chosen]
    assert chosen == [layer.cycles for layer in first]
    # A wish for what was measured takes the fastest.
    wishes = Wishes(cycles=cycles)
    best = {
        item.layer: item.kernel
        for item in Tuner(program, core, wishes).alternatives(cycles)
        if item.chosen
    }
    for layer, kernel in best.items():
        assert {i.kernel: i.measured for i in found if i.layer == layer}[kernel] == min(
            i.measured for i in found if i.layer == layer
        )
