"""Both sides of the protocol under noise, for seconds; scripts/fuzz-protocol does it for longer."""

import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from mcugen.resources import data_root
from mcugen.run import exchange, protocol
from mcugen.run.protocol import Frame
from scripts.fuzz_lib import protocol as fuzz_protocol
from scripts.fuzz_lib import replies
from scripts.fuzz_lib.protocol import build, build_line, fuzz


def test_nothing_is_found(tmp_path: Path) -> None:
    result = fuzz(build(tmp_path), 10_000, 1, tmp_path / "findings")
    assert result.words == ""
    assert result.frames > 10_000


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("protocol.c", "receiver.length == FRAME_MAX", "receiver.length == FRAME_MAX + 1u"),
        ("protocol.c", "crc32(0u, frame, checked) != check", "check == 0u"),
        ("input_buffer.c", "if (buffer.loaded == buffer.expected) {", "if (digits == NULL) {"),
        ("session.c", "if (request->length > capture_room()) {", "if (request == NULL) {"),
    ],
)
def test_faults_are_found(
    file: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fuzzer is for: without its checks, the firmware does not pass."""
    _break(file, right, wrong, tmp_path, monkeypatch)
    result = fuzz(build(tmp_path), 100_000, 1, tmp_path / "findings")
    assert re.search(r"^broken: |ERROR: AddressSanitizer|: runtime error: ", result.words, re.M)
    assert list((tmp_path / "findings").iterdir())


def _break(
    file: str, right: str, wrong: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From here on the harnesses are built with other firmware, from `folder`."""
    firmware = folder / "firmware"
    firmware.mkdir()
    for path in (data_root() / "firmware").glob("*.[ch]"):
        (firmware / path.name).write_text(path.read_text().replace(right, wrong))
    assert wrong in (firmware / file).read_text()
    monkeypatch.setattr(fuzz_protocol, "data_root", lambda: folder)


def _line(folder: Path, frames: int) -> subprocess.CompletedProcess[str]:
    argv = [str(build_line(folder)), str(frames), "1"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_wrong_is_accepted_from_a_noisy_line(tmp_path: Path) -> None:
    """131,328 are the flips of one or two of the 512 bits that 64 bytes have."""
    done = _line(tmp_path, 200_000)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"131328 flips rejected, 199\d{3} disturbed, \d+ kept, 0 wrong, 0 lost\n", done.stdout
    )


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("!= check)", "% 65536u != check % 65536u)", r", [1-9]\d* wrong, 0 lost"),
        ("    receiver.length = 0u;", "    receiver.length %= 2u;", r", 0 wrong, [1-9]\d* lost"),
    ],
)
def test_what_a_noisy_line_would_tell(
    right: str, wrong: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the checksum, and a receiver that does not start anew."""
    _break("protocol.c", right, wrong, tmp_path, monkeypatch)
    done = _line(tmp_path, 200_000)
    assert done.returncode == 1, done.stderr
    assert re.search(told, done.stdout)


def test_the_host_takes_what_was_sent_or_nothing() -> None:
    found = replies.run(5_000, 1, lambda amount: None)
    assert found.answers + found.refusals + found.broken == 5_000
    assert min(found.answers, found.refusals, found.broken) > 1_000


def _careless(encoded: bytes) -> Frame | None:
    """`decode_frame` without a look at the checksum."""
    try:
        data = protocol.cobs_decode(encoded)
    except ValueError:
        return None
    if len(data) < 10:
        return None
    version, type_, sequence, _ = protocol.HEADER.unpack_from(data)
    return Frame(version, type_, sequence, data[6:-4])


@pytest.mark.parametrize(
    ("place", "name", "broken", "told"),
    [
        (protocol, "decode_frame", _careless, "not sent|without a cause"),
        (exchange, "_PENDING_MAX", 10**6, "more kept than a frame needs"),
    ],
    ids=["checksum", "kept"],
)
def test_faults_of_the_host_are_found(
    place: ModuleType, name: str, broken: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, broken)
    with pytest.raises(AssertionError, match=told):
        replies.run(5_000, 1, lambda amount: None)
