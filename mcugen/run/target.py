"""Samples through the firmware on a board or in QEMU, as one record of results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mcugen.emit.manifest import Manifest
from mcugen.errors import fail
from mcugen.run.device import Device, Identity
from mcugen.target.boards import Board

#: Called with the samples done and the samples in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TargetRun:
    """What came back. Arrays have one row per sample, outputs in the type of the manifest's output.

    `cycle_source` is `dwt`, `systick` or `emulated`. An emulator's cycles mean nothing, so that
    `cycles` (core cycles) and `layer_cycles` (samples × layers) are then None.
    """

    samples: int
    outputs: np.ndarray
    cycles: np.ndarray | None
    layer_cycles: np.ndarray | None
    stack_bytes: int
    retries: int
    clock_hz: int
    cycle_source: str
    identity: Identity


def check_board(identity: Identity, board: Board) -> None:
    """Refuse an image that was built for another board than `board`.

    Raises:
        McugenError: the names differ.
    """
    if identity.board != board.name:
        raise fail(
            "run",
            f"the image was built for {identity.board}, not for {board.name}",
            help=f"--board {identity.board}, or flash it: mcugen flash DIR --board {board.name}",
        )


def check_identity(identity: Identity, manifest: Manifest) -> None:
    """Refuse an image that holds another model than the one described by `manifest`.

    Raises:
        McugenError: digests differ.
    """
    if identity.digest != manifest.digest:
        board = identity.board
        raise fail(
            "run",
            f"the {board} runs another model, or an older image of '{manifest.name}'",
            got=f"digest {identity.digest[:16]}…",
            want=f"digest {manifest.digest[:16]}…",
            help=f"mcugen build DIR --board {board}, then mcugen flash DIR --board {board}",
        )


def run_on(
    device: Device, manifest: Manifest, inputs: np.ndarray, progress: Progress | None = None
) -> TargetRun:
    """Run the model on every row of `inputs`: the input's memory, as `encode_input` gives it.

    Raises:
        McugenError: the device holds another model, the inputs do not fit it, or it fails to
            answer.
    """
    check_identity(device.identity, manifest)
    samples = list(_sample_bytes(manifest, inputs))
    outputs, cycles, layer_cycles = [], [], []
    for done, sample in enumerate(samples, start=1):
        result = device.run(sample)
        outputs.append(np.frombuffer(result.output, manifest.output.numpy_dtype))
        if not device.emulated:
            cycles.append(result.cycles)
            layer_cycles.append(device.layer_cycles())
        if progress is not None:
            progress(done, len(samples))
    return TargetRun(
        samples=len(samples),
        outputs=np.stack(outputs),
        cycles=None if device.emulated else np.array(cycles, np.int64),
        layer_cycles=None if device.emulated else np.array(layer_cycles, np.int64),
        stack_bytes=device.stack_high_water().used,
        retries=device.retries,
        clock_hz=device.identity.clock_hz,
        cycle_source="emulated" if device.emulated else device.identity.cycle_source.name.lower(),
        identity=device.identity,
    )


def _sample_bytes(manifest: Manifest, inputs: np.ndarray) -> Iterator[bytes]:
    """Each row of `inputs` as the bytes that go into the model's input."""
    if len(inputs) == 0:
        raise fail("run", "no samples to run")
    if inputs[0].nbytes != manifest.input.bytes:
        raise fail(
            "run",
            f"samples do not fit the input of '{manifest.name}'",
            got=f"{inputs[0].nbytes} bytes each",
            want=f"{manifest.input.bytes} bytes each",
        )
    for row in inputs:
        yield np.ascontiguousarray(row).tobytes()
