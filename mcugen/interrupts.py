"""Ctrl-C at a bad moment: it is never lost, and short critical sections end before it counts."""

import _thread
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.01
_arrived: list[int] = []


def catch_interrupts() -> None:
    """Make SIGTERM end a command as Ctrl-C does, and let neither get lost.

    Python drops an exception that is raised in a callback of its own (a weak reference's, in the
    middle of an import, say). An interrupt that ends there is sent again. Compiled code may turn
    one into an error of its own: `interrupted` tells.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # so a shell starts background jobs
        signal.signal(signal.SIGINT, _interrupt)
    otherwise = sys.unraisablehook

    def send_again(dropped: "sys.UnraisableHookArgs") -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            otherwise(dropped)
            return
        # Later and from another thread: raised in here it would be dropped once more.
        timer = threading.Timer(_AGAIN_S, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = send_again


def _interrupt(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    signal.default_int_handler(number, frame)


def interrupted() -> bool:
    """Whether a signal that `catch_interrupts` watches has arrived."""
    return bool(_arrived)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done, then let them act.

    For work of milliseconds: swapping files, removing scratch folders. Threads other than the main
    one get no signals, so that nothing is held back there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        arrived.append(number)

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


@contextmanager
def scratch_folder(parent: Path | None = None, prefix: str = "mcugen-") -> Iterator[Path]:
    """A new folder in `parent` (the system's scratch place if None), removed whatever happens.

    Raises:
        OSError: it cannot be made.
    """
    path: Path | None = None
    try:
        with deferred_interrupts():
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        yield path
    finally:
        if path is not None:
            with deferred_interrupts():
                shutil.rmtree(path, ignore_errors=True)
