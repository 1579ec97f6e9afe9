"""Each pass on a text before and after; the interpreter agrees on both."""

from pathlib import Path

import numpy as np
import pytest

from mcugen import passes
from mcugen.ir import interp, text, verify

CASES = sorted((Path(__file__).parents[1] / "cases" / "passes").glob("*.mir"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_pass(path: Path) -> None:
    """The file's name is `pass.case.mir`; a line of dashes parts before from after."""
    before, after = path.read_text().split("----\n")
    transform = {item.__name__: item for item in passes.PIPELINE}[path.name.split(".")[0]]
    source = text.parse(before)
    result = verify(transform(source), after=transform.__name__)
    assert text.to_text(result) == after
    element, shape = source.inputs[0].type.integer, source.inputs[0].type.shape
    x = np.random.default_rng(0).integers(element.lo, element.hi + 1, (64, *shape[1:]))
    np.testing.assert_array_equal(interp.run(source, x), interp.run(result, x))


def test_every_pass_has_a_case() -> None:
    assert {path.name.split(".")[0] for path in CASES} == {p.__name__ for p in passes.PIPELINE}
