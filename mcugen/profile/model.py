"""A generated model on an emulated core: bytes in, bytes out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcugen.emit.manifest import Manifest, Tensor
from mcugen.errors import fail
from mcugen.profile.emulator import Emulator
from mcugen.profile.image import build_image
from mcugen.target.cores import Core

IntegerArray = npt.NDArray[np.integer]


class ModelEmulator:
    """One model, compiled for `core`, initialised once, ready to run inputs one after another."""

    def __init__(
        self, folder: Path, manifest: Manifest, core: Core, *, flags: Sequence[str] = ()
    ) -> None:
        """Compile the C in `folder`; `flags` as in `build_image`.

        Raises:
            McugenError: as `build_image` and `Emulator`, or the model's init reports an error.
        """
        self.manifest = manifest
        self.emulator = Emulator(build_image(folder, manifest, core, flags=flags), core)
        self.context = self.emulator.program.address_of("bare_context")
        self.run_symbol = f"{manifest.name}_run"
        self._expect_ok(f"{manifest.name}_init")
        self._input = self.emulator.call(f"{manifest.name}_input", self.context)
        self._output = self.emulator.call(f"{manifest.name}_output", self.context)

    def _expect_ok(self, symbol: str) -> None:
        status = self.emulator.call(symbol, self.context)
        if status:
            raise fail("profile", f"{symbol} failed", got=f"status {status - 2**32}", want="0")

    def set_input(self, values: IntegerArray) -> None:
        """Write one input in the manifest's element type and order (NHWC; `bits`: packed words).

        Raises:
            McugenError: another number of elements, or values outside of the element type.
        """
        tensor = self.manifest.input
        dtype = tensor.numpy_dtype
        converted = np.ascontiguousarray(values).astype(dtype)
        if converted.nbytes != tensor.bytes:
            count = tensor.bytes // dtype.itemsize
            raise fail(
                "profile", "input of the wrong size", got=f"{values.size} elements", want=f"{count}"
            )
        if not np.array_equal(converted, values):
            raise fail("profile", f"input values do not fit {tensor.dtype}")
        self.emulator.write(self._input, converted.tobytes())

    def run(self) -> IntegerArray:
        """Run the input that was set, and return the output's elements, flat.

        Raises:
            McugenError: as `Emulator.call`, or the model reports an error.
        """
        self._expect_ok(self.run_symbol)
        tensor = self.manifest.output
        data = self.emulator.read(self._output, tensor.bytes)
        return np.frombuffer(data, tensor.numpy_dtype)

    def run_batch(self, inputs: IntegerArray, steps: int = 1) -> IntegerArray:
        """Outputs of `inputs`, one a row: `(n, …)` in, `(n, elements)` out, as they lie in memory.

        States begin anew after each `steps` inputs.

        Raises:
            McugenError: as `set_input` and `run`.
        """
        tensor = self.manifest.output
        dtype = tensor.numpy_dtype
        outputs = np.empty((len(inputs), tensor.bytes // dtype.itemsize), dtype)
        for index, (row, values) in enumerate(zip(outputs, inputs, strict=True)):
            if self.manifest.ram.state and index % steps == 0:
                self._expect_ok(f"{self.manifest.name}_init")
            self.set_input(values)
            row[:] = self.run()
        return outputs

    def layer_memory(self, inputs: IntegerArray) -> tuple[npt.NDArray[np.uint8], ...]:
        """What every layer stores for `inputs` (see `run_batch`): uint8 [n, out_bytes] for each.

        The program is the same as that of `run`; it is looked at where each layer begins.

        Raises:
            McugenError: as `run_batch`, or other functions were called than the manifest lists.
        """
        layers = self.manifest.layers
        stored = tuple(np.empty((len(inputs), layer.out_bytes), np.uint8) for layer in layers)
        arenas: list[bytes] = []

        def look() -> None:
            # The arena is the context's first member.
            arenas.append(self.emulator.read(self.context, self.manifest.ram.arena))

        with self.emulator.at_entry({layer.function for layer in layers}, look):
            for index, values in enumerate(inputs):
                arenas.clear()
                self.set_input(values)
                self.run()
                look()
                if len(arenas) != len(layers) + 1:
                    got, want = f"{len(arenas) - 1} calls", f"{len(layers)}"
                    raise fail("profile", "the layers did not run once each", got=got, want=want)
                for layer, rows, arena in zip(layers, stored, arenas[1:], strict=True):
                    rows[index] = np.frombuffer(arena, np.uint8, layer.out_bytes, layer.out_offset)
        return stored


def random_inputs(tensor: Tensor, count: int, seed: int) -> IntegerArray:
    """`count` inputs, uniform over the levels of `tensor`, one a row; same seed, same inputs."""
    dtype = tensor.numpy_dtype
    lo, hi = _bounds(tensor)
    generator = np.random.default_rng(seed)
    shape = (count, tensor.bytes // dtype.itemsize)
    return generator.integers(lo, hi, shape, endpoint=True, dtype=dtype.newbyteorder("="))


def varied_inputs(tensor: Tensor, count: int, seed: int) -> IntegerArray:
    """`count` inputs: zero, lowest, highest, lowest and highest in turn, the rest random."""
    inputs = random_inputs(tensor, count, seed)
    lo, hi = _bounds(tensor)
    zero = min(max(tensor.zero_point, lo), hi)
    for row, pattern in zip(inputs, ([zero], [lo], [hi], [lo, hi]), strict=False):
        row[:] = np.resize(np.array(pattern, inputs.dtype), row.shape)
    return inputs


def _bounds(tensor: Tensor) -> tuple[int, int]:
    """Lowest and highest element in memory; for `bits` those are words, all of 32 bits used."""
    return (0, 2**32 - 1) if tensor.dtype == "bits" else (tensor.lo, tensor.hi)
