"""Texts of programs to emulate: assembly, and a model of two layers that obeys contract 2."""

from collections.abc import Callable

from mcugen.profile.emulator import Emulator

#: `assemble(source, core)`, the fixture's type.
Assemble = Callable[..., Emulator]


def function(name: str, *lines: str) -> str:
    """Assembly of one function; lines that end in a colon are labels."""
    body = "\n".join(line if line.endswith(":") else f"    {line}" for line in lines)
    return f".global {name}\n.type {name}, %function\n.balign 16\n{name}:\n{body}\n"


MODEL_H = """\
#ifndef TINY_MODEL_H
#define TINY_MODEL_H
#include <stdint.h>
#define TINY_ARENA_BYTES 64u
typedef struct tiny_s { uint32_t arena[TINY_ARENA_BYTES / 4u]; } tiny_t;
typedef enum { TINY_OK = 0, TINY_ERROR_NULL = -1 } tiny_status;
tiny_status tiny_init(tiny_t *net);
tiny_status tiny_reset(tiny_t *net);
int8_t *tiny_input(tiny_t *net);
const int32_t *tiny_output(const tiny_t *net);
tiny_status tiny_run(tiny_t *net);
#endif
"""

#: Input: 8 int8 at byte 0. "scale": int32 = 3 x + 1 at byte 8. "total": their sum and their sum
#: of products with the weights at byte 40.
MODEL_C = """\
#include "model.h"

static const int8_t weights[8] = {1, -2, 3, -4, 5, -6, 7, -8};

tiny_status tiny_init(tiny_t *net) { return net ? TINY_OK : TINY_ERROR_NULL; }
tiny_status tiny_reset(tiny_t *net) { return tiny_init(net); }
int8_t *tiny_input(tiny_t *net) { return (int8_t *)net->arena; }
const int32_t *tiny_output(const tiny_t *net) { return (const int32_t *)(net->arena + 10); }

static __attribute__((noinline)) void tiny_scale(tiny_t *net)
{
    const int8_t *input = (const int8_t *)net->arena;
    int32_t *scaled = (int32_t *)(net->arena + 2);
    for (uint32_t i = 0; i < 8u; ++i) {
        scaled[i] = 3 * input[i] + 1;
    }
}

static __attribute__((noinline)) int32_t dot(const int32_t *values, const int8_t *factors)
{
    int32_t sum = 0;
    for (uint32_t i = 0; i < 8u; ++i) {
        sum += values[i] * factors[i];
    }
    return sum;
}

static __attribute__((noinline)) void tiny_total(tiny_t *net)
{
    const int32_t *scaled = (const int32_t *)(net->arena + 2);
    int32_t *output = (int32_t *)(net->arena + 10);
    output[0] = 0;
    for (uint32_t i = 0; i < 8u; ++i) {
        output[0] += scaled[i];
    }
    output[1] = dot(scaled, weights);
}

tiny_status tiny_run(tiny_t *net)
{
    if (!net) {
        return TINY_ERROR_NULL;
    }
    tiny_scale(net);
    tiny_total(net);
    return TINY_OK;
}
"""
