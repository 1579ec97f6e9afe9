"""Fusing, names and places of whole programs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.ir import Int, Source, TensorType, ops
from mcugen.ir.types import accumulator
from mcugen.plan.names import Names, checked_name, comment, model_name, string
from mcugen.plan.plan import build_plan
from mcugen.plan.steps import fuse
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.programs import random_program

U8 = Int(8, False, 0, 255)
M4 = core_named("cortex-m4")


def _thresholded(b: Builder, x: str) -> str:
    table = b.const(np.zeros((1, 1), np.int64), accumulator(-9, 9))
    direction = b.const(np.ones(1, np.int64), Int(2, True, -1, 1))
    return b.op(ops.Threshold(x, table, direction))


def test_an_epilogue_joins_the_op_that_only_it_reads() -> None:
    b = Builder(TensorType((1, 4), U8))
    acc = b.op(ops.Linear(b.x, b.const(np.eye(4), U8)))
    program = b.done(_thresholded(b, acc))
    (step,) = fuse(program).steps
    assert step.operation == "linear + threshold"
    assert step.output.name == program.output


def test_accumulators_with_two_readers_stay() -> None:
    b = Builder(TensorType((1, 4), U8))
    acc = b.op(ops.Linear(b.x, b.const(np.eye(4), U8)))
    low = _thresholded(b, acc)
    program = b.done(b.op(ops.Mul(acc, low)))
    assert [step.operation for step in fuse(program).steps] == ["linear", "threshold", "mul"]


def test_a_reshape_is_another_name() -> None:
    b = Builder(TensorType((1, 2, 2, 1), U8))
    flat = b.op(ops.Reshape(b.x, shape=(1, 4)))
    fused = fuse(b.done(_thresholded(b, flat)))
    assert fused.roots[flat] == b.x
    assert len(fused.steps) == 1


@pytest.mark.parametrize("seed", range(60))
def test_no_two_live_values_share_memory_but_by_agreement(seed: int) -> None:
    plan = build_plan(random_program(seed), M4, "p")
    assert plan.lower_bound <= plan.arena_bytes
    for layer in plan.layers:
        places = [operand.location for operand in layer.inputs]
        for place in [*places, layer.out.location]:
            assert 0 <= place.offset <= plan.arena_bytes - place.bytes
            assert place.offset % 4 == 0
        # `restrict` says what the addresses say.
        out = layer.out.location
        shared = any(
            p.offset < out.offset + out.bytes and out.offset < p.offset + p.bytes for p in places
        )
        assert ("restrict" in layer.signature) != shared


@pytest.mark.parametrize("seed", range(60))
def test_identifiers_are_unique(seed: int) -> None:
    plan = build_plan(random_program(seed), M4, "p")
    names = [layer.function for layer in plan.layers]
    names += [layer.epilogue.function for layer in plan.layers if layer.epilogue]
    names += [item.name for layer in plan.layers for item in layer.constants]
    assert len(set(names)) == len(names)
    titles = [layer.name for layer in plan.layers]
    assert len(set(titles)) == len(titles)


def test_layers_are_called_after_modules() -> None:
    b = Builder(TensorType((1, 4), U8))
    x = b.x
    for module in ("fc", "fc", "fc_2", "init", "blocks.0.fc", "fc_weights"):
        w = b.const(np.eye(4, dtype=np.int64), Int(1, False, 0, 1))
        x = b.op(ops.Linear(x, w), Source("linear", module))
        x = b.op(ops.Requantize(x, b.const([1], U8), b.const([0], U8), shift=0, lo=0, hi=255))
    plan = build_plan(b.done(x), M4, "p")
    assert [layer.name for layer in plan.layers] == [
        "fc", "fc_2", "fc_2_2", "init", "blocks.0.fc", "fc_weights",
    ]  # fmt: skip
    assert [layer.function for layer in plan.layers] == [
        "p_fc", "p_fc_2", "p_fc_2_2", "p_init_2", "p_blocks_0_fc", "p_fc_weights_2",
    ]  # fmt: skip


def test_faults_of_all_steps_come_together() -> None:
    wide = Int(32, True, -(2**31) + 1, 2**31 - 1)
    b = Builder(TensorType((1, 2), wide))
    one = b.op(ops.Add(b.x, b.x, x_factor=0, x_zero=-5, y_factor=0))
    two = b.op(ops.Add(b.x, b.x, x_factor=0, x_zero=-5, y_factor=0))
    with pytest.raises(McugenError) as caught:
        build_plan(b.done(b.op(ops.Add(one, two))), M4, "p")
    assert len(caught.value.faults) == 2


@given(st.text(), st.lists(st.text(max_size=9), max_size=5))
def test_names_never_collide(text: str, others: list[str]) -> None:
    names = Names()
    taken: set[str] = set()
    for item in [text, *others, text]:
        name = names.identifier(item, ["weights", "epilogue"])
        mine = {name.lower(), f"{name}_weights".lower(), f"{name}_epilogue".lower()}
        assert name.isascii()
        assert name.isidentifier() or name[0].isdigit()
        assert not mine & taken
        taken |= mine


@given(st.text())
def test_text_stays_inside_comments_and_strings(text: str) -> None:
    inside = comment(text)
    assert inside.isascii()
    assert inside.isprintable()
    for sequence in ("*/", "/*", "??"):
        assert sequence not in inside
    quoted = string(text)
    assert quoted.replace("\\\\", "").replace('\\"', "").count('"') == 2


@pytest.mark.parametrize(
    ("stem", "name"),
    [("lenet-5 (best)", "lenet_5_best"), ("5net", "m5net"), ("size", "size_model"), ("é", "layer")],
)
def test_a_file_stem_becomes_a_prefix(stem: str, name: str) -> None:
    assert model_name(stem) == name
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "Net", "5net", "uint8", "a b", "a-b", "é", "x" * 49])
def test_a_bad_prefix_is_refused(name: str) -> None:
    with pytest.raises(McugenError, match="cannot prefix C symbols"):
        checked_name(name)


def test_an_enlarged_image_runs_over_the_small_one() -> None:
    """And a concatenation over one of its parts: each is read before its place is written."""
    b = Builder(TensorType((1, 8, 8, 16), U8))
    twice = b.const(np.repeat(np.arange(8), 2), U8)
    plan = build_plan(b.done(b.op(ops.Resize(b.x, twice, twice))), M4, "p")
    assert plan.arena_bytes == plan.lower_bound < 16 * 16 * 16 + 8 * 8 * 16
    b = Builder(TensorType((1, 8, 8, 16), U8))
    pooled = b.op(ops.MaxPool(b.x, window=(1, 1)))
    plan = build_plan(b.done(b.op(ops.Concat((pooled, b.x), axis=3))), M4, "p")
    assert plan.arena_bytes == plan.lower_bound < 2 * 2 * 8 * 8 * 16


def test_overlap_keeps_a_chain_in_one_buffer() -> None:
    b = Builder(TensorType((1, 8, 8, 4), U8))
    x = b.op(ops.MaxPool(b.x, window=(2, 2), stride=(2, 2)))
    x = b.op(ops.Lookup(x, b.const(np.arange(256)[None] // 2, Int(7, False, 0, 127))))
    plan = build_plan(b.done(x), M4, "p")
    assert plan.arena_bytes == plan.lower_bound == 256
    offsets = [layer.out.location.offset for layer in plan.layers]
    assert all(a == b for a, b in itertools.pairwise(offsets))
