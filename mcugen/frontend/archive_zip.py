"""The container of a `.pt2`: a zip file whose entries are read on demand and within limits.

Nothing is written to disk, and an entry nobody asks for (sample inputs, native libraries) is never
decompressed.
"""

import io
import struct
import zipfile
import zlib

from mcugen.errors import McugenError, fail
from mcugen.frontend.files import MIB

STAGE = "archive"
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 256 * MIB
MAX_RATIO = 100
#: Entries up to this size may compress as well as they like.
FREE_BYTES = MIB
EXPORT_HELP = "torch.export.save(torch.export.export(model.eval(), (x,)), 'model.pt2')"

_CENTRAL_ENTRY = b"PK\x01\x02"
_END_OF_ZIP = b"PK\x05\x06"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What zipfile and zlib raise on bytes that are not as they should be.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
    OSError,
    OverflowError,
)


class Container:
    """The entries of an archive by their name below its root folder."""

    def __init__(self, file: str, data: bytes) -> None:
        """Check every name and size in the directory; `file` is how messages call the archive.

        Raises:
            McugenError: not a zip file, truncated, or with entries that no `.pt2` has.
        """
        self.file = file
        if data.count(_CENTRAL_ENTRY) > MAX_ENTRIES:
            # Counted before zipfile builds an object for each of them.
            raise fail(STAGE, "too many entries", at=file, want=f"at most {MAX_ENTRIES}")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as error:
            raise _no_zip(file, data) from error
        infos = self._zip.infolist()
        _check_names(file, infos)
        _check_sizes(file, infos)
        self.root = _root(file, [info.filename for info in infos])
        below = len(self.root) + 1
        self._infos = {
            info.filename[below:]: info
            for info in infos
            if info.filename.startswith(f"{self.root}/")
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All entries below the root."""
        return tuple(self._infos)

    def at(self, entry: str) -> str:
        """How messages call an entry."""
        return f"{self.file}: {entry}"

    def size(self, entry: str) -> int:
        """Bytes of an entry when unpacked.

        Raises:
            McugenError: there is no such entry.
        """
        return self._info(entry).file_size

    def read(self, entry: str, max_bytes: int) -> bytes:
        """The bytes of an entry, CRC checked.

        Raises:
            McugenError: there is no such entry, it is longer than `max_bytes`, or damaged.
        """
        info = self._info(entry)
        if info.file_size > max_bytes:
            got, want = f"{info.file_size} bytes", f"at most {max_bytes} bytes"
            raise fail(STAGE, "an entry is too large", at=self.at(entry), got=got, want=want)
        try:
            content = self._zip.read(info)
        except _DAMAGE as error:
            raise fail(
                STAGE,
                "an entry is damaged",
                at=self.at(entry),
                got=str(error) or type(error).__name__,
                help="copy or export the file again",
            ) from error
        if len(content) != info.file_size:
            raise fail(STAGE, "an entry is truncated", at=self.at(entry))
        return content

    def text(self, entry: str) -> str:
        """A one-line entry such as `archive_version`, without surrounding white space."""
        return self.read(entry, 256).decode("ascii", "replace").strip()

    def _info(self, entry: str) -> zipfile.ZipInfo:
        if entry not in self._infos:
            raise fail(
                STAGE,
                "an entry is missing",
                at=self.at(entry),
                help="copy or export the file again",
            )
        return self._infos[entry]


def _no_zip(file: str, data: bytes) -> McugenError:
    """What the file is instead, as far as its first bytes tell."""
    if data.startswith(b"PK\x03\x04"):
        what = "the archive is truncated or damaged"
        return fail(STAGE, what, at=file, help="copy or export the file again")
    kinds = {
        b"": "an empty file",
        b"\x80": "a pickle, as torch.save writes",
        b"\x7fELF": "a native library or program",
        b"\x89HDF": "an HDF5 file",
    }
    got = next((kind for magic, kind in kinds.items() if magic and data.startswith(magic)), None)
    if not data:
        got = kinds[b""]
    elif data[4:8] == b"TFL3":
        got = "a TensorFlow Lite model"
    return fail(STAGE, "not a .pt2 archive", at=file, got=got, help=f"export it: {EXPORT_HELP}")


def _check_names(file: str, infos: list[zipfile.ZipInfo]) -> None:
    """No name twice, none that leaves the archive's own tree."""
    seen: set[str] = set()
    for info in infos:
        name = info.orig_filename
        steps = name.split("/")
        if (
            not name.isprintable()
            or name.startswith("/")
            or ".." in steps
            or any(sign in name for sign in "\\:")
        ):
            got = ascii(name[:80])
            raise fail(STAGE, "an entry's name leaves the archive", at=file, got=got)
        if name in seen:
            raise fail(STAGE, "two entries have the same name", at=file, got=name[:80])
        seen.add(name)


def _check_sizes(file: str, infos: list[zipfile.ZipInfo]) -> None:
    """Sizes as the directory claims them: `read` holds the content to the same figure."""
    total = sum(info.file_size for info in infos)
    if total > MAX_UNPACKED_BYTES:
        got, want = f"{total} bytes", f"at most {MAX_UNPACKED_BYTES // MIB} MiB"
        raise fail(STAGE, "the archive unpacks to too much", at=file, got=got, want=want)
    for info in infos:
        at = f"{file}: {info.filename[:80]}"
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise fail(STAGE, "an entry is encrypted or packed in an unknown way", at=at)
        if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
            got = f"{info.file_size} bytes from {info.compress_size}"
            raise fail(STAGE, "an entry unpacks to far more than its size", at=at, got=got)


def _root(file: str, names: list[str]) -> str:
    """The folder that holds the whole archive.

    Raises:
        McugenError: the zip file is something else; says what, where that is known.
    """
    marks = [name for name in names if name.count("/") == 1 and name.endswith("/archive_format")]
    if len(marks) == 1:
        return marks[0].split("/")[0]
    ends = {name.split("/", 1)[-1] for name in names}
    got, help_ = "a zip file without archive_format", f"export it: {EXPORT_HELP}"
    if "constants.pkl" in ends:
        got = "a TorchScript file (torch.jit.save)"
    elif "data.pkl" in ends:
        got = "a file of torch.save, which only PyTorch can load"
    elif "serialized_exported_program.json" in ends | set(names):
        got = "an exported program in the format of an older PyTorch"
        help_ = "load and save it again with PyTorch 2.13 or newer"
    raise fail(STAGE, "not a .pt2 archive", at=file, got=got, want="archive_format", help=help_)
