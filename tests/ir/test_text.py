"""The text form prints and parses back without loss."""

from pathlib import Path

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.frontend.exported import load
from mcugen.ir import text

MODELS = sorted((Path(__file__).parents[1] / "models").glob("*.pt2"))

SMALL = """\
program @small {
  const @w : i3[2,3] [-3..2] = -3 1 0 2 -1 1
  %x = input : u4[1,3] [0..15]  # node=x scale=0.5 zero=0 offset=0.0
  %1 = linear %x, @w {x_zero=0} : i32[1,2] [-45..45]  # module=fc at=net.py:7 node=linear
  output %1  # softmax
}
"""


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_round_trip_of_models(path: Path, tmp_path: Path) -> None:
    _, program = load(path)
    written = text.to_text(program)
    text.save_constants(program, tmp_path / "side.npz")
    again = text.parse(written, text.load_constants(tmp_path / "side.npz"))
    assert again == program
    assert text.to_text(again) == written


def test_round_trip_of_a_text() -> None:
    assert text.to_text(text.parse(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("linear", "lineal", "unknown op 'lineal'"),
        ("%x, @w", "%x", "takes 2 operands, not 1"),
        ("u4[1,3]", "u4(1,3)", "not a tensor type"),
        ("[0..15]", "", "has no interval"),
        ("[0..15]", "[0..16]", "does not fit u4"),
        ("= -3 1 0 2 -1 1", "= -3 1 0", "reshape"),
        ("= -3 1 0 2 -1 1", "= -3 1 0 2 -1 9", "leaves its interval"),
        ("= -3 1 0 2 -1 1", "sha256=00", "in no side file"),
        ("  output %1  # softmax\n", "", "needs its head, an input and an output"),
        ("{x_zero=0}", "{x_one=0}", "x_one"),
        ("output", "outpt", "not a line of a program"),
    ],
)
def test_faulty_text_names_the_line(old: str, new: str, what: str) -> None:
    with pytest.raises(McugenError) as caught:
        text.parse(SMALL.replace(old, new))
    assert what in str(caught.value)


def test_a_constant_of_another_digest_is_refused() -> None:
    large = np.arange(20).reshape(1, 20)
    line = f"const @w : u5[1,20] [0..19] sha256={'0' * 64}"
    with pytest.raises(McugenError, match="another SHA-256"):
        text.parse(f"program @p {{\n{line}\n}}", {"w": large})
