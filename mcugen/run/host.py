"""The emitted C on the host: compiled by gcc into a shared library, called through cffi.

Compiled libraries are kept in a cache by the digest of all that went into them. One library may
hold several models, which is what makes testing many small ones fast.
"""

import hashlib
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cffi
import numpy as np

from mcugen.build import gcc
from mcugen.emit.encoding import decode_output, encode_input
from mcugen.emit.manifest import Manifest, Tensor, read_manifest
from mcugen.emit.render import render
from mcugen.errors import fail
from mcugen.interrupts import scratch_folder
from mcugen.tools import run, run_checked

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
__all__ = [
    "HostModel",
    "decode_layers",
    "decode_output",
    "encode_input",
    "run_sanitized",
    "run_several_sanitized",
    "stored_tensors",
]

#: What memory that holds nothing is filled with; two that differ in every bit.
_POISON, _OTHER_POISON = 0xA5, 0x5A


@dataclass(frozen=True)
class Sources:
    """One model's folder and manifest."""

    folder: Path
    manifest: Manifest

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in self.manifest.files if name.endswith(".c")]


class HostModel:
    """The model in `folder`, an output of `mcugen generate`, ready to run here.

    Raises:
        McugenError: no manifest, gcc missing, or C that does not compile.
    """

    def __init__(self, folder: Path, *, optimize: str = "-O3") -> None:
        (source,) = _sources([folder])
        self._bind(source, _library([source], optimize))

    def _bind(self, source: Sources, library: "_Library") -> None:
        self.manifest = source.manifest
        self._library = library
        self._batch = getattr(library.code, f"{source.manifest.name}_host_batch")

    @classmethod
    def several(cls, folders: Sequence[Path], *, optimize: str = "-O1") -> "list[HostModel]":
        """Many models compiled into one library; their names must differ."""
        sources = _sources(folders)
        library = _library(sources, optimize)
        models = []
        for source in sources:
            model = cls.__new__(cls)
            model._bind(source, library)
            models.append(model)
        return models

    def run_batch(self, inputs: np.ndarray, steps: int = 1) -> np.ndarray:
        """The outputs for samples `inputs`, as the interpreter gives them.

        Arrays are those of `mcugen.ir.interp.run`: [N, *NHWC shape without batch], and so are
        `steps`. The loop runs in C without Python's lock.

        Raises:
            McugenError: inputs of another shape or outside their interval, or a layer that writes
                outside of its output and scratch memory.
        """
        return decode_output(self.manifest.output, self.output_memory(inputs, steps))

    def output_memory(self, inputs: np.ndarray, steps: int = 1) -> np.ndarray:
        """The outputs as they lie in memory, uint8 [N, output.bytes] (see `run_batch`)."""
        return self._run(inputs, steps)[0]

    def check_memory(self, inputs: np.ndarray) -> None:
        """Run samples twice, with other bytes each time in all memory that holds nothing.

        Raises:
            McugenError: a layer stores something else, hence reads what nothing wrote; or as
                `run_batch`.
        """
        runs = (self._traced(inputs, poison) for poison in (_POISON, _OTHER_POISON))
        for layer, one, other in zip(self.manifest.layers, *runs, strict=True):
            if (one != other).any():
                raise fail(
                    "host",
                    f"layer {layer.name} reads memory that holds nothing while it runs",
                    at=f"{layer.function}, kernel {layer.kernel}",
                )

    def layer_memory(self, inputs: np.ndarray, steps: int = 1) -> tuple[np.ndarray, ...]:
        """What every layer stores, as it lies in memory: uint8 [N, out_bytes] for each."""
        return self._traced(inputs, _POISON, steps)

    def _traced(self, inputs: np.ndarray, poison: int, steps: int = 1) -> tuple[np.ndarray, ...]:
        _, traces = self._run(inputs, steps, traced=True, poison=poison)
        ends = itertools.accumulate(layer.out_bytes for layer in self.manifest.layers)
        places = zip(self.manifest.layers, ends, strict=True)
        return tuple(traces[:, end - layer.out_bytes : end] for layer, end in places)

    def trace(self, inputs: np.ndarray, steps: int = 1) -> dict[str, np.ndarray]:
        """What every layer stores, by the program's name of the value (see `run_batch`)."""
        return decode_layers(self.manifest, self.layer_memory(inputs, steps))

    def _run(
        self, inputs: np.ndarray, steps: int, *, traced: bool = False, poison: int = _POISON
    ) -> tuple[np.ndarray, np.ndarray]:
        memory = np.ascontiguousarray(encode_input(self.manifest.input, inputs))
        count = len(memory)
        outputs = np.empty((count, self.manifest.output.bytes), np.uint8)
        trace_bytes = (
            sum(tensor.bytes for tensor, _ in stored_tensors(self.manifest)) if traced else 0
        )
        traces = np.empty((count, trace_bytes), np.uint8)
        ffi = self._library.ffi
        status = self._batch(
            ffi.from_buffer(memory),
            ffi.from_buffer(outputs),
            ffi.from_buffer(traces) if trace_bytes else ffi.NULL,
            count,
            steps,
            poison,
        )
        _judge(self.manifest, status)
        return outputs, traces


def run_sanitized(folder: Path, inputs: np.ndarray) -> np.ndarray:
    """The outputs for `inputs`, from C built with the address and undefined-behaviour sanitizers.

    Raises:
        McugenError: as `HostModel.run_batch`, and the sanitizer's report where it found something.
    """
    return run_several_sanitized([folder], [inputs])[0]


def run_several_sanitized(
    folders: Sequence[Path], inputs: Sequence[np.ndarray], steps: int = 1
) -> list[np.ndarray]:
    """As `run_sanitized` for many models, compiled into one program; their names must differ."""
    sources = _sources(folders)
    with scratch_folder() as work:
        (work / "main.c").write_text(
            render("host/main.c.j2", models=[item.manifest for item in sources])
        )
        program = work / "program"
        # Lines for reports; following variables would take minutes in long straight-line code.
        _compile(sources, work, program, ["-O1", "-g1", *SANITIZERS], ["main.c"])
        arguments: list[str] = []
        for index, (source, samples) in enumerate(zip(sources, inputs, strict=True)):
            memory = encode_input(source.manifest.input, samples)
            (work / f"{index}.in").write_bytes(memory.tobytes())
            paths = [str(work / f"{index}.{end}") for end in ("in", "out")]
            arguments += [str(index), str(len(memory)), str(steps), *paths]
        done = run([str(program), *arguments])
        if done.returncode != 0:
            raise fail(
                "host",
                "the emitted C failed under the sanitizers",
                at=", ".join(item.manifest.name for item in sources),
                got=done.stderr.strip()[-4000:] or f"exit code {done.returncode}",
            )
        return [
            _decode_file(source.manifest.output, work / f"{index}.out")
            for index, source in enumerate(sources)
        ]


def _decode_file(tensor: Tensor, path: Path) -> np.ndarray:
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    return decode_output(tensor, raw.reshape(-1, tensor.bytes))


def stored_tensors(manifest: Manifest) -> list[tuple[Tensor, str]]:
    """What each layer stores and the program's name of it; scales are not known here."""
    return [
        (
            Tensor(
                shape=layer.out_shape,
                dtype=layer.out_dtype,
                bytes=layer.out_bytes,
                lo=0,
                hi=0,
                scale=1.0,
                zero_point=0,
                torch_shape=layer.out_shape,
            ),
            layer.value,
        )
        for layer in manifest.layers
    ]


def decode_layers(manifest: Manifest, memory: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Integers by the program's names, from what each layer stores: uint8 [N, out_bytes] each."""
    stored = zip(stored_tensors(manifest), memory, strict=True)
    return {name: decode_output(tensor, rows) for (tensor, name), rows in stored}


def _judge(manifest: Manifest, status: int) -> None:
    if status > 0:
        layer = manifest.layers[status - 1]
        raise fail(
            "host",
            f"layer {layer.name} writes outside of its output and scratch memory",
            at=f"{layer.function}, kernel {layer.kernel}",
        )
    if status != 0:
        raise fail("host", f"{manifest.name}_run reported an error")


def _sources(folders: Sequence[Path]) -> list[Sources]:
    sources = [Sources(folder.resolve(), read_manifest(folder)) for folder in folders]
    names = [source.manifest.name for source in sources]
    if len(set(names)) < len(names):
        raise fail("host", "two models of one name", got=", ".join(sorted(names)))
    return sources


@dataclass(frozen=True)
class _Library:
    ffi: cffi.FFI
    code: object


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mcugen" / "host"


def _library(sources: Sequence[Sources], optimize: str) -> _Library:
    """The shared library of `sources`, compiled unless the cache has it."""
    flags = [optimize, "-shared", "-fPIC"]
    digest = hashlib.sha256("\0".join(flags).encode())
    for source in sources:
        digest.update(_harness(source).encode())
        for path in [source.folder / name for name in source.manifest.files]:
            digest.update(path.read_bytes())
    path = _cache() / f"{digest.hexdigest()}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as work:
            built = work / "library.so"
            _compile(sources, work, built, flags, [])
            built.replace(path)
    ffi = cffi.FFI()
    for source in sources:
        ffi.cdef(
            f"int {source.manifest.name}_host_batch(const unsigned char *, unsigned char *,"
            " unsigned char *, uint32_t, uint32_t, unsigned char);"
        )
    return _Library(ffi, ffi.dlopen(str(path)))


def _harness(source: Sources) -> str:
    """C that includes one model whole and runs batches through it."""
    manifest = source.manifest
    return render(
        "host/harness.c.j2",
        name=manifest.name,
        sources=[f"{manifest.name}/{path.name}" for path in source.files],
        layers=manifest.layers,
    )


def _compile(
    sources: Sequence[Sources], work: Path, output: Path, flags: list[str], units: list[str]
) -> None:
    """Compile the models, and `units` in `work`, from copies in `work` by one run of gcc."""
    for source in sources:
        manifest = source.manifest
        folder = work / manifest.name
        folder.mkdir()
        for name in manifest.files:
            shutil.copyfile(source.folder / name, folder / name)
        harness = f"{manifest.name}.c"
        (work / harness).write_text(_harness(source))
        units = [*units, harness]
    run_checked(gcc.compile_host(units, output, flags), cwd=work)
