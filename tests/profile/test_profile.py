"""A small model through image, emulation and profile, on every core."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen import tools
from mcugen.emit.manifest import read_manifest
from mcugen.errors import McugenError
from mcugen.profile.flash import FlashModel
from mcugen.profile.image import build_image, image_argv
from mcugen.profile.model import ModelEmulator, random_inputs, varied_inputs
from mcugen.profile.profile import profile, spread
from mcugen.profile.trace import Tracer
from mcugen.target.cores import CORES, Core, core_named
from tests.profile.bare_programs import MODEL_C

WriteModel = Callable[..., Path]
M4 = core_named("cortex-m4")
F446 = FlashModel(5, 16, 64, 8, prefetch=True)
WEIGHTS = np.array([1, -2, 3, -4, 5, -6, 7, -8])
EACH_CORE = pytest.mark.parametrize("core", CORES.values(), ids=CORES)


def expected(inputs: np.ndarray) -> np.ndarray:
    scaled = 3 * inputs.astype(np.int64) + 1
    return np.stack([scaled.sum(axis=1), (scaled * WEIGHTS).sum(axis=1)], axis=1)


@EACH_CORE
def test_every_core_computes_the_same(tiny_folder: Path, core: Core) -> None:
    manifest = read_manifest(tiny_folder)
    inputs = varied_inputs(manifest.input, 50, seed=3)
    outputs = ModelEmulator(tiny_folder, manifest, core).run_batch(inputs)
    assert outputs.dtype == np.int32
    assert np.array_equal(outputs, expected(inputs))


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros(7, np.int8), "wrong size"), (np.full(8, 200), "do not fit int8")],
)
def test_unfit_input_is_refused(tiny_folder: Path, values: np.ndarray, message: str) -> None:
    model = ModelEmulator(tiny_folder, read_manifest(tiny_folder), M4)
    with pytest.raises(McugenError, match=message):
        model.run_batch(values[None])


def test_layers_that_the_program_does_not_call_are_noticed(tiny_folder: Path) -> None:
    manifest = read_manifest(tiny_folder)
    twice = manifest.model_copy(update={"layers": manifest.layers * 2})
    with pytest.raises(McugenError, match="did not run once each"):
        ModelEmulator(tiny_folder, twice, M4).layer_memory(varied_inputs(manifest.input, 2, 3))


@EACH_CORE
def test_layers_and_overhead_make_up_the_whole(tiny_folder: Path, core: Core) -> None:
    report = profile(tiny_folder, core)
    assert [layer.name for layer in report.layers] == ["scale", "total"]
    assert report.cycles == report.overhead_cycles + sum(layer.cycles for layer in report.layers)
    assert 0 < report.overhead_cycles < report.layers[0].cycles
    assert report.layers[0].cycles_per_mac is None
    assert report.layers[1].cycles_per_mac == report.layers[1].cycles / 8
    assert (report.core, report.macs, report.cycles_flash) == (core.name, 8, None)


def test_a_layer_includes_what_it_calls(tiny_folder: Path) -> None:
    model = ModelEmulator(tiny_folder, read_manifest(tiny_folder), M4)
    entry = model.emulator.program.address_of("tiny_total") & ~1
    run = Tracer(model.emulator).call("tiny_run", model.context, watch=[entry])
    own = run.functions["tiny_total"]
    [callee] = [counts for name, counts in run.functions.items() if name.startswith("dot")]
    assert run.regions == (own + callee,)
    assert sum(counts.cycles for counts in run.functions.values()) == run.total.cycles


def test_the_same_program_gives_the_same_report(write_model: WriteModel) -> None:
    first = profile(write_model(), M4, flash=F446)
    assert profile(write_model(), M4, flash=F446) == first
    assert first.cycles_flash is not None
    assert first.cycles_flash > first.cycles


def test_the_slowest_input_is_reported(write_model: WriteModel) -> None:
    """A layer whose loop stops at the first zero."""
    early = MODEL_C.replace(
        "i < 8u; ++i) {\n        scaled", "i < 8u && input[i]; ++i) {\n        scaled"
    )
    folder = write_model(early)
    slow, fast = np.ones((1, 8), np.int8), np.zeros((1, 8), np.int8)
    assert profile(folder, M4, np.concatenate([fast, slow, fast])) == profile(folder, M4, slow)
    assert profile(folder, M4, fast).cycles < profile(folder, M4, slow).cycles
    assert spread(folder, M4, 10, seed=0).instructions > 0


@EACH_CORE
def test_spread_of_a_model_without_branches_on_data(tiny_folder: Path, core: Core) -> None:
    result = spread(tiny_folder, core, 20, seed=1)
    assert result.instructions == 0
    assert result.cycles_min == result.cycles_max > result.instructions_min > 0
    assert (result.core, result.inputs) == (core.name, 20)


def test_stack_is_the_run_of_the_model_alone(write_model: WriteModel) -> None:
    """64 bytes more in a layer, written, are 64 bytes more of stack."""
    body = "    int32_t *output = (int32_t *)(net->arena + 10);\n"
    frame = body + "    volatile int32_t frame[16];\n    frame[0] = 1;\n    (void)frame[0];\n"
    plain = profile(write_model(), M4)
    larger = profile(write_model(MODEL_C.replace(body, frame)), M4)
    assert plain.stack > 0
    assert larger.stack == plain.stack + 64


@pytest.mark.parametrize("layers", [("total", "scale"), ("scale", "total", "more")])
def test_layers_that_are_not_those_of_the_manifest(
    write_model: WriteModel, layers: tuple[str, ...]
) -> None:
    with pytest.raises(McugenError, match="does not call the layers that the manifest lists"):
        profile(write_model(layers=layers), M4)


def test_a_status_other_than_ok_is_an_error(write_model: WriteModel) -> None:
    folder = write_model(
        MODEL_C.replace(
            "    tiny_total(net);\n    return TINY_OK;",
            "    tiny_total(net);\n    return TINY_ERROR_NULL;",
        )
    )
    model = ModelEmulator(folder, read_manifest(folder), M4)
    with pytest.raises(McugenError, match="tiny_run failed\n  got  status -1"):
        model.run_batch(np.zeros((1, 8), np.int8))


def test_an_image_is_built_once_and_again_when_a_source_changes(write_model: WriteModel) -> None:
    folder = write_model()
    manifest = read_manifest(folder)
    image = build_image(folder, manifest, M4)
    built = image.stat().st_mtime_ns
    assert build_image(folder, manifest, M4) == image
    assert image.stat().st_mtime_ns == built
    assert build_image(folder, manifest, M4, flags=["-Os"]) != image
    write_model(MODEL_C + "\n")
    assert build_image(folder, manifest, M4) != image
    assert image.is_relative_to(folder / "build")
    assert not [path for path in image.parent.iterdir() if path.suffix != ".elf"]


def test_the_compiler_is_told_core_standard_and_warnings(tiny_folder: Path) -> None:
    argv = image_argv(tiny_folder, read_manifest(tiny_folder), M4, Path("out.elf"), ["-Os"])
    wanted = {"-mcpu=cortex-m4", "-mfloat-abi=soft", "-std=c99", "-Werror", "-DMODEL_NAME=tiny"}
    assert wanted <= set(argv)
    assert argv.index("-Os") > argv.index("-O2")
    assert argv[-1] == "out.elf"


def test_a_warning_in_the_model_is_an_error(write_model: WriteModel) -> None:
    folder = write_model(MODEL_C + "static int unused;\n")
    with pytest.raises(McugenError, match="unused"):
        build_image(folder, read_manifest(folder), M4)


def test_a_missing_source_is_named(tiny_folder: Path) -> None:
    manifest = read_manifest(tiny_folder)
    (tiny_folder / "model.c").unlink()
    with pytest.raises(McugenError, match=r"cannot read .*model\.c"):
        build_image(tiny_folder, manifest, M4)


def test_a_missing_compiler_names_its_package(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "find", lambda program: None)
    with pytest.raises(McugenError, match="gcc-arm-none-eabi"):
        build_image(tiny_folder, read_manifest(tiny_folder), M4)


def test_inputs_cover_the_levels(tiny_folder: Path) -> None:
    tensor = read_manifest(tiny_folder).input
    inputs = varied_inputs(tensor, 200, seed=0)
    assert [set(row) for row in inputs[:4]] == [{0}, {-100}, {100}, {-100, 100}]
    assert (inputs.min(), inputs.max()) == (-100, 100)
    assert np.array_equal(inputs, varied_inputs(tensor, 200, seed=0))
    assert not np.array_equal(inputs[4:], varied_inputs(tensor, 200, seed=1)[4:])
    packed = random_inputs(tensor.model_copy(update={"dtype": "bits", "bytes": 64}), 10, seed=0)
    assert (packed.dtype, packed.shape) == (np.uint32, (10, 16))
    assert packed.max() > 2**31


def test_a_report_without_flash_differs_in_nothing_else(tiny_folder: Path) -> None:
    without = profile(tiny_folder, M4)
    assert replace(profile(tiny_folder, M4, flash=F446), cycles_flash=None) == without
