"""What each layer stores on a target: to name the first that differs from the host's, and to look.

The firmware keeps a part of the arena as it is after a given layer, and hands it out: see
`Device.capture`. That takes a run of the model for each layer, hence is done for single samples.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.emit.encoding import decode_output
from mcugen.emit.manifest import Manifest
from mcugen.errors import fail
from mcugen.run.device import Device
from mcugen.run.host import stored_tensors


@dataclass(frozen=True)
class LayerDifference:
    """Where sample number `sample` (from 0) goes wrong.

    `layer` is None where every layer stored the host's bytes when the sample ran again: then the
    fault comes and goes. `bytes` of what the layer stores differ.
    """

    sample: int
    layer: str | None
    bytes: int


def layers_on(device: Device, manifest: Manifest, sample: bytes) -> Iterator[np.ndarray]:
    """The bytes that each layer stores for `sample`, the input's memory; uint8 [out_bytes].

    Raises:
        McugenError: as `Device.capture`.
    """
    for done, layer in enumerate(manifest.layers, start=1):
        kept = device.capture(sample, done, layer.out_offset, layer.out_bytes)
        yield np.frombuffer(kept, np.uint8)


def first_difference(
    device: Device, manifest: Manifest, number: int, sample: bytes, expected: Sequence[np.ndarray]
) -> LayerDifference:
    """The first layer in which `sample`, of this number, differs from the host's bytes `expected`.

    Raises:
        McugenError: as `Device.capture`.
    """
    found = layers_on(device, manifest, sample)
    for layer, got, want in zip(manifest.layers, found, expected, strict=True):
        if differing := int((got != want).sum()):
            return LayerDifference(number, layer.name, differing)
    return LayerDifference(number, None, 0)


def dump_layers(device: Device, manifest: Manifest, sample: bytes, path: Path) -> None:
    """Write what each layer stores for `sample` into `path`, an .npz: integers by layer's name.

    Raises:
        McugenError: `path` cannot be written; else as `Device.capture`.
    """
    tensors = (tensor for tensor, _ in stored_tensors(manifest))
    found = zip(manifest.layers, tensors, layers_on(device, manifest, sample), strict=True)
    try:
        with zipfile.ZipFile(path, "w") as file:
            for layer, tensor, got in found:
                with file.open(f"{layer.name}.npy", "w") as entry:
                    np.save(entry, decode_output(tensor, got[None]))
    except OSError as error:
        raise fail("run", f"cannot write '{path}': {error.strerror}") from error
