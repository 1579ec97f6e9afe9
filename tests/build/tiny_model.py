"""A hand-written model that keeps the contract of the emitted C: 16 bytes in, 4 sums out."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcugen.emit.manifest import FILE_NAME, Dtype, Layer, Manifest, Ram, Source, Tensor

WEIGHTS = np.array([(i + 1) * (-1) ** i for i in range(16)], np.int32)

MODEL_H = """
#ifndef TINY_H
#define TINY_H
#include <stdint.h>
#define TINY_INPUT_BYTES 16u
#define TINY_INPUT_COUNT 16u
#define TINY_INPUT_ZERO_POINT (0)
#define TINY_OUTPUT_BYTES 16u
#define TINY_OUTPUT_COUNT 4u
#define TINY_OUTPUT_ZERO_POINT (0)
#define TINY_OUTPUT_SCALE_NUMERATOR 1
#define TINY_OUTPUT_SCALE_SHIFT (10)
#define TINY_ARENA_BYTES @ARENA@u
#define TINY_CONTEXT_BYTES @ARENA@u
#define TINY_LAYER_COUNT 2u
#ifndef MODEL_ARENA_SECTION
#define MODEL_ARENA_SECTION
#endif
typedef struct tiny_s { uint32_t arena[TINY_ARENA_BYTES / 4u]; } tiny_t;
typedef enum { TINY_OK = 0, TINY_ERROR_NULL = -1 } tiny_status;
tiny_status tiny_init(tiny_t *net);
tiny_status tiny_reset(tiny_t *net);
uint8_t *tiny_input(tiny_t *net);
const int32_t *tiny_output(const tiny_t *net);
tiny_status tiny_run(tiny_t *net);
const char *tiny_layer_name(uint32_t layer);
#endif
"""

MODEL_C = """
#include "model.h"
#include <string.h>
#ifdef MODEL_LAYER_HOOK
void MODEL_LAYER_HOOK(uint32_t layer);
#define LAYER(i) MODEL_LAYER_HOOK(i)
#else
#define LAYER(i) ((void)0)
#endif

static const int16_t tiny_weights[16] = {
    1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16,
};

tiny_status tiny_init(tiny_t *net)
{
    if (net == NULL) {
        return TINY_ERROR_NULL;
    }
    memset(net->arena, 0, sizeof(net->arena));
    return TINY_OK;
}

tiny_status tiny_reset(tiny_t *net)
{
    return net == NULL ? TINY_ERROR_NULL : TINY_OK;
}

uint8_t *tiny_input(tiny_t *net)
{
    return (uint8_t *)net->arena;
}

const int32_t *tiny_output(const tiny_t *net)
{
    return (const int32_t *)(const void *)&net->arena[4];
}

/* In place, so that the input is gone after a run. */
__attribute__((noinline)) static void tiny_square(uint8_t *x)
{
    for (uint32_t i = 0u; i < 16u; i++) {
        x[i] = (uint8_t)(((uint32_t)x[i] * x[i]) & 0xFFu);
    }
}

__attribute__((noinline)) static void tiny_sum(const uint8_t *x, int32_t *y)
{
    for (uint32_t row = 0u; row < 4u; row++) {
        int32_t sum = 0;
        for (uint32_t i = 0u; i < 16u; i++) {
            sum += (int32_t)x[i] * tiny_weights[(i + row) & 15u];
        }
        y[row] = sum;
    }
}

tiny_status tiny_run(tiny_t *net)
{
    if (net == NULL) {
        return TINY_ERROR_NULL;
    }
    LAYER(0u);
    tiny_square((uint8_t *)net->arena);
    LAYER(1u);
    tiny_sum((const uint8_t *)net->arena, (int32_t *)(void *)&net->arena[4]);
    LAYER(TINY_LAYER_COUNT);
    return TINY_OK;
}

const char *tiny_layer_name(uint32_t layer)
{
    return layer == 0u ? "square" : "sum";
}
"""


def expected_outputs(inputs: np.ndarray) -> np.ndarray:
    """What the model computes from rows of 16 uint8."""
    squares = inputs.astype(np.int32) ** 2 % 256
    rows = [squares @ np.roll(WEIGHTS, -row) for row in range(4)]
    return np.stack(rows, axis=1).astype(np.int32)


def random_inputs(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (samples, 16), np.uint8)


def _tensor(dtype: str, shape: tuple[int, ...], size: int) -> Tensor:
    return Tensor.model_validate(
        {
            "shape": shape,
            "dtype": dtype,
            "bytes": size,
            "lo": 0,
            "hi": 255,
            "scale": 1.0,
            "zero_point": 0,
            "torch_shape": shape,
        }
    )


def _layer(name: str, dtype: Dtype, offset: int) -> Layer:
    return Layer(
        name=name,
        op=name,
        kernel=name,
        function=f"tiny_{name}",
        source=None,
        in_shape=(1, 16),
        out_shape=(1, 16),
        macs=16,
        weight_bits=16,
        activation_bits=8,
        weight_bytes=32,
        table_bytes=0,
        scratch_bytes=0,
        value=f"%{name}",
        out_dtype=dtype,
        out_offset=offset,
        out_bytes=16,
    )


def _sha256(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def write_tiny_model(
    folder: Path,
    *,
    arena: int = 48,
    edits: Mapping[str, str] | None = None,
    core: str = "cortex-m4",
) -> Manifest:
    """Write model.h and model.c with `edits` (old: new) applied, and the manifest into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    header, source = folder / "model.h", folder / "model.c"
    texts = {header: MODEL_H.replace("@ARENA@", str(arena)), source: MODEL_C}
    for old, new in (edits or {}).items():
        assert any(old in text for text in texts.values())
        texts = {path: text.replace(old, new) for path, text in texts.items()}
    for path, text in texts.items():
        path.write_text(text)
    manifest = Manifest(
        generator="hand",
        name="tiny",
        source=Source(file="tiny.pt2", sha256="0" * 64),
        digest=_sha256(header, source),
        files={"model.h": _sha256(header), "model.c": _sha256(source)},
        core=core,
        board=None,
        input=_tensor("uint8", (1, 16), 16),
        output=_tensor("int32", (1, 4), 16),
        output_function=None,
        macs=32,
        weight_bytes=32,
        table_bytes=0,
        ram=Ram(arena=arena, lower_bound=32, context=arena),
        layers=(_layer("square", "uint8", 0), _layer("sum", "int32", 16)),
    )
    (folder / FILE_NAME).write_text(manifest.to_json())
    return manifest
