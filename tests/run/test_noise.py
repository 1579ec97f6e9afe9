"""Noise between host and image: right bytes or a clear error, never a wrong result.

`scripts/noise` does it at length; docs/results.md has its figures.
"""

from dataclasses import replace

import pytest

from scripts.fuzz_lib import noise
from tests.run.conftest import Tiny


@pytest.mark.parametrize("seed", [1, 2])
def test_one_byte_in_a_hundred(tiny: Tiny, seed: int) -> None:
    found = noise.in_qemu(tiny.board, tiny.elf, 20, seed, 100)
    assert (found.right, found.wrong, found.errors) == (20, 0, ())
    assert found.disturbed > 0
    assert found.retries > 0


def test_a_spent_budget_is_an_error(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every eighth byte: hardly a frame passes, and the errors say what was asked in vain."""
    few = replace(noise.TIMING, reply_s=0.02, attempts=3, run_s=0.1)
    monkeypatch.setattr(noise, "TIMING", few)
    found = noise.in_qemu(tiny.board, tiny.elf, 20, 3, 8)
    assert found.wrong == 0
    assert len(found.errors) > 5
    assert all("no answer from the board on QEMU" in error for error in found.errors)
