"""manifest.json: what every command after `generate` needs to know about the emitted C.

It is written once by `emit` and read by build, run, profile and report; nobody parses the C.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mcugen.errors import Fault, McugenError, fail

FILE_NAME = "manifest.json"
SCHEMA = 1
_CHECKSUM = "manifest_sha256"

Dtype = Literal["uint8", "int8", "uint16", "int16", "int32", "bits"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Source(_Record):
    """The model file that the C was generated from."""

    file: str
    sha256: str


class Tensor(_Record):
    """An input or output as it lies in memory: NHWC, little-endian; `bits` packs 32 to a word."""

    shape: tuple[int, ...]
    dtype: Dtype
    bytes: int
    lo: int
    hi: int
    scale: float
    zero_point: int
    #: Shape in the PyTorch model (NCHW for images), batch included.
    torch_shape: tuple[int, ...]

    @property
    def numpy_dtype(self) -> np.dtype:
        """How numpy reads the elements from memory; `bits` as words of 32."""
        name = "uint32" if self.dtype == "bits" else self.dtype
        return np.dtype(name).newbyteorder("<")


class Extent(_Record):
    """Bytes of the arena."""

    offset: int
    bytes: int


class Layer(_Record):
    """One call in `NAME_run`, in order; `function` is its symbol in the ELF."""

    name: str
    op: str
    kernel: str
    function: str
    source: str | None
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    macs: int
    weight_bits: int
    activation_bits: int
    weight_bytes: int
    table_bytes: int
    scratch_bytes: int
    #: The program's name of what the layer stores, and where: valid until the next layer runs.
    value: str
    out_dtype: Dtype
    out_offset: int
    out_bytes: int
    #: The kernel's own memory; its contents mean nothing before and after the call.
    scratch_offset: int = 0
    #: What the arena holds when the layer begins: its inputs, and values for later layers.
    held: tuple[Extent, ...] = ()


class Live(_Record):
    """A buffer in use while the layer with the highest need of RAM runs; see `plan.plan.Live`."""

    role: Literal["input", "output", "scratch", "kept"]
    layer: str
    bytes: int


class Ram(_Record):
    arena: int
    #: No arrangement of the buffers takes less, in this order of layers; whether no other order
    #: has a lower peak.
    lower_bound: int
    exact_order: bool = False
    #: Kept from run to run, behind the arena.
    state: int = 0
    context: int
    #: Against the plan without the wish for less RAM: bytes saved, cycles added as predicted.
    saved: int = 0
    added_cycles: int = 0
    #: What is live at once where it is the most.
    peak_bytes: int = 0
    #: The layer that needs the most at once, and what is in use while it runs.
    peak_layer: str | None = None
    peak: tuple[Live, ...] = ()

    @property
    def optimal(self) -> bool:
        """Proven: these kernels need so much in this order."""
        return self.arena == self.lower_bound


class Manifest(_Record):
    schema_version: int = SCHEMA
    generator: str
    #: Prefix of every C symbol; macros use it in upper case.
    name: str
    source: Source
    #: SHA-256 over the emitted sources in the order of `files`: what a board reports as its model.
    digest: str
    #: Emitted C files beside the manifest, with their SHA-256.
    files: dict[str, str]
    core: str
    board: str | None
    input: Tensor
    output: Tensor
    #: Function dropped from the end of the graph since it keeps the order of the scores.
    output_function: str | None
    macs: int
    weight_bytes: int
    table_bytes: int
    ram: Ram
    layers: tuple[Layer, ...]

    @property
    def macro(self) -> str:
        """Prefix of the macros in model.h."""
        return self.name.upper()

    def to_json(self) -> str:
        document = self.model_dump(mode="json")
        return json.dumps({**document, _CHECKSUM: _checksum(document)}, indent=2) + "\n"


def _checksum(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`, an output of `mcugen generate`.

    Raises:
        McugenError: there is none, or it is not one of ours, of another schema version, or edited.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise fail(
            "manifest",
            f"no {FILE_NAME} in '{folder}'",
            help=f"mcugen generate MODEL -o {folder}",
        ) from error
    except (OSError, ValueError) as error:
        raise fail("manifest", f"cannot read '{path}': {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA:
        help_ = f"mcugen generate MODEL -o {folder} --force"
        raise fail(
            "manifest", f"'{path}' has schema {version}", want=f"schema {SCHEMA}", help=help_
        )
    checksum = document.pop(_CHECKSUM, None)
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise McugenError(
            "manifest",
            [
                Fault(f"'{path}': {item['msg']}", at=".".join(str(part) for part in item["loc"]))
                for item in error.errors()
            ],
        ) from error
    if checksum != _checksum(document):
        raise fail(
            "manifest",
            f"'{path}' was edited: it is not what its {_CHECKSUM} says",
            help=f"mcugen generate MODEL -o {folder} --force",
        )
    return manifest


def read_generated(folder: Path) -> Manifest:
    """The manifest in `folder`, whose files are as `mcugen generate` wrote them.

    Raises:
        McugenError: as `read_manifest`, and for files that are missing or were changed, all of
            them.
    """
    manifest = read_manifest(folder)
    changed = [name for name, digest in manifest.files.items() if _sha256(folder / name) != digest]
    if changed:
        help_ = f"generate it again: mcugen generate MODEL -o {folder} --force"
        faults = [Fault(f"'{name}' is not as {FILE_NAME} says", at=str(folder)) for name in changed]
        raise McugenError("manifest", [*faults[:-1], replace(faults[-1], help=help_)])
    return manifest


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
