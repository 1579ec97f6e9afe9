"""Writing a folder: all or nothing, and nobody's file is lost."""

import os
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import Emitted, emit, write
from mcugen.errors import McugenError
from mcugen.ir import Int, TensorType, ops
from mcugen.target.cores import core_named
from tests.builder import Builder

FILES = {"model.h", "model.c", "manifest.json"}


def _emitted(weight: int = 1, split_data: bool = False) -> Emitted:
    b = Builder(TensorType((1, 2), Int(8, True, -128, 127)))
    w = b.const(np.full((2, 2), weight), Int(8, True, -128, 127))
    program = b.done(b.op(ops.Linear(b.x, w)))
    return emit(program, core_named("cortex-m0"), "net", split_data=split_data)


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_folder_holds_the_files_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "net"
    write(folder, _emitted())
    assert _contents(folder) == _emitted().files
    assert [path.name for path in folder.parent.iterdir()] == ["net"]


def test_writing_again_replaces_and_takes_away_what_is_not_made_again(tmp_path: Path) -> None:
    write(tmp_path / "net", _emitted(1, split_data=True))
    assert set(_contents(tmp_path / "net")) == FILES | {"model_data.c"}
    write(tmp_path / "net", _emitted(2))
    assert _contents(tmp_path / "net") == _emitted(2).files


@pytest.mark.parametrize("name", ["main.c", "model.c"])
def test_a_file_of_someone_else_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(McugenError) as caught:
        write(tmp_path, _emitted())
    (fault,) = caught.value.faults
    assert fault.what == (
        f"refusing to write into '{tmp_path}': it holds {name}, which mcugen did not write"
    )
    assert fault.help == "choose another folder, or --force"
    assert _contents(tmp_path) == {name: "mine"}


def test_an_edited_file_counts_as_someone_elses(tmp_path: Path) -> None:
    write(tmp_path, _emitted())
    (tmp_path / "model.c").write_text("edited")
    with pytest.raises(McugenError, match=r"it holds model\.c"):
        write(tmp_path, _emitted())
    assert (tmp_path / "model.c").read_text() == "edited"


def test_force_keeps_what_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "model.c").write_text("mine")
    (tmp_path / "main.c").write_text("mine too")
    write(tmp_path, _emitted(), force=True)
    write(tmp_path, _emitted(), force=True)
    kept = {"model.c.orig": "mine", "main.c": "mine too"}
    assert _contents(tmp_path) == {**_emitted().files, **kept}
    (tmp_path / "model.c").write_text("edited")
    write(tmp_path, _emitted(), force=True)
    assert (tmp_path / "model.c.orig2").read_text() == "edited"


def test_firmware_beside_the_model_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path, _emitted())
    (tmp_path / "firmware.elf").write_text("elf")
    write(tmp_path, _emitted(2))
    assert (tmp_path / "firmware.elf").exists()


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("calls", range(6))
def test_an_interruption_leaves_what_was_there(
    fresh: bool, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net"
    if not fresh:
        write(folder, _emitted(1))
    replace, left = os.replace, [calls]

    def interrupted(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    try:
        write(folder, _emitted(2))
    except KeyboardInterrupt:
        after = _contents(folder) if folder.exists() else None
        assert after == (None if fresh else _emitted(1).files)
    else:
        assert _contents(folder) == _emitted(2).files
    assert [path.name for path in tmp_path.iterdir()] in ([], ["net"])


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net").write_text("file")
    with pytest.raises(McugenError, match="is not a folder"):
        write(tmp_path / "net", _emitted(), force=True)
