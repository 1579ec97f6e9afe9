"""Reading a model file whole, within a limit."""

import stat
from pathlib import Path

from mcugen.errors import fail

STAGE = "model"
MIB = 2**20
MAX_FILE_BYTES = 256 * MIB


def read_file(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a regular file of at most `most` bytes.

    Raises:
        McugenError: there is no such file, it cannot be read, or it is too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise fail(STAGE, "not a file", at=str(path), want="a model file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise fail(STAGE, "cannot read the model file", at=str(path), got=reason) from error
    if len(data) > most:
        want = f"at most {most // MIB} MiB"
        raise fail(STAGE, "the model file is too large", at=str(path), want=want)
    return data
