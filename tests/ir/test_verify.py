"""The verifier refuses unsound programs: texts in, the error's words out (tests/cases/*.mir)."""

from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.ir import text, verify

CASES = sorted((Path(__file__).parents[1] / "cases" / "refused").glob("*.mir"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    """Each case names its errors in leading comments: `# error: ...`."""
    source = path.read_text()
    wanted = [line[9:] for line in source.splitlines() if line.startswith("# error: ")]
    assert wanted, f"{path.name} names no error"
    with pytest.raises(McugenError) as caught:
        verify(text.parse(source))
    for words in wanted:
        assert words in str(caught.value)
    assert len(caught.value.faults) == len(wanted)
