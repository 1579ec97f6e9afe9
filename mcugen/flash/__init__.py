"""Writing an image into a board's flash: one file per tool, this list, and the flow."""

import time
from dataclasses import dataclass
from pathlib import Path

from mcugen.build.firmware import image_path
from mcugen.flash import (
    jlink,
    openocd,
    picotool,
    probe_rs,
    pyocd,
    stlink,
    stm32cubeprogrammer,
    stm32flash,
    uf2,
)
from mcugen.flash.choice import Choice, candidates, choose, first_installed
from mcugen.flash.image import built_image
from mcugen.flash.runner import Writer
from mcugen.flash.tool import Job, Tool
from mcugen.target.boards import Board

TOOLS: tuple[Tool, ...] = (
    openocd.TOOL,
    stlink.TOOL,
    pyocd.TOOL,
    stm32cubeprogrammer.TOOL,
    probe_rs.TOOL,
    jlink.TOOL,
    picotool.TOOL,
    uf2.TOOL,
    stm32flash.TOOL,
)


@dataclass(frozen=True)
class Wish:
    """What the person asked for; None leaves it to the board's order and to what is there."""

    runner: str | None = None
    serial_number: str | None = None
    verify: bool = True
    dry_run: bool = False


@dataclass(frozen=True)
class FlashReport:
    """What was written, or would be."""

    board: str
    model: str
    digest: str
    image: Path
    bytes: int
    runner: str
    probe: str | None
    chip: str | None
    verified: bool
    dry_run: bool
    commands: tuple[str, ...]
    seconds: float | None


def flash(folder: Path, board: Board, wish: Wish) -> FlashReport:
    """Write the image of the model in `folder` into `board`; a dry run touches nothing.

    Raises:
        McugenError: no image of the model as it is; no tool, no probe, several probes; the chip
            cannot be reached, is another one, or is locked; the tool fails or takes too long.
    """
    manifest, size = built_image(folder, board)
    order = candidates(board, TOOLS, wish.runner)
    chosen = (
        Choice(first_installed(order), None)
        if wish.dry_run
        else choose(board, order, wish.serial_number)
    )
    writer = Writer(chosen.tool, _job(folder, board, chosen, wish))
    started = time.monotonic()
    chip = None
    if not wish.dry_run:
        chip = writer.chip_id()
        writer.write(size)
    return FlashReport(
        board=board.name,
        model=manifest.name,
        digest=manifest.digest,
        image=writer.job.image(chosen.tool.form(writer.job.settings)),
        bytes=size,
        runner=chosen.tool.name,
        probe=chosen.probe.name if chosen.probe else wish.serial_number,
        chip=None if chip is None else f"{chip:#x}",
        verified=chosen.tool.verified(wish.verify),
        dry_run=wish.dry_run,
        commands=tuple(str(step) for step in chosen.tool.steps(writer.job)),
        seconds=None if wish.dry_run else round(time.monotonic() - started, 1),
    )


def _job(folder: Path, board: Board, chosen: Choice, wish: Wish) -> Job:
    """A probe is named where that was asked for: an only one needs no name, some have a bad one."""
    assert board.flash is not None
    probe = wish.serial_number
    if chosen.probe and (wish.serial_number or chosen.tool.must_name):
        probe = chosen.probe.name
    return Job(board, board.flash, image_path(folder, board).parent, probe, wish.verify)
