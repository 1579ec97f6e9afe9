"""Damages .tflite files in many ways, and reads and lowers every result.

    python -m tests.frontend.tflite.mutate FIRST COUNT

Mutant number n is always the same, so `n 1` replays one. Prints one JSON object: how often each
answer came, the slowest, and the peak of memory.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.frontend.tflite import load
from tests.frontend.hostile.mutate import mutated_bytes
from tests.frontend.hostile.probe import peak_mib
from tests.frontend.tflite.random_models import KINDS, built
from tests.frontend.tflite.writer import OperatorSpec, TensorSpec, Writer

#: Numbers that are wrong nearly anywhere.
JUNK = (-1, 0, 1, 2, 7, 127, 128, 255, 65535, 2**20, 2**24, 2**31 - 1, -(2**31))
SCALES = (0.0, -1.0, 1e-45, 1e38, float("nan"), float("inf"), 1e-9, 1.0)


def mutant(number: int) -> bytes:
    """Half are files with wrong numbers inside, half have damaged bytes."""
    rng = random.Random(number)
    kind = rng.choice(list(KINDS))
    model = built(rng.randrange(1000), kind)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        _mutate(rng, model.writer)
    inputs, outputs = [0], [model.made[-1].index]
    if rng.random() < 0.05:
        inputs, outputs = rng.choice(([], [0, 0], [99])), rng.choice(([], [-1], [99], outputs))
    data = model.writer.write(inputs, outputs)
    for _ in range(rng.choice((0, 0, 1, 3))):
        data = mutated_bytes(rng, data) or b"\0"
    return data


def _mutate(rng: random.Random, writer: Writer) -> None:
    if rng.random() < 0.5:
        place = rng.randrange(len(writer.tensors))
        writer.tensors[place] = _wrong_tensor(rng, writer.tensors[place])
    else:
        place = rng.randrange(len(writer.operators))
        writer.operators[place] = _wrong_operator(rng, writer.operators[place], writer)


def _wrong_tensor(rng: random.Random, spec: TensorSpec) -> TensorSpec:
    def extents() -> tuple[int, ...]:
        shape = list(spec.shape) or [1]
        shape[rng.randrange(len(shape))] = rng.choice(JUNK)
        return tuple(shape) * rng.choice((1, 1, 1, 3))

    changes: list[dict[str, Any]] = [
        {"shape": extents()},
        {"shape": spec.shape[:-1]},
        {"kind": rng.randrange(20)},
        {"scales": tuple(rng.choice(SCALES) for _ in spec.scales)},
        {"scales": (0.1,) * rng.choice((0, 2, 3)), "zeros": (0,) * rng.choice((0, 2, 3))},
        {"zeros": tuple(rng.choice(JUNK) for _ in spec.zeros)},
        {"axis": rng.choice(JUNK)},
        {"variable": True},
        {"data": None},
    ]
    if spec.data is not None:
        # Of the same size: other sizes come from other shapes.
        flat = np.array([rng.choice(JUNK) for _ in range(min(spec.data.size, 99))])
        changes += [{"data": np.resize(flat, spec.data.shape)}] * 3
    if spec.kind not in (2, 7, 9, 17):
        return spec
    changed = replace(spec, **rng.choice(changes))
    if changed.data is not None and changed.kind not in (0, 2, 3, 4, 7, 9, 17):
        return spec
    return changed


def _wrong_operator(rng: random.Random, spec: OperatorSpec, writer: Writer) -> OperatorSpec:
    def indices(old: tuple[int, ...]) -> tuple[int, ...]:
        new = list(old)
        new[rng.randrange(len(new))] = rng.choice((-1, -2, 2**31 - 1, len(writer.tensors), 0, 1, 2))
        return tuple(new)[: rng.choice((1, 2, 9))]

    changes: list[dict[str, Any]] = [
        {"inputs": indices(spec.inputs)},
        {"inputs": spec.inputs[::-1]},
        {"outputs": indices(spec.outputs)},
        {"code": rng.choice((0, 1, 3, 9, 14, 25, 28, 32, 41, 127, 150, 209, 5000))},
    ]
    if spec.table:
        changes.append({"table": "", "options": {}})
    numeric = [name for name, value in spec.options.items() if type(value) is int]
    signed = [name for name in numeric if name not in ("Padding", "FusedActivationFunction")]
    if signed:
        changes += [{"options": {**spec.options, rng.choice(signed): rng.choice(JUNK)}}] * 3
    return replace(spec, **rng.choice(changes))


def answer(data: bytes, path: Path) -> str:
    """What reading and lowering gave."""
    path.write_bytes(data)
    try:
        load(path)
    except McugenError as error:
        return f"refused: {error.stage}"
    return "lowered"


def main(first: int, count: int) -> None:
    answers: Counter[str] = Counter()
    slowest = (0.0, -1)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            data, begin = mutant(number), time.perf_counter()
            try:
                answers[answer(data, Path(folder) / "mutant.tflite")] += 1
            except Exception as error:
                print(f"mutant {number}: {type(error).__name__}: {error}", file=sys.stderr)
                answers["crashed"] += 1
            slowest = max(slowest, (time.perf_counter() - begin, number))
    result = {"answers": answers, "slowest": slowest, "peak_mib": peak_mib()}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
