"""Interrupts are neither lost nor allowed into critical sections."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcugen.interrupts import deferred_interrupts, scratch_folder

DROPPED = """
import signal, time, weakref
from mcugen.interrupts import catch_interrupts

class Thing:
    pass

signal.signal(signal.SIGINT, signal.default_int_handler)
catch_interrupts()
thing = Thing()
kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
try:
    del thing
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture(autouse=True)
def _hear_interrupts() -> Iterator[None]:
    """A shell makes background jobs deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_in_a_callback_is_sent_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_an_interrupt_waits_for_the_section_to_end() -> None:
    steps = []

    def section() -> None:
        with deferred_interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("end of the section")

    with pytest.raises(KeyboardInterrupt):
        section()
    assert steps == ["end of the section"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_scratch_folder_goes_with_its_work(tmp_path: Path) -> None:
    def work() -> None:
        with scratch_folder(tmp_path) as folder:
            (folder / "half").write_text("written")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list(tmp_path.iterdir()) == []
