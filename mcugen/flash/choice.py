"""Which tool writes, through which probe: the board's order, what is installed, what is there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcugen import tools
from mcugen.errors import Fault, McugenError, fail
from mcugen.flash.runner import output_of
from mcugen.flash.tool import Probe, Tool
from mcugen.target.boards import Board


@dataclass(frozen=True)
class Choice:
    """The tool, and the probe where it is known."""

    tool: Tool
    probe: Probe | None


def installed(tool: Tool) -> bool:
    return all(tools.find(program) for program in tool.programs)


def candidates(board: Board, known: Sequence[Tool], runner: str | None) -> tuple[Tool, ...]:
    """The tools that may write this board, in the order to try them.

    Raises:
        McugenError: the board has no flash that mcugen can write, or `runner` is not one of its.
    """
    if board.flash is None:
        help_ = f"mcugen run DIR --board {board.name} --qemu" if board.qemu else None
        raise fail(
            "flash", f"{board.name} cannot be flashed: it exists in the emulator only", help=help_
        )
    by_name = {tool.name: tool for tool in known}
    if runner is not None:
        name = runner.replace("-", "_")
        if name not in board.flash.runners:
            raise fail(
                "flash",
                f"'{runner}' does not flash {board.name}",
                help=f"runners of {board.name}: {', '.join(board.flash.runners)}",
            )
        return (by_name[name],)
    return tuple(by_name[name] for name in board.flash.runners if not by_name[name].by_request)


def first_installed(order: Sequence[Tool]) -> Tool:
    """What a dry run shows: asks no probe, works without any tool."""
    return next((tool for tool in order if installed(tool)), order[0])


def choose(board: Board, order: Sequence[Tool], wanted: str | None) -> Choice:
    """The first tool of `order` that is installed, new enough, and sees a probe.

    Raises:
        McugenError: none is installed, all are too old, no probe is there, or several are.
    """
    present = [tool for tool in order if installed(tool)]
    if not present:
        raise _none_installed(board, order)
    outdated = {tool.name: fault for tool in present if (fault := _too_old(tool)) is not None}
    usable = [tool for tool in present if tool.name not in outdated]
    if not usable:
        raise McugenError("flash", outdated.values())
    seen: list[Probe] = []
    blind: Choice | None = None
    for tool in usable:
        listed = tool.probes(board, output_of)
        if listed is None:  # only a run can tell
            blind = blind or Choice(tool, Probe(wanted, "unlisted") if wanted else None)
            continue
        found = [probe for probe in listed if wanted is None or probe.answers_to(wanted)]
        if len(found) > 1:
            raise _several(tool, found)
        if found:
            return Choice(tool, found[0])
        seen += listed
    if blind:
        return blind
    missing = [tool for tool in order if tool not in present]
    if wanted is not None:
        raise _not_that_probe(seen, wanted)
    raise _no_probe(board, usable, missing)


def _too_old(tool: Tool) -> Fault | None:
    if tool.version is None:
        return None
    text = output_of(tool.version.argv)
    match = re.search(tool.version.pattern, text)
    version = tuple(map(int, match[1].split("."))) if match else ()
    if version >= tool.version.least:
        return None
    return Fault(
        f"{tool.name} is too old",
        got=match[1] if match else text.strip()[:200] or "no version",
        want=f"{'.'.join(map(str, tool.version.least))} or newer",
        help=tool.install,
    )


def _none_installed(board: Board, order: Sequence[Tool]) -> McugenError:
    ways = "\n".join(f"{tool.name}: {tool.install}" for tool in order)
    what = f"no tool that flashes {board.name} is installed"
    if len(order) == 1:
        what = f"{order[0].name} is not installed"
    return fail("flash", what, want=f"one of\n{ways}", help="mcugen doctor shows what is there")


def _several(tool: Tool, found: Sequence[Probe]) -> McugenError:
    named = next((probe.name for probe in found if probe.name), None)
    return fail(
        "flash",
        f"{tool.name} finds {len(found)} probes",
        got="\n".join(map(str, found)),
        help=f"name one: --serial-number {named}" if named else "unplug all but one",
    )


def _not_that_probe(seen: Sequence[Probe], wanted: str) -> McugenError:
    got = "\n".join(dict.fromkeys(map(str, seen))) or "no probes at all"
    help_ = "mcugen flash without --serial-number takes the only one"
    return fail("flash", f"no probe has serial number {wanted}", got=got, help=help_)


def _no_probe(board: Board, asked: Sequence[Tool], missing: Sequence[Tool]) -> McugenError:
    names = ", ".join(tool.name for tool in asked)
    ways = list(dict.fromkeys(tool.connect for tool in asked))
    if missing:
        others = ", ".join(tool.name for tool in missing)
        ways.append(f"install another tool ({others}; see mcugen doctor)")
    return fail(
        "flash", f"no probe of {board.board.title} found", at=names, help="; or ".join(ways)
    )
