"""Data sets as arrays: looked up in $MCUGEN_DATA, then in the user's cache, then downloaded.

Only numpy and the standard library are imported at the top, since `check` and `run` need data
without torch; Pillow and scikit-learn come in where a set needs them.
"""

import gzip
import hashlib
import importlib
import os
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError, fail

Split = Literal["train", "test"]
_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class DataSet:
    """Samples `x`, float32 `[N, C, H, W]` in [0, 1]; labels `y`, int64 `[N]`, below `classes`.

    Or `x` int8 `[N, ...]`: levels of a model's input, as they lie in its memory.
    """

    name: str
    x: NDArray[np.float32] | NDArray[np.int8]
    y: NDArray[np.int64]
    classes: int


@dataclass(frozen=True)
class Source:
    """Where one file of a set comes from: its path below the data folder, address and digest."""

    path: str
    url: str
    sha256: str


_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST = {
    "train": (
        Source(
            "mnist/train-images-idx3-ubyte.gz",
            _MNIST_URL + "train-images-idx3-ubyte.gz",
            "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64",
        ),
        Source(
            "mnist/train-labels-idx1-ubyte.gz",
            _MNIST_URL + "train-labels-idx1-ubyte.gz",
            "fe03b8bd7915f70bf5aa08be480aa413fbd85afcaa58b35d230d335f284fd88e",
        ),
    ),
    "test": (
        Source(
            "mnist/t10k-images-idx3-ubyte.gz",
            _MNIST_URL + "t10k-images-idx3-ubyte.gz",
            "5634745efa576a17e7d4cf5cd9d09123c75e6538e5114267c2d156edaf519341",
        ),
        Source(
            "mnist/t10k-labels-idx1-ubyte.gz",
            _MNIST_URL + "t10k-labels-idx1-ubyte.gz",
            "ae18e77e031ccde52407f794d123116439864147d33ac992975f85dd4dc42af6",
        ),
    ),
}
_CIFAR_JPEG = "cifar10/cifar10_jpeg.tar.xz"
_CIFAR_BINARY = Source(
    "cifar10/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
CIFAR_CLASSES = (  # in label order
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load(name: str | os.PathLike[str], split: Split = "test", levels: bool = False) -> DataSet:
    """The samples of a known set (`mnist`, `cifar10`, `digits`) or of an `.npz` file.

    An `.npz` holds `x` (`[N, C, H, W]`, `[N, H, W]` or `[N, n]`; float in [0, 1], or uint8 pixels,
    which are divided by 255) and `y` (integers `[N]`); it has one split, whichever is asked for.
    With `levels` it may hold `x` of int8, as the model's input takes it.

    Raises McugenError for an unknown set, data that cannot be found or downloaded, and files that
    are damaged or hold arrays of the wrong shape, type or range.
    """
    if split not in ("train", "test"):
        raise fail("data", "no such split", got=repr(split), want="train, test")
    text = os.fspath(name)
    if text in _SETS:
        return _SETS[text](split)
    if text.endswith(".npz"):
        return _load_npz(Path(text), levels)
    known = ", ".join(_SETS)
    raise fail("data", "no data set of this name", got=repr(text), want=f"{known}, or an .npz file")


def cache_folder() -> Path:
    """Where downloads and decoded sets are kept: $XDG_CACHE_HOME/mcugen, or ~/.cache/mcugen."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "mcugen"


def find(path: str) -> Path | None:
    """A file of a set below $MCUGEN_DATA or the cache, or None."""
    folders = [Path(os.environ["MCUGEN_DATA"])] if os.environ.get("MCUGEN_DATA") else []
    for folder in (*folders, cache_folder()):
        if (folder / path).is_file():
            return folder / path
    return None


def fetch(source: Source) -> Path:
    """The source's file, downloaded into the cache and checked where it is not yet there.

    Raises McugenError where the download fails or its SHA-256 is another.
    """
    found = find(source.path)
    if found is not None:
        return found
    target = cache_folder() / source.path

    def download(file: BinaryIO) -> None:
        digest = hashlib.sha256()
        with urllib.request.urlopen(source.url, timeout=_TIMEOUT_SECONDS) as response:
            while chunk := response.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != source.sha256:
            raise fail(
                "data",
                "the download is not the expected file",
                at=source.url,
                got=digest.hexdigest(),
                want=source.sha256,
            )

    try:
        _write_atomically(target, download)
    except OSError as error:  # URLError and timeouts are OSErrors
        raise fail(
            "data",
            f"cannot download {source.path}",
            at=source.url,
            got=str(error),
            help="set MCUGEN_DATA to a folder that holds it",
        ) from error
    return target


def _write_atomically(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Fills a temporary file beside the target and renames it, so that no half file remains."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        try:
            write(file)  # type: ignore[arg-type]
            file.flush()
            os.replace(file.name, target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _load_mnist(split: Split) -> DataSet:
    images, labels = (fetch(source) for source in _MNIST[split])
    x = _read_idx(images, (28, 28))[:, None]
    y = _read_idx(labels, ())
    return _checked("mnist", x, y, classes=10)


def _read_idx(path: Path, item: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bytes of a gzipped IDX file as `[N, *item]`; the format is described with MNIST itself."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    rank = 1 + len(item)
    header = 4 + 4 * rank
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, header, 4))
    size = int(np.prod(shape, dtype=object))
    if raw[:4] != bytes((0, 0, 8, rank)) or shape[1:] != item or len(raw) != header + size:
        raise _damaged(path, f"{len(raw)} bytes, not an IDX file of {item or 'labels'}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _load_digits(split: Split) -> DataSet:
    """scikit-learn's 1,797 digits of 8×8; every fifth is a test image."""
    bunch = _module("sklearn.datasets").load_digits()
    x = np.asarray(bunch.images, np.float32)[:, None] / np.float32(16)
    y = np.asarray(bunch.target)
    test = np.arange(len(y)) % 5 == 0
    keep = test if split == "test" else ~test
    return _checked("digits", x[keep], y[keep], classes=10)


def _load_cifar10(split: Split) -> DataSet:
    """The JPEG copies where they are found, else the original binary files."""
    jpeg = find(_CIFAR_JPEG)
    kind = "jpeg" if jpeg is not None else "binary"
    cached = cache_folder() / f"cifar10/decoded-{kind}-{split}.npz"
    if not cached.is_file():
        splits = _decode_jpegs(jpeg) if jpeg else _decode_binary(fetch(_CIFAR_BINARY))
        for part, (x, y) in splits.items():
            target = cache_folder() / f"cifar10/decoded-{kind}-{part}.npz"
            _write_atomically(target, lambda file, x=x, y=y: np.savez(file, x=x, y=y))  # type: ignore[misc]
    arrays = _read_npz(cached)
    return _checked("cifar10", arrays["x"], arrays["y"], classes=10)


_Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _decode_jpegs(path: Path) -> dict[str, _Arrays]:
    """Images `[N, 3, 32, 32]` and labels of an archive of `train|test/<class>/<number>.jpg`."""
    image = _module("PIL.Image")
    found: dict[str, list[tuple[str, int, NDArray[np.uint8]]]] = {"train": [], "test": []}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                parts = member.name.split("/")
                if not member.isfile() or not member.name.endswith(".jpg"):
                    continue
                file = archive.extractfile(member)
                assert file is not None
                pixels = np.asarray(image.open(file).convert("RGB"), np.uint8)
                label = CIFAR_CLASSES.index(parts[-2])
                found[parts[-3]].append((member.name, label, pixels.transpose(2, 0, 1)))
    except (OSError, EOFError, ValueError, KeyError, IndexError, tarfile.TarError) as error:
        raise _damaged(path, str(error)) from error
    return {split: _stack(path, entries) for split, entries in found.items()}


def _stack(path: Path, entries: list[tuple[str, int, NDArray[np.uint8]]]) -> _Arrays:
    if not entries:
        raise _damaged(path, "no images")
    # By number first, so that a prefix of the set has all classes.
    entries.sort(key=lambda entry: (entry[0].rsplit("/", 1)[-1], entry[0]))
    return np.stack([e[2] for e in entries]), np.array([e[1] for e in entries], np.uint8)


def _decode_binary(path: Path) -> dict[str, _Arrays]:
    """Images and labels of CIFAR-10's binary version: records of one label and 3072 pixels."""
    found: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    try:
        with tarfile.open(path) as archive:
            for member in sorted(archive.getmembers(), key=lambda member: member.name):
                if not member.name.endswith("_batch.bin") and "data_batch_" not in member.name:
                    continue
                file = archive.extractfile(member)
                assert file is not None
                records = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
                found["test" if "test" in member.name else "train"].append(records)
        joined = {split: np.concatenate(parts) for split, parts in found.items()}
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise _damaged(path, str(error)) from error
    return {s: (r[:, 1:].reshape(-1, 3, 32, 32), r[:, 0]) for s, r in joined.items()}


def _load_npz(path: Path, levels: bool) -> DataSet:
    if not path.is_file():
        raise fail("data", "no such file", got=str(path))
    arrays = _read_npz(path)
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        got = ", ".join(sorted(arrays)) or "nothing"
        raise fail("data", f"{' and '.join(missing)} missing", at=str(path), got=got, want="x, y")
    x, y = arrays["x"], arrays["y"]
    if levels and x.dtype == np.int8 and x.ndim > 1 and x.size:
        labels = _labels(str(path), y, len(x))
        return DataSet(str(path), x.astype(np.int8), labels, int(labels.max()) + 1)
    return _checked(str(path), x, y, classes=None)


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("one bare array")
        with loaded as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error)) from error


def _checked(
    name: str, x: NDArray[np.generic], y: NDArray[np.generic], classes: int | None
) -> DataSet:
    """The set with its arrays checked and converted; `classes` None counts them from the labels."""
    if x.dtype == np.uint8:
        images = x.astype(np.float32) / np.float32(255)
    elif x.dtype in (np.float16, np.float32, np.float64):
        images = x.astype(np.float32)
    else:
        raise _wrong(name, "x has the wrong type", str(x.dtype), "float in [0, 1], or uint8")
    if images.ndim not in (2, 3, 4) or images.size == 0:
        raise _wrong(name, "x has the wrong shape", str(list(x.shape)), "[N, C, H, W]")
    if not np.isfinite(images).all():
        raise _wrong(name, "x holds NaN or infinite values", "", "float in [0, 1]")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise _wrong(name, "x is out of range", f"{low:g} … {high:g}", "0 … 1")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 2:
        images = images[:, :, None, None]
    labels = _labels(name, y, len(x))
    count = int(labels.max()) + 1 if classes is None else classes
    if int(labels.max()) >= count:
        raise _wrong(name, "y holds a class beyond the last", str(labels.max()), f"< {count}")
    return DataSet(name, images, labels, count)


def _labels(name: str, y: NDArray[np.generic], samples: int) -> NDArray[np.int64]:
    if y.dtype.kind not in "iu" or y.shape != (samples,) or y.min() < 0:
        got = f"{y.dtype} {list(y.shape)}"
        raise _wrong(name, "y is not one class for each sample", got, f"integers ≥ 0 [{samples}]")
    return y.astype(np.int64)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = {"PIL.Image": "pillow", "sklearn.datasets": "scikit-learn"}[name]
        raise fail(
            "data",
            f"this data set needs {package}, which is not installed",
            help="pip install 'mcugen[train]'",
        ) from error


def _damaged(path: Path, got: str) -> McugenError:
    return fail("data", "the file is damaged or of another format", at=str(path), got=got)


def _wrong(name: str, what: str, got: str, want: str) -> McugenError:
    return fail("data", what, at=name, got=got or None, want=want)


_SETS: dict[str, Callable[[Split], DataSet]] = {
    "mnist": _load_mnist,
    "cifar10": _load_cifar10,
    "digits": _load_digits,
}
