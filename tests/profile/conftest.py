"""Fixtures that compile the programs of `bare_programs`."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.emit.manifest import FILE_NAME, Layer, Manifest, Ram, Source, Tensor
from mcugen.profile.emulator import Emulator
from mcugen.target.cores import Core, core_named
from tests.profile.bare_programs import MODEL_C, MODEL_H, Assemble

_PREAMBLE = ".syntax unified\n.thumb\n.text\n"


@pytest.fixture
def assemble(tmp_path: Path) -> Assemble:
    """Link assembly at 0x08000000 and load it; `accept`: the core that the assembler is told."""

    def build(
        source: str, core: Core, *, accept: str | None = None, limit: int = 10**6
    ) -> Emulator:
        assembly, program = tmp_path / "program.s", tmp_path / "program.elf"
        assembly.write_text(_PREAMBLE + source)
        flags = core_named(accept).gcc_flags if accept else core.gcc_flags
        link = ("-nostdlib", "-Wl,-Ttext=0x08000000", "-Wl,-Tdata=0x20000000", "-Wl,-e,0x08000000")
        tools.run_checked(["arm-none-eabi-gcc", *flags, *link, str(assembly), "-o", str(program)])
        return Emulator(program, core, instruction_limit=limit)

    return build


def _tensor(dtype: str, count: int, width: int, lo: int, hi: int) -> Tensor:
    return Tensor.model_validate(
        {
            "shape": (count,),
            "dtype": dtype,
            "bytes": count * width,
            "lo": lo,
            "hi": hi,
            "scale": 1.0,
            "zero_point": 0,
            "torch_shape": (1, count),
        }
    )


def _layer(name: str, macs: int) -> Layer:
    return Layer(
        name=name,
        op="linear",
        kernel="plain",
        function=f"tiny_{name}",
        source=None,
        in_shape=(8,),
        out_shape=(8,),
        macs=macs,
        weight_bits=8,
        activation_bits=8,
        weight_bytes=8,
        table_bytes=0,
        scratch_bytes=0,
        value=f"%{name}",
        out_dtype="int32",
        out_offset=0,
        out_bytes=32,
    )


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Write the tiny model, with other C or other layers on request, and return its folder."""

    def write(model_c: str = MODEL_C, layers: tuple[str, ...] = ("scale", "total")) -> Path:
        folder = tmp_path / "tiny"
        folder.mkdir(exist_ok=True)
        files = {"model.c": model_c, "model.h": MODEL_H}
        for name, text in files.items():
            (folder / name).write_text(text)
        macs = {"scale": 0, "total": 8}
        manifest = Manifest(
            generator="test",
            name="tiny",
            source=Source(file="tiny.pt2", sha256="0" * 64),
            digest="0" * 64,
            files={name: sha256(text.encode()).hexdigest() for name, text in files.items()},
            core="cortex-m4",
            board=None,
            input=_tensor("int8", 8, 1, -100, 100),
            output=_tensor("int32", 2, 4, -(2**31), 2**31 - 1),
            output_function=None,
            macs=8,
            weight_bytes=8,
            table_bytes=0,
            ram=Ram(arena=64, lower_bound=64, context=64),
            layers=tuple(_layer(name, macs.get(name, 0)) for name in layers),
        )
        (folder / FILE_NAME).write_text(manifest.to_json())
        return folder

    return write


@pytest.fixture
def tiny_folder(write_model: Callable[..., Path]) -> Path:
    """The tiny model as it is."""
    return write_model()
