"""The trained models on every core in emulation: bit for bit the host's and the interpreter's."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mcugen import data
from mcugen.emit import emit, write
from mcugen.emit.encoding import encode_input
from mcugen.ir import Program, interp
from mcugen.profile.disassembly import disassemble
from mcugen.profile.image import build_image
from mcugen.profile.model import ModelEmulator
from mcugen.profile.profile import profile
from mcugen.profile.program import read_program
from mcugen.run.host import decode_layers, run_several_sanitized
from mcugen.run.samples import input_boundary
from mcugen.target.cores import Core, core_named
from scripts.fuzz_lib.backends import CORES
from scripts.fuzz_lib.image import Image
from scripts.fuzz_lib.samples import samples

REAL = 6


@cache
def _images(name: str) -> np.ndarray:
    return data.load(name).x[:REAL]


def _inputs(program: Program) -> np.ndarray:
    """Extremes, and real images where they are at hand: digits always are."""
    extremes = samples(program, 1)
    name = "digits" if program.name.startswith("digits") else "mnist"
    if name == "mnist" and "MCUGEN_DATA" not in os.environ:
        return extremes
    return np.concatenate([input_boundary(program).levels(_images(name)), extremes])


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_outputs_equal_the_interpreters(core: Core, trained: list[Program], tmp_path: Path) -> None:
    emitted = [emit(program, core, program.name) for program in trained]
    for item in emitted:
        write(tmp_path / item.manifest.name, item)
    image = Image(tmp_path, [item.manifest for item in emitted], core)
    for program, item in zip(trained, emitted, strict=True):
        inputs = _inputs(program)
        got = image.run(item.manifest, inputs)
        np.testing.assert_array_equal(got, interp.run(program, inputs), program.name)


def test_host_outputs_equal_the_interpreters(trained: list[Program], tmp_path: Path) -> None:
    for program in trained:
        write(tmp_path / program.name, emit(program, CORES[0], program.name))
    inputs = [_inputs(program) for program in trained]
    folders = [tmp_path / program.name for program in trained]
    for program, x, got in zip(
        trained, inputs, run_several_sanitized(folders, inputs), strict=True
    ):
        np.testing.assert_array_equal(got, interp.run(program, x), program.name)


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
@pytest.mark.parametrize("name", ["bernoulli", "lenet_mixed"])
def test_every_layer_stores_the_interpreters_values(
    core: Core, name: str, trained: list[Program], tmp_path: Path
) -> None:
    program = next(program for program in trained if program.name == name)
    emitted = emit(program, core, name)
    write(tmp_path / name, emitted)
    model = ModelEmulator(tmp_path / name, emitted.manifest, core)
    inputs = _inputs(program)
    memory = encode_input(emitted.manifest.input, inputs)
    stored = model.layer_memory(memory.view(emitted.manifest.input.numpy_dtype))
    found = decode_layers(emitted.manifest, stored)
    expected = interp.trace(program, inputs)
    assert len(found) == len(emitted.manifest.layers)
    for value, got in found.items():
        np.testing.assert_array_equal(got.ravel(), expected[value].ravel(), value)


def _multiplications(program: Program, core: Core, folder: Path) -> set[str]:
    """Functions of the linked image that multiply or divide."""
    emitted = emit(program, core, program.name)
    write(folder / program.name, emitted)
    image = read_program(build_image(folder / program.name, emitted.manifest, core))
    return {
        image.function_at(item.address)
        for span in image.code
        for item in disassemble(image.bytes_at(span), span.start)
        if any(part in item.name for part in ("mul", "mla", "mls", "mlad", "mlsd", "div"))
    }


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_a_binary_network_never_multiplies(
    core: Core, trained: list[Program], tmp_path: Path
) -> None:
    named = {program.name: program for program in trained}
    assert _multiplications(named["bernoulli"], core, tmp_path) == set()
    assert _multiplications(named["digits_mlp"], core, tmp_path)


def test_a_binary_network_keeps_its_speed(trained: list[Program], tmp_path: Path) -> None:
    """23,235 cycles when this was written, for 62,368 products."""
    program = next(program for program in trained if program.name == "bernoulli")
    core = core_named("cortex-m4")
    write(tmp_path / "bernoulli", emit(program, core, "bernoulli"))
    assert profile(tmp_path / "bernoulli", core).cycles <= 23_500
