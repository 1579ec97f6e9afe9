"""States: what the verifier asks of them, and runs over sequences."""

from dataclasses import replace

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.ir import Int, Node, Program, State, TensorType, Value, interp, ops, verify
from mcugen.ir.text import parse, to_text
from mcugen.passes import optimize

I8 = Int(8, True, -128, 127)


def counting() -> Program:
    """y = x + 2·h with h the last x, at first −3."""
    kind = TensorType((1, 2), I8)
    x, h = Value("%x", kind), State(Value("%h", kind), -3)
    sums = ops.Add("%x", "%h", y_factor=2)
    write = ops.StateWrite("%x", "%h")
    bare = Program("counting", "", (x,), (), (), "%x", None, (h,))
    nodes = (
        Node(Value("%new", write.infer(bare.env)), write),
        Node(Value("%y", sums.infer(bare.env)), sums),
    )
    return replace(bare, nodes=nodes, output="%y")


def test_a_sequence_remembers_and_the_next_one_does_not() -> None:
    program = verify(counting())
    x = np.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60]])
    got = interp.run(program, x, steps=3)
    np.testing.assert_array_equal(got, [[-5, 4], [4, 40], [7, 70], [-2, 34], [13, 130], [16, 160]])
    np.testing.assert_array_equal(interp.run(program, x), x - 6)
    np.testing.assert_array_equal(interp.trace(program, x, steps=2)["%new"], x)
    with pytest.raises(McugenError, match="6 samples in sequences of 4"):
        interp.run(program, x, steps=4)


def test_text_form_and_passes_keep_states() -> None:
    program = verify(counting())
    assert "  %h = state = -3 : i8[1,2] [-128..127]\n" in to_text(program)
    assert parse(to_text(program)) == program
    assert optimize(program) == program


def _with(program: Program, index: int, **changes: str) -> Program:
    nodes = list(program.nodes)
    nodes[index] = replace(nodes[index], op=replace(nodes[index].op, **changes))
    return replace(program, nodes=tuple(nodes))


def test_what_the_verifier_refuses() -> None:
    program = counting()
    wide = replace(program.states[0], initial=200)
    unwritten = replace(program, nodes=program.nodes[1:])
    cases = {
        "begins outside of its interval": replace(program, states=(wide,)),
        "becomes what a state holds": _with(program, 0, x="%h"),
        "is not a state": _with(program, 0, state="%x"),
        "is written 0 times": unwritten,
        "%new is read in the run that writes it": _with(program, 1, y="%new"),
        "the output %h is what a state holds": replace(program, output="%h"),
        "does not fit the state": replace(
            program, inputs=(Value("%x", TensorType((1, 2), Int(9, True, -200, 200))),)
        ),
    }
    for message, broken in cases.items():
        with pytest.raises(McugenError, match=message):
            verify(broken)
