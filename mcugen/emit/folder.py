"""Writing the emitted files: all or nothing, and never over a file that mcugen did not write."""

import hashlib
import os
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from mcugen.emit.manifest import FILE_NAME, read_manifest
from mcugen.emit.model import Emitted
from mcugen.errors import McugenError, fail
from mcugen.interrupts import deferred_interrupts, scratch_folder

#: What other commands put beside the model.
_COMPANIONS = ("firmware.*", "build")


def write(folder: Path, emitted: Emitted, force: bool = False) -> None:
    """Put the files of `emitted` into `folder`, which is made where it is missing.

    Until everything is on the disk nothing in `folder` changes; when anything fails or is
    interrupted on the way, what was there comes back. Files of an earlier run that are not made
    again go. With `force`, files that mcugen did not write stay, or stay as `NAME.orig` where one
    of the new ones takes their name.

    Raises:
        McugenError: `folder` is a file, or holds files that mcugen did not write or that were
            changed since, and `force` is not given.
    """
    if folder.exists() and not folder.is_dir():
        raise fail("emit", f"'{folder}' is not a folder", help="choose another path")
    own = _own_files(folder)
    foreign = _foreign_files(folder, own)
    if foreign and not force:
        raise fail(
            "emit",
            f"refusing to write into '{folder}': it holds {', '.join(foreign[:5])}, which mcugen "
            "did not write",
            help="choose another folder, or --force",
        )
    parent = folder.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(parent, prefix=f".{folder.name}-") as stage:
        _stage(stage, emitted.files)
        with deferred_interrupts():
            _swap(stage, folder, emitted.files, own)


def _stage(stage: Path, files: Mapping[str, str]) -> None:
    (stage / "new").mkdir()
    (stage / "old").mkdir()
    for name, text in files.items():
        (stage / "new" / name).write_bytes(text.encode("utf-8"))


def _swap(stage: Path, folder: Path, files: Mapping[str, str], own: set[str]) -> None:
    """Exchange old files for new ones; when the disk fails on the way, exchange them back."""
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    undo: list[tuple[Path, Path]] = []
    try:
        for name in sorted({*files, *own}):
            target = folder / name
            if target.exists():
                kept = stage / "old" / name if name in own else _spare(target)
                undo.append((kept, target))
                os.replace(target, kept)
            if name in files:
                undo.append((target, stage / "new" / name))
                os.replace(stage / "new" / name, target)
    except BaseException:
        for moved, origin in reversed(undo):
            if moved.exists():
                os.replace(moved, origin)
        if made:
            folder.rmdir()
        raise


def _spare(target: Path) -> Path:
    """A free name beside `target` for what it holds."""
    number = 0
    while True:
        number += 1
        spare = target.with_name(f"{target.name}.orig{number if number > 1 else ''}")
        if not spare.exists():
            return spare


def _own_files(folder: Path) -> set[str]:
    """Files in `folder` as an earlier run wrote them, the manifest among them."""
    try:
        manifest = read_manifest(folder)
    except McugenError:
        return set()
    own = {FILE_NAME}
    for name, digest in manifest.files.items():
        path = folder / name
        # A name with a folder in it is none of ours.
        if path.parent == folder and path.is_file():
            same = hashlib.sha256(path.read_bytes()).hexdigest() == digest
            own |= {name} if same else set()
    return own


def _foreign_files(folder: Path, own: set[str]) -> list[str]:
    if not folder.exists():
        return []
    return [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry.name not in own and not any(fnmatch(entry.name, item) for item in _COMPANIONS)
    ]
