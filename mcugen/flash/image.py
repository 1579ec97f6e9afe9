"""The image to write: what `mcugen build` made of the model as it is now."""

from pathlib import Path

from mcugen.build.firmware import image_path
from mcugen.emit.manifest import Manifest, read_generated
from mcugen.errors import fail
from mcugen.target.boards import Board


def built_image(folder: Path, board: Board) -> tuple[Manifest, int]:
    """The model in `folder`, and the bytes of flash that its image for `board` takes.

    Raises:
        McugenError: no generated model, no image of it, or one of another state of the model.
    """
    manifest = read_generated(folder)
    binary = image_path(folder, board).with_name("firmware.bin")
    build = f"mcugen build {folder} --board {board.name}"
    try:
        data = binary.read_bytes()
    except FileNotFoundError:
        raise fail("flash", f"no image for {board.name} in '{folder}'", help=build) from None
    if bytes.fromhex(manifest.digest) not in data:
        raise fail(
            "flash",
            "the image is older than the model",
            at=str(binary),
            want=f"an image of model {manifest.digest[:8]}…",
            help=f"build it again: {build}",
        )
    if len(data) > board.memory.flash.size:
        raise fail(
            "flash",
            f"the image does not fit into the flash of {board.name}",
            at=str(binary),
            got=f"{len(data):,} B",
            want=f"{board.memory.flash.size:,} B",
            help=build,
        )
    return manifest, len(data)
