"""Reads archives under an audit hook that lets nothing through but opening the archive itself.

    python -m tests.frontend.hostile.probe ARCHIVE...

Prints one JSON object per archive: what came out, and every event that had no business there.
"""

import encodings.cp437  # noqa: F401  zipfile would import it under the hook, to decode names
import json
import sys
from pathlib import Path

import google.protobuf.message  # noqa: F401  as the ONNX reader does when it is asked for a file
import numpy.ma  # noqa: F401  as numpy does on the first use of some functions
import onnx  # noqa: F401

from mcugen.errors import McugenError
from mcugen.frontend.archive import read_archive
from mcugen.frontend.onnx import load

_violations: list[str] = []
_archive = ""
_watching = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching or _is_harmless(event, arguments):
        return
    _violations.append(f"{event} {arguments!r}"[:300])


def _is_harmless(event: str, arguments: tuple[object, ...]) -> bool:
    return event == "open" and arguments[0] == _archive and arguments[1] in ("r", "rb")


def peak_mib() -> int:
    """Peak of this process's memory; `ru_maxrss` would include that of the one it came from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Read every archive named on the command line."""
    global _archive, _watching
    sys.addaudithook(_hook)
    for name in sys.argv[1:]:
        _archive, answer = name, "read"
        _watching = True
        try:
            (load if name.endswith(".onnx") else read_archive)(Path(name))
        except McugenError as error:
            answer = str(error)
        finally:
            _watching = False
        found: dict[str, object] = {"answer": answer, "violations": list(_violations)}
        found["peak_mib"] = peak_mib()
        print(json.dumps(found))
        _violations.clear()


if __name__ == "__main__":
    main()
