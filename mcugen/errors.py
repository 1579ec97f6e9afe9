"""One error type: what is wrong, where, what was got and wanted, and what to do about it.

Wording: lower case, no full stop; `what` states, only `help` advises. A stage collects all of its
faults and raises them together, so that a user fixes a model in one round.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `at` names the node, file and line as far as they are known."""

    what: str
    at: str | None = None
    got: str | None = None
    want: str | None = None
    help: str | None = None

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        for label, text in (("at ", self.at), ("got ", self.got), ("want ", self.want)):
            if text is not None:
                lines.append(f"  {label} {_indented(text)}")
        if self.help is not None:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


def _indented(text: str) -> str:
    """Further lines of `text` stand under the first."""
    return text.replace("\n", "\n       ")


class McugenError(Exception):
    """Wrong usage or input: the command line prints it and exits with 2."""

    def __init__(self, stage: str, faults: Fault | Iterable[Fault]) -> None:
        self.stage = stage
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__(stage, self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def fail(
    stage: str,
    what: str,
    *,
    at: str | None = None,
    got: str | None = None,
    want: str | None = None,
    help: str | None = None,
) -> McugenError:
    """An error with one fault; the caller raises it: `raise fail("plan", "...", help="...")`."""
    return McugenError(stage, Fault(what, at=at, got=got, want=want, help=help))
