"""The C kernel of the exact sums: compiled once for this machine's processor, called by cffi."""

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import cffi
import torch
from torch import Tensor
from torch.nn import functional

from mcugen.errors import fail
from mcugen.interrupts import scratch_folder
from mcugen.tools import run_checked

#: Gradients that the kernel has, and their numbers in sums.c.
GRADIENTS = {"precise": 0, "approx1": 1, "approx2": 2}
NativeGradient = Literal["precise", "approx1", "approx2"]

_SOURCE = Path(__file__).with_name("sums.c")
_FLAGS = ["-std=gnu11", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC"]
_LANES = 16  # columns that the kernel computes at once
_WINDOW = 6  # probabilities that it keeps for each sum


def forward(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """P(sum ≥ 0) `[m, N]` for expectations x `[n, N]` and w `[n, m]`, and what `backward` needs.

    Raises McugenError without gcc, or where there is not enough memory.
    """
    x, w = _whole_blocks(x), w.contiguous()
    terms, columns = x.shape
    outputs = w.shape[1]
    z, window = x.new_empty(outputs, columns), x.new_empty(outputs, _WINDOW, columns)
    code = _library().sums_forward
    _judge(code(_at(x), _at(w), terms, outputs, columns, _at(z), _at(window)))
    return z, window


def backward(
    x: Tensor, w: Tensor, window: Tensor, gz: Tensor, gradient: str, to_x: bool
) -> tuple[Tensor | None, Tensor]:
    """Gradients by P(x = +1) `[n, N]` (if `to_x`) and P(w = +1) `[n, m]`, from that by z `[m, N]`.

    Raises McugenError where there is not enough memory.
    """
    count = x.shape[1]
    x, w, gz = _whole_blocks(x), w.contiguous(), _whole_blocks(gz)
    gx, gw = torch.zeros_like(x) if to_x else None, torch.empty_like(w)
    shape = _ffi().new("int[3]", [x.shape[0], w.shape[1], x.shape[1]])
    pointer = _ffi().NULL if gx is None else _at(gx)
    inputs = (_at(x), _at(w), _at(window), _at(gz))
    _judge(_library().sums_backward(*inputs, GRADIENTS[gradient], shape, pointer, _at(gw)))
    return None if gx is None else gx[:, :count], gw


def _whole_blocks(columns: Tensor) -> Tensor:
    """Columns added until the kernel's blocks are whole; sums of them are of no interest."""
    missing = -columns.shape[1] % _LANES
    return functional.pad(columns, (0, missing)) if missing else columns.contiguous()


def _at(tensor: Tensor) -> Any:
    return _ffi().cast("float *", tensor.data_ptr())


def _judge(status: int) -> None:
    if status != 0:
        raise fail("train", "not enough memory for the exact sums", help="--batch-size less")


@functools.cache
def _ffi() -> cffi.FFI:
    ffi = cffi.FFI()
    ffi.cdef(
        "int sums_forward(const float *, const float *, int, int, int, float *, float *);"
        "int sums_backward(const float *, const float *, const float *, const float *, int,"
        " const int *, float *, float *);"
    )
    return ffi


@functools.cache
def _library() -> Any:
    """The compiled kernel, from the user's cache where this compiler made it before."""
    # The compiler's macros name its version and what this processor has.
    macros = run_checked(["gcc", *_FLAGS, "-dM", "-E", "-x", "c", os.devnull]).stdout
    digest = hashlib.sha256("\0".join([_SOURCE.read_text(), macros, *_FLAGS]).encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "mcugen" / "train" / f"{digest.hexdigest()}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as work:
            run_checked(["gcc", *_FLAGS, "-o", str(work / path.name), str(_SOURCE)])
            (work / path.name).replace(path)
    return _ffi().dlopen(str(path))
