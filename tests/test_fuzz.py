"""Scoreboard rows 1 and 2: random programs agree on every back end, and reach every kernel.

`scripts/fuzz` runs more of them; the seeds here never change, so that a commit is judged alike.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import Emitted, emit
from mcugen.ir import Program, interp, ops, text
from mcugen.plan.choice import Wishes
from mcugen.target.cores import Core, core_named
from scripts.fuzz_lib import __main__ as command
from scripts.fuzz_lib import backends, bugs
from scripts.fuzz_lib.campaign import explain
from scripts.fuzz_lib.reach import Reach
from scripts.fuzz_lib.samples import samples
from scripts.fuzz_lib.shrink import shrink
from scripts.fuzz_lib.tightness import Tightness
from tests.programs import random_program

FIRST, MODELS, BATCH = 15_000, 200, 50
M0_PLUS = core_named("cortex-m0plus")


@pytest.mark.parametrize("first", range(FIRST, FIRST + MODELS, BATCH))
def test_every_back_end_agrees(first: int) -> None:
    """On a failure, `scripts/fuzz --replay SEED` (SEED behind the p) shrinks the program."""
    findings, _ = backends.compare(random_program(first + i) for i in range(BATCH))
    assert findings == []


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return [random_program(seed) for seed in range(FIRST, FIRST + MODELS)]


def test_the_seeds_reach_all_kernels_and_ops_on_all_cores(programs: list[Program]) -> None:
    reach = Reach()
    for core in backends.CORES:
        wishes = {item.name: backends.any_kernels(item, core) for item in programs}
        emitted = [emit(item, core, item.name, wishes=wishes[item.name]) for item in programs]
        reach.count(programs, [(core.name, item) for item in emitted])
    assert reach.missing == []


def test_intervals_hold_and_are_attained_where_whole_windows_are_inside(
    programs: list[Program],
) -> None:
    tightness = Tightness()
    tightness.measure(programs)
    assert tightness.bounds > 200
    assert tightness.outside == 0
    assert tightness.whole_attained == tightness.whole > tightness.bounds // 2


def test_samples_hold_the_extremes_and_are_stable() -> None:
    program = random_program(FIRST)
    few, many = samples(program, 8), samples(program, 30)
    np.testing.assert_array_equal(many[: len(few)], few)
    kind = program.inputs[0].type.integer
    assert (few.min(), few.max()) == (kind.lo, kind.hi)
    assert any((sample == kind.lo).all() for sample in few)


def _with_a_bug(program: Program, core: Core, name: str, wishes: Wishes) -> Emitted:
    """As `emit`, but every threshold looks the wrong way."""
    thresholds = [node.op for node in program.nodes if isinstance(node.op, ops.Threshold)]
    wrong = {op.direction for op in thresholds}
    consts = (replace(c, data=-c.data) if c.name in wrong else c for c in program.consts)
    return emit(replace(program, consts=tuple(consts)), core, name, wishes=wishes)


def test_a_bug_in_the_c_is_found_and_shrunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backends, "emit", _with_a_bug)
    seeds = range(FIRST, FIRST + 200)
    found = {
        seed: backends.compare([random_program(seed)], [M0_PLUS])[0]
        for seed in [s for s in seeds if _ops(random_program(s)).count("threshold") == 2][:8]
    }
    seed, findings = next((seed, findings) for seed, findings in found.items() if findings)
    assert {item.stage for item in findings} == {"host", "emulation"}
    failure = explain(findings[-1], tmp_path, seconds=30)
    assert failure.replay == f"scripts/fuzz --replay {seed}"
    path = tmp_path / f"p{seed}.mir"
    small = text.parse(path.read_text(), text.load_constants(path.with_suffix(".npz")))
    assert text.to_text(small) == failure.program
    assert _ops(small) == ["threshold"]
    assert small.inputs[0].type.size == 1


def test_shrinking_keeps_what_fails() -> None:
    seeds = range(FIRST, FIRST + 200)
    program = next(p for p in map(random_program, seeds) if {"conv2d", "mul"} <= set(_ops(p)))
    small = shrink(program, lambda candidate: "conv2d" in _ops(candidate), seconds=30)
    (node,) = small.nodes
    assert small.inputs[0].type.size <= 3  # a window of three rows is not made smaller
    assert node.op.attributes == ops.Conv2d("%x", "@w").attributes
    assert interp.run(small, samples(small, 4)).size


def _ops(program: Program) -> list[str]:
    return [node.op.mnemonic for node in program.nodes]


def test_the_command_replays_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--replay", str(FIRST), "--cores", "cortex-m3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["seed"], document["models"], document["failures"]) == (FIRST, 1, [])
    assert {cell["core"] for cell in document["reach"]} == {"cortex-m3"}


@pytest.mark.parametrize("bug", bugs.BUGS, ids=lambda bug: bug.file)
def test_a_known_bug_still_has_its_place(bug: bugs.Bug, tmp_path: Path) -> None:
    """`scripts/fuzz-bugs` plants each and looks for it; here the copy only must take it."""
    bugs.plant(bug, tmp_path)
    text = (tmp_path / bug.file).read_text(encoding="utf-8")
    assert text != (bugs.ROOT / bug.file).read_text(encoding="utf-8")


def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bugs, "BATCH", 20)
    bug = next(bug for bug in bugs.BUGS if bug.file.endswith("concat.c.j2"))
    found = bugs.search(bug, FIRST, most=60)
    assert found.models is not None
    assert found.stage in (backends.HOST, backends.EMULATION)
