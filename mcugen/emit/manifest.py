"""manifest.json: what every command after `generate` needs to know about the emitted C.

It is written once by `emit` and read by build, run, profile and report; nobody parses the C.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mcugen.errors import Fault, McugenError, fail

FILE_NAME = "manifest.json"
SCHEMA = 1

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


class Ram(_Record):
    arena: int
    lower_bound: int
    context: int


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
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`, an output of `mcugen generate`.

    Raises:
        McugenError: there is none, or it is not one of ours, or of another schema version.
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
        raise fail("manifest", f"'{path}' has schema {version}", want=f"schema {SCHEMA}")
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise McugenError(
            "manifest",
            [
                Fault(f"'{path}': {item['msg']}", at=".".join(str(part) for part in item["loc"]))
                for item in error.errors()
            ],
        ) from error
