"""The portable firmware under libFuzzer, for seconds; scripts/fuzz-protocol does it for longer."""

import re
from pathlib import Path

import pytest

from mcugen.resources import data_root
from scripts.fuzz_lib import protocol as fuzz_protocol
from scripts.fuzz_lib.protocol import build, fuzz


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
    firmware = tmp_path / "firmware"
    firmware.mkdir()
    for path in (data_root() / "firmware").glob("*.[ch]"):
        (firmware / path.name).write_text(path.read_text().replace(right, wrong))
    assert wrong in (firmware / file).read_text()
    monkeypatch.setattr(fuzz_protocol, "data_root", lambda: tmp_path)
    result = fuzz(build(tmp_path), 100_000, 1, tmp_path / "findings")
    assert re.search(r"^broken: |ERROR: AddressSanitizer|: runtime error: ", result.words, re.M)
    assert list((tmp_path / "findings").iterdir())
