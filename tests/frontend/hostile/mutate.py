"""Damages an archive in many ways and reads every result.

    python -m tests.frontend.hostile.mutate ARCHIVE FIRST COUNT

Mutant number n of an archive is always the same, so `ARCHIVE n 1` replays one. Prints one JSON
object: how often each answer came, the slowest reading, the peak of memory.
"""

import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcugen.errors import McugenError
from mcugen.frontend.archive import read_archive
from mcugen.frontend.graph import ExportedGraph
from tests.frontend.hostile.builders import CONSTANTS, MODEL, WEIGHTS, archive, entries
from tests.frontend.hostile.probe import peak_mib


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """A copy with a few bytes changed, a part cut out, repeated or moved, or the end cut off."""
    raw = bytearray(data)
    start, size = rng.randrange(len(raw)), rng.choice((1, 2, 4, 30, 1000))
    kind = rng.randrange(6)
    if kind == 0:
        del raw[start:]
    elif kind == 1:
        del raw[start : start + size]
    elif kind == 2:
        raw[start:start] = raw[start : start + size]
    elif kind == 3:
        other = rng.randrange(len(raw))
        raw[start : start + size] = raw[other : other + size]
    else:
        # Half of all go to the directory at the end, which is small.
        low = 0 if kind == 4 else max(0, len(raw) - 3000)
        for _ in range(rng.choice((1, 1, 3, 8))):
            raw[rng.randrange(low, len(raw))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x2E))
    return bytes(raw)


JUNK: tuple[Any, ...] = (
    *(None, True, "", "x", "as_int", "../../x", "a\n*/ int", "\ud800", "N" * 5000, "NaN"),
    *(0, -1, 1, 7, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e308),
    *([], {}, [[]], {"as_none": True}, {"as_int": 2**31 - 1}, {"as_tensor": {"name": "x"}}),
    {"as_expr": {"expr_str": "__import__('os').abort()", "hint": None}},
    [{"as_int": 2**20}] * 4,
)


def containers(document: Any) -> Iterator[Any]:
    """All objects and arrays inside a document that have something in them."""
    if isinstance(document, dict | list) and document:
        yield document
        for item in document.values() if isinstance(document, dict) else document:
            yield from containers(item)


def mutated_json(rng: random.Random, document: Any) -> bytes:
    """The document with one to three fields replaced, removed, repeated or swapped."""
    document = json.loads(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(containers(document))
        if not places:
            break
        place = rng.choice(places)
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys)
        kind = rng.randrange(5)
        if kind == 0:
            place[key] = copy.deepcopy(rng.choice(JUNK))
        elif kind == 1:
            del place[key]
        elif kind == 2:
            place[key] = copy.deepcopy(rng.choice(places))
        elif kind == 3:
            other = rng.choice(keys)
            place[key], place[other] = place[other], place[key]
        elif isinstance(place, list):
            place.insert(key, copy.deepcopy(place[key]))
        elif isinstance(place[key], int):
            place[key] += rng.choice((-1, 1, 2**16))
    return json.dumps(document).encode()


def mutant(honest: bytes, number: int) -> bytes:
    """Damaged in its bytes when the number is even, in one of its JSON entries when odd."""
    rng = random.Random(number)
    if number % 2 == 0:
        return mutated_bytes(rng, honest)
    root, content = entries(honest)
    entry = rng.choice((MODEL, MODEL, MODEL, WEIGHTS, CONSTANTS))
    return archive(root, {**content, entry: mutated_json(rng, content[entry])})


def answer(path: Path) -> str:
    """`read`, or the first line of the error; anything but a McugenError escapes."""
    try:
        check(read_archive(path))
        return "read"
    except McugenError as error:
        text = str(error)
        assert path.name in text, text
        assert all(line.isprintable() for line in text.split("\n")), ascii(text)
        return text.split("\n")[0]


def check(graph: ExportedGraph) -> None:
    """What lowering may rely on."""
    known = {*graph.inputs, *graph.tensors}
    for node in graph.nodes:
        known.update(node.outputs)
        assert node.target.count(".") == 2
    assert known <= graph.metas.keys()
    assert set(graph.outputs) <= known
    for name, array in graph.tensors.items():
        assert array.shape == graph.metas[name].shape


def main() -> None:
    """Run the mutants named on the command line."""
    honest = Path(sys.argv[1]).read_bytes()
    first, count = int(sys.argv[2]), int(sys.argv[3])
    answers: Counter[str] = Counter()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.pt2"
        for number in range(first, first + count):
            path.write_bytes(mutant(honest, number))
            started = time.perf_counter()
            try:
                answers[answer(path)] += 1
            except Exception:
                print(f"mutant {number}", file=sys.stderr)
                raise
            slowest_s = max(slowest_s, time.perf_counter() - started)
    print(json.dumps({"answers": answers, "slowest_s": slowest_s, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
