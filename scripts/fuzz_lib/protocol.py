"""The portable firmware under libFuzzer: `scripts/fuzz-protocol --inputs 10000000 --seed 1`.

Builds tests/run/fuzz_protocol.c with the address and undefined-behaviour sanitizers and runs it on
so many inputs, each a program of right and damaged frames, text and raw bytes. Ends with 0 if
nothing was found; else libFuzzer prints the finding and the file that repeats it.
"""

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.headers import render_protocol_messages, render_target
from mcugen.errors import McugenError
from mcugen.interrupts import scratch_folder
from mcugen.report.console import say
from mcugen.resources import data_root
from mcugen.run.protocol import MESSAGES
from mcugen.target.boards import load_board
from tests.build.tiny_model import write_tiny_model

HARNESS = Path(__file__).parents[2] / "tests" / "run" / "fuzz_protocol.c"
FINDINGS = Path("build/fuzz/protocol")

_SANITIZE = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
_MODEL = ("-DMODEL_PREFIX=tiny", "-DMODEL_MACRO=TINY", "-DMODEL_LAYER_HOOK=session_layer_hook")
#: Lets the harness bound how often one input runs the model, and exercises its failure.
_FAILING = {
    "    LAYER(0u);": "    if (model_fails()) { return TINY_ERROR_NULL; }\n    LAYER(0u);",
    '#include "model.h"': '#include "model.h"\nint model_fails(void);',
}


@dataclass(frozen=True)
class Fuzzed:
    """What a run did; `words` are libFuzzer's where it found something, else empty."""

    inputs: int
    frames: int
    seconds: float
    words: str


def build(folder: Path) -> Path:
    """The fuzzer, in `folder`, and a folder `corpus` beside it with what it starts from.

    Raises:
        McugenError: no clang, or C that does not compile.
    """
    tools.require("clang")
    write_tiny_model(folder, edits=_FAILING)
    (folder / "protocol_messages.h").write_text(render_protocol_messages())
    (folder / "target.h").write_text(render_target(load_board("stm32f446"), "5a" * 32))
    include = [f"-I{folder}", f"-I{data_root() / 'firmware'}"]
    units = [str(HARNESS), str(folder / "model.c")]
    program = folder / "fuzzer"
    argv = ["clang", *gcc.WARNINGS, *_SANITIZE, *_MODEL, *include, *units, "-o", str(program)]
    tools.run_checked(argv)
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, data in _first_inputs().items():
        (corpus / name).write_bytes(data)
    return program


def _first_inputs() -> dict[str, bytes]:
    """An input for each message, all its fields zero, and one for all commands in text.

    Bytes are those that `step` and `any_frame` of the harness read.
    """
    inputs = {"text": b"".join(bytes([4, word]) for word in range(16))}
    for message in MESSAGES:
        size = message.request.bytes_min
        inputs[message.name] = bytes([0, size, 100, message.code, 1]) + bytes(size)
    return inputs


def fuzz(program: Path, inputs: int, seed: int, findings: Path) -> Fuzzed:
    """Run `program` on `inputs` inputs; a file that repeats a finding goes to `findings`."""
    findings.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    done = subprocess.run(
        [
            str(program),
            f"-runs={inputs}",
            f"-seed={seed}",
            "-max_len=512",
            "-timeout=60",
            "-verbosity=0",
            f"-artifact_prefix={findings}/",
            str(program.with_name("corpus")),
        ],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - started
    told = re.search(r"^frames made: (\d+)$", done.stderr, re.M)
    words = "" if done.returncode == 0 and told else done.stderr
    return Fuzzed(inputs, int(told[1]) if told else 0, seconds, words)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz-protocol", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N", help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer; not 0")
    arguments = parser.parse_args()
    with scratch_folder() as folder:
        result = fuzz(build(folder), arguments.inputs, arguments.seed, FINDINGS)
    if result.words:
        say(result.words)
        return 1
    say(f"{result.inputs:,} inputs, {result.frames:,} frames, no finding, {result.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except McugenError as error:
        say(str(error))
        sys.exit(2)
