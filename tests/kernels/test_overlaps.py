"""How far outputs may run over inputs: what each kernel claims, against what it is seen to do.

Layers of random programs become programs of their own and run on emulated cores, their input just
as far above their output as the kernel's `Recipe.overlaps` asks for. The log of their loads and
stores says how far it had to be: no byte may be loaded after something was stored in its place.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import read_manifest
from mcugen.ir import Program, Value, interp, verify
from mcugen.kernels import able
from mcugen.kernels.step import Step
from mcugen.plan.buffers import Buffer, Overlap, aligned
from mcugen.plan.choice import Wishes
from mcugen.plan.memory import Arena
from mcugen.plan.steps import fuse
from mcugen.profile.model import ModelEmulator
from mcugen.target.cores import core_named
from tests.kernels.byte_layers import (
    conv2d_layer,
    depthwise_layer,
    linear_layer,
    winograd_layer,
)
from tests.op_programs import MAKERS
from tests.programs import random_inputs, random_program

BYTES = (conv2d_layer, depthwise_layer, linear_layer, winograd_layer)

unicorn = pytest.importorskip("unicorn")


@dataclass(frozen=True)
class Layer:
    """A program of one layer, a kernel for it, and how far it lets its output run."""

    program: Program
    kernel: str
    distance: int
    in_place: bool
    """It may begin there and nowhere else over the output."""


def _alone(step: Step, program: Program) -> Program:
    """`step` of `program` as a program; its first input is the only one."""
    source = step.inputs[0]
    nodes = tuple(node for node in (step.main, step.epilogue) if node)
    used = {name for node in nodes for name in node.op.operands}
    return verify(
        Program(
            "alone",
            "",
            (Value(source.name, source.type),),
            tuple(const for const in program.consts if const.name in used),
            nodes,
            step.output.name,
        )
    )


def _steps() -> list[Program]:
    """Layers with one input."""
    programs = [make(seed) for make in BYTES for seed in range(40)]
    programs += [random_program(seed) for seed in range(160)]
    programs += [make(seed) for make in MAKERS for seed in range(8)]
    programs += [make(seed) for make in BYTES for seed in range(30)]
    return [
        _alone(step, program)
        for program in programs
        for step in fuse(program).steps
        if len({item.name for item in step.inputs}) == 1
    ]


def _layers(core: str, most: int) -> list[Layer]:
    """Up to `most` layers for each kernel that lets outputs run over inputs."""
    found: dict[str, list[Layer]] = defaultdict(list)
    for program in _steps():
        (step,) = fuse(program).steps
        for kernel in able(step, core_named(core)):
            recipe = kernel.build(step, core_named(core))
            distances = [0] if recipe.in_place else recipe.overlaps
            if len(found[kernel.name]) < most and None not in distances:
                named = replace(program, name=f"{kernel.name}_{len(found[kernel.name])}")
                distance = max(item for item in distances if item is not None)
                layer = Layer(named, kernel.name, distance, recipe.in_place)
                found[kernel.name].append(layer)
    return [layer for layers in found.values() for layer in layers]


def _written(layer: Layer, core: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The layer's C with its input just as far above its output as it may be."""

    def place(buffers: Sequence[Buffer], overlaps: Sequence[Overlap], **_: object) -> Arena:
        del overlaps
        rooms = {item.name: item.room for item in buffers}
        source, output = layer.program.inputs[0].name, layer.program.output
        offsets = {output: 0, source: aligned(layer.distance)}
        end = max(rooms[name] + at for name, at in offsets.items())
        for name in rooms.keys() - offsets.keys():
            offsets[name], end = end, end + rooms[name]
        return Arena(offsets, end, end, 0, end)

    (step,) = fuse(layer.program).steps
    wishes = Wishes(kernels={step.output.name: layer.kernel})
    with monkeypatch.context() as patch:
        patch.setattr("mcugen.plan.arrange.plan_arena", place)
        emitted = emit(layer.program, core_named(core), layer.program.name, wishes=wishes)
    write(folder / layer.program.name, emitted)
    return folder / layer.program.name


def _needed(log: list[tuple[bool, int, int]], source: range, output: range) -> int:
    """Bytes by which `source` must begin above `output` for the loads and stores in `log`."""
    needed, later = 0, sys.maxsize
    for stores, address, size in reversed(log):
        if not stores and address in source:
            later = min(later, address - source.start)
        elif stores and address in output:
            needed = max(needed, address + size - output.start - later)
    return needed


def _spoiled(log: list[tuple[bool, int, int]], source: range) -> bool:
    """A byte of `source` is loaded after something was stored there."""
    stored: set[int] = set()
    for stores, address, size in log:
        touched = range(address, address + size)
        if stores:
            stored.update(touched)
        elif address in source and not stored.isdisjoint(touched):
            return True
    return False


def _run(model: ModelEmulator, memory: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """The output's bytes, how far the input had to begin above them, and whether it was spoiled."""
    manifest, emulator = model.manifest, model.emulator
    log: list[tuple[bool, int, int]] = []

    def note(_: Any, access: int, address: int, size: int, *__: Any) -> None:
        log.append((access == unicorn.UC_MEM_WRITE, address, size))

    kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
    last = model.context + manifest.ram.context - 1
    model.set_input(memory.view(manifest.input.numpy_dtype))
    handle = emulator._engine.hook_add(kinds, note, None, model.context, last)
    output = model.run().view(np.uint8)
    emulator._engine.hook_del(handle)
    (layer,) = manifest.layers
    places = [(layer.held[0].offset, layer.held[0].bytes), (layer.out_offset, layer.out_bytes)]
    spans = [range(model.context + at, model.context + at + size) for at, size in places]
    return output, _needed(log, *spans), _spoiled(log, spans[0])


@pytest.mark.parametrize(("core", "most"), [("cortex-m0plus", 2), ("cortex-m4", 4)])
def test_claims_are_what_the_access_order_asks_for(
    core: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No less; and, for some layer of each kernel, no more than by a pixel of the output.

    For some: a compiler leaves out what does not matter, such as inputs whose weights are zero.
    """
    claimed, tight = set(), set()
    for layer in _layers(core, most):
        folder = _written(layer, core, tmp_path, monkeypatch)
        manifest = read_manifest(folder)
        inputs = random_inputs(layer.program, 1, seed=5)
        model = ModelEmulator(folder, manifest, core_named(core))
        runs = [_run(model, memory) for memory in encode_input(manifest.input, inputs)]
        got = decode_output(manifest.output, np.stack([output for output, _, _ in runs]))
        np.testing.assert_array_equal(got, interp.run(layer.program, inputs), layer.program.name)
        assert not any(spoiled for _, _, spoiled in runs), layer.program.name
        needed = max(needed for _, needed, _ in runs)
        assert layer.in_place or needed <= layer.distance, layer.program.name
        (step,) = fuse(layer.program).steps
        claimed.add(layer.kernel)
        if layer.in_place or layer.distance <= needed + step.output.storage.pixel_bytes:
            tight.add(layer.kernel)
    assert len(claimed) >= 15
    assert (
        core != "cortex-m4" or {"conv2d_paired", "conv2d_winograd", "depthwise_planar"} <= claimed
    )
    assert claimed == tight
