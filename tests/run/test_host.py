"""Running emitted C on the host, and finding C that does what it must not."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.errors import McugenError
from mcugen.ir import Int, Program, Source, TensorType, interp, ops
from mcugen.ir.types import accumulator
from mcugen.plan.choice import DEFAULT, Wishes
from mcugen.run.host import HostModel, run_sanitized
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.programs import random_inputs, random_program


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return


def _written(program: Program, folder: Path, wishes: Wishes = DEFAULT) -> Path:
    write(folder, emit(program, core_named("cortex-m4"), "net", wishes=wishes))
    return folder


def _linear(bits: int = 8) -> Program:
    b = Builder(TensorType((1, 40), Int(8, True, -128, 127)))
    w = b.const(np.arange(400).reshape(10, 40) % 15 - 7, Int(bits, True, -8, 7))
    return b.done(b.op(ops.Linear(b.x, w)))


def test_outputs_and_layers_are_the_interpreters(tmp_path: Path) -> None:
    program = random_program(11)
    model = HostModel(_written(program, tmp_path / "net"))
    inputs = random_inputs(program, 30, 0)
    want = interp.trace(program, inputs)
    np.testing.assert_array_equal(model.run_batch(inputs), want[program.output])
    traced = model.trace(inputs)
    assert list(traced) == [layer.value for layer in model.manifest.layers]
    for name, values in traced.items():
        np.testing.assert_array_equal(values, want[name], name)


def test_no_samples_give_no_outputs(tmp_path: Path) -> None:
    model = HostModel(_written(_linear(), tmp_path / "net"))
    assert model.run_batch(np.zeros((0, 40), int)).shape == (0, 10)


def test_a_library_is_compiled_once(tmp_path: Path) -> None:
    folder = _written(_linear(), tmp_path / "net")
    HostModel(folder)
    (library,) = (tmp_path / "cache").rglob("*.so")
    stamp = library.stat().st_mtime_ns
    HostModel(folder)
    assert library.stat().st_mtime_ns == stamp
    write(folder, emit(_linear(4), core_named("cortex-m0"), "net"))
    HostModel(folder)
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 2


def test_models_of_one_name_do_not_share_a_library(tmp_path: Path) -> None:
    folders = [_written(_linear(), tmp_path / name) for name in ("a", "b")]
    with pytest.raises(McugenError, match="two models of one name"):
        HostModel.several(folders)


def _planted(folder: Path, pattern: str, replacement: str) -> Path:
    path = folder / "model.c"
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    return folder


def _chain() -> Program:
    """Two layers that read the input, and a third that adds what they store."""
    b = Builder(TensorType((1, 4, 4, 8), Int(8, True, -100, 100)))
    pool = b.op(ops.MaxPool(b.x, window=(2, 2), stride=(2, 2)), Source("max_pool", "pool"))
    w = b.const(np.full((8, 1, 1, 1), 1), Int(1, False, 0, 1))
    conv = ops.Conv2d(b.x, w, stride=(2, 2), groups=8)
    return b.done(b.op(ops.Add(pool, b.op(conv, Source("conv", "conv"))), Source("add", "add")))


_SAMPLES = np.arange(-64, 64).reshape(1, 4, 4, 8)


@pytest.mark.parametrize(("layer", "stored"), [("pool", 32), ("conv", 128), ("add", 128)])
@pytest.mark.parametrize("behind", [False, True])
def test_a_write_into_memory_that_is_not_the_layers_is_found(
    layer: str, stored: int, behind: bool, tmp_path: Path
) -> None:
    """A byte before or behind what the layer stores, be it a value's, nobody's or the caller's."""
    folder = _written(_chain(), tmp_path / "net")
    code = f"((volatile uint8_t *)out)[{stored if behind else -1}] ^= 1u;"
    _planted(folder, rf"(void net_{layer}\(.*\)\n{{\n)", rf"\g<1>    {code}\n")
    with pytest.raises(McugenError, match=f"layer {layer} writes outside") as caught:
        HostModel(folder).run_batch(_SAMPLES)
    assert f"net_{layer}, kernel" in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "pattern", "replacement"),
    [
        ("pool", r"largest = source\[first \* 8\]", "largest = *out"),  # not written yet
        ("add", r"\(int32_t\)in_1\[i\]", "in_1[i + 1u]"),  # behind a value
        ("add", r"\(int32_t\)in_0\[i\]", "in_0[(int32_t)i - 1]"),  # before the arena
        ("add", r"\(int32_t\)in_0\[i\]", "in_0[i + 176u]"),  # no longer a value
    ],
)
def test_a_read_of_memory_that_holds_nothing_is_found(
    layer: str, pattern: str, replacement: str, tmp_path: Path
) -> None:
    clean = HostModel(_written(_chain(), tmp_path / "clean"))
    clean.check_memory(_SAMPLES)
    folder = _planted(_written(_chain(), tmp_path / "net"), pattern, replacement)
    with pytest.raises(McugenError, match=f"layer {layer} reads memory that holds nothing"):
        HostModel(folder).check_memory(_SAMPLES)


@pytest.mark.parametrize(
    ("pattern", "replacement", "report"),
    [
        (r"int32_t acc = 0", "int32_t acc = INT32_MAX - 2", "signed integer overflow"),
        (r"weight\[i\]", "weight[i + 1]", "global-buffer-overflow"),
        (r"\*out = net", "out[300] = 7; *out = net", "heap-buffer-overflow"),
    ],
)
def test_sanitizers_report_what_was_planted(
    pattern: str, replacement: str, report: str, tmp_path: Path
) -> None:
    plain = Wishes(kernels={_linear().output: "linear"})
    folder = _written(_linear(), tmp_path / "net", plain)
    inputs = np.full((2, 40), 100)
    clean = run_sanitized(folder, inputs)
    np.testing.assert_array_equal(clean, interp.run(_linear(), inputs))
    with pytest.raises(McugenError) as caught:
        run_sanitized(_planted(folder, pattern, replacement), inputs)
    assert report in str(caught.value)


def test_ten_thousand_images_take_seconds(tmp_path: Path) -> None:
    """A LeNet of about 400,000 MACs; the time allowed is many times what it takes."""
    rng = np.random.default_rng(0)
    b = Builder(TensorType((1, 28, 28, 1), Int(8, False, 0, 255)))
    x, i8, signs = b.x, Int(8, True, -128, 127), Int(2, True, -1, 1)
    for channels in (8, 16):
        depth = 1 if channels == 8 else 8
        w = b.const(rng.integers(-127, 128, (channels, 5, 5, depth)), i8)
        x = b.op(ops.Conv2d(x, w))
        table = np.sort(rng.integers(-50_000, 50_000, (channels, 15)), axis=1)
        table_name = b.const(table, accumulator(-(2**30), 2**30))
        x = b.op(ops.Threshold(x, table_name, b.const([1], signs)))
        x = b.op(ops.MaxPool(x, window=(2, 2), stride=(2, 2)))
    x = b.op(ops.Linear(x, b.const(rng.integers(-127, 128, (10, 256)), i8)))
    model = HostModel(_written(b.done(x), tmp_path / "net"))
    images = rng.integers(0, 256, (10_000, 28, 28, 1))
    began = time.monotonic()
    model.run_batch(images)
    assert time.monotonic() - began < 15
