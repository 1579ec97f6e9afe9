"""The serial protocol under noise: `scripts/fuzz-protocol firmware|host|line --inputs N --seed S`.

* `firmware`: tests/run/fuzz_protocol.c under libFuzzer; an input is a program of right and damaged
  frames, text and raw bytes. libFuzzer prints a finding and the file that repeats it.
* `host`: streams of replies and noise into the host's side (`scripts/fuzz_lib/replies.py`).
* `line`: tests/run/line_noise.c; a frame disturbed on the line, and a clean one behind it.

The C is built with the address and undefined-behaviour sanitizers. Ends with 0 if nothing is found.
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
from mcugen.report.console import progress, say
from mcugen.resources import data_root
from mcugen.run.protocol import MESSAGES
from mcugen.target.boards import load_board
from scripts.fuzz_lib import replies
from tests.build.tiny_model import write_tiny_model

HARNESSES = Path(__file__).parents[2] / "tests" / "run"
FINDINGS = Path("build/fuzz/protocol")

_SANITIZE = ("-g", "-O1", "-fno-sanitize-recover=all")
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
    words: str


def _compile(folder: Path, sanitizers: str, harness: str, *others: str) -> Path:
    """The program of `harness`, in `folder`, where its generated headers go too."""
    tools.require("clang")
    (folder / "protocol_messages.h").write_text(render_protocol_messages())
    (folder / "target.h").write_text(render_target(load_board("stm32f446"), "5a" * 32))
    program = folder / Path(harness).stem
    argv = [
        *("clang", *gcc.WARNINGS, *_SANITIZE, f"-fsanitize={sanitizers}", *_MODEL),
        *(f"-I{folder}", f"-I{data_root() / 'firmware'}", f"-I{HARNESSES}"),
        *(str(HARNESSES / harness), *others, "-o", str(program)),
    ]
    tools.run_checked(argv)
    return program


def build(folder: Path) -> Path:
    """The fuzzer, in `folder`, and a folder `corpus` beside it with what it starts from.

    Raises:
        McugenError: no clang, or C that does not compile.
    """
    write_tiny_model(folder, edits=_FAILING)
    sanitizers = "fuzzer,address,undefined"
    program = _compile(folder, sanitizers, "fuzz_protocol.c", str(folder / "model.c"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, data in _first_inputs().items():
        (corpus / name).write_bytes(data)
    return program


def build_line(folder: Path) -> Path:
    """The noisy line, in `folder`.

    Raises:
        McugenError: as `build`.
    """
    return _compile(folder, "address,undefined", "line_noise.c")


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
    told = re.search(r"^frames made: (\d+)$", done.stderr, re.M)
    words = "" if done.returncode == 0 and told else done.stderr
    return Fuzzed(inputs, int(told[1]) if told else 0, words)


def _firmware(inputs: int, seed: int) -> int:
    with scratch_folder() as folder:
        result = fuzz(build(folder), inputs, seed, FINDINGS)
    if result.words:
        say(result.words)
        return 1
    say(f"{result.inputs:,} inputs, {result.frames:,} frames, no finding")
    return 0


def _host(inputs: int, seed: int) -> int:
    with progress("streams", inputs) as advance:
        try:
            found = replies.run(inputs, seed, advance)
        except AssertionError as error:
            say(str(error))
            return 1
    say(
        f"{inputs:,} streams, {found.bytes:,} bytes, no finding: {found.answers:,} answers, "
        f"{found.refusals:,} refusals, {found.broken:,} without either"
    )
    return 0


def _line(inputs: int, seed: int) -> int:
    with scratch_folder() as folder:
        program = build_line(folder)
        return subprocess.run([str(program), str(inputs), str(seed)], check=False).returncode


_SIDES = {"firmware": _firmware, "host": _host, "line": _line}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz-protocol", description=__doc__.split("\n")[0]
    )
    parser.add_argument("side", choices=_SIDES, help="what the noise goes into")
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N", help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="of what is random; not 0")
    arguments = parser.parse_args()
    started = time.monotonic()
    code = _SIDES[arguments.side](arguments.inputs, arguments.seed)
    say(f"{time.monotonic() - started:.0f} s")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except McugenError as error:
        say(str(error))
        sys.exit(2)
