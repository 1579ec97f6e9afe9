"""Data sets: what they hold, where they are looked for, and what is said about damaged ones."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mcugen import data
from mcugen.errors import McugenError

FOLDER = Path(os.environ.get("MCUGEN_DATA", "/nowhere"))


def needs(path):
    return pytest.mark.skipif(
        not (FOLDER / path).exists(), reason=f"{path} is not below $MCUGEN_DATA"
    )


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No data folder, and an empty cache."""
    monkeypatch.delenv("MCUGEN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@needs("mnist")
def test_mnist():
    test = data.load("mnist")
    assert test.x.shape == (10000, 1, 28, 28)
    assert (test.x.dtype, test.y.dtype, test.classes) == (np.float32, np.int64, 10)
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert (test.x.min(), test.x.max()) == (0, 1)
    # Every pixel is exactly the float nearest to q/255.
    assert np.array_equal(np.round(test.x * 255).astype(np.float32) / np.float32(255), test.x)
    assert len(data.load("mnist", "train").y) == 60000


def test_digits_splits_are_disjoint_and_complete():
    pytest.importorskip("sklearn")
    test, train = data.load("digits"), data.load("digits", "train")
    assert test.x.shape == (360, 1, 8, 8)
    assert train.x.shape == (1437, 1, 8, 8)
    assert set(test.y) == set(train.y) == set(range(10))
    assert test.x.max() == 1


def archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def jpeg(colour):
    image = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    image.new("RGB", (32, 32), colour).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def test_cifar10_folder_is_decoded_once(empty, monkeypatch):
    files = {
        f"{split}/{name}/000{number}.jpg": jpeg((250, 20 * label, 5))
        for split in ("train", "test")
        for label, name in enumerate(data.CIFAR_CLASSES)
        for number in range(2)
    }
    path = archive(empty / "data/cifar10/cifar10_jpeg.tar.xz", files)
    monkeypatch.setenv("MCUGEN_DATA", str(empty / "data"))
    test = data.load("cifar10")
    assert test.x.shape == (20, 3, 32, 32)
    assert test.y.tolist() == list(range(10)) * 2
    assert np.abs(test.x[3].mean((1, 2)) * 255 - (250, 60, 5)).max() < 3
    path.write_bytes(b"no longer read")
    assert np.array_equal(data.load("cifar10", "test").x, test.x)
    assert len(data.load("cifar10", "train").y) == 20


def test_cifar10_binary(empty):
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (6, 3073)).astype(np.uint8)
    records[:, 0] = range(6)
    files = {
        "c/data_batch_1.bin": records[:2].tobytes(),
        "c/data_batch_2.bin": records[2:4].tobytes(),
        "c/test_batch.bin": records[4:].tobytes(),
        "c/batches.meta.txt": b"airplane",
    }
    archive(empty / "cache/mcugen/cifar10/cifar-10-binary.tar.gz", files)
    train, test = data.load("cifar10", "train"), data.load("cifar10", "test")
    assert (train.y.tolist(), test.y.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert np.array_equal(np.round(test.x[1].reshape(-1) * 255), records[5, 1:])


@needs("cifar10")
@pytest.mark.skipif(
    not os.environ.get("MCUGEN_SLOW"), reason="decodes 60,000 images; MCUGEN_SLOW=1"
)
def test_cifar10_whole():
    assert data.load("cifar10", "train").x.shape == (50000, 3, 32, 32)


def source(tmp_path, content=b"seven bytes"):
    (tmp_path / "remote").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return data.Source("set/file", (tmp_path / "remote").as_uri(), digest)


def test_download_goes_to_the_cache_and_is_not_repeated(empty):
    wanted = source(empty)
    path = data.fetch(wanted)
    assert path == empty / "cache/mcugen/set/file"
    assert path.read_bytes() == b"seven bytes"
    (empty / "remote").unlink()
    assert data.fetch(wanted) == path


def test_data_folder_comes_before_the_cache(empty, monkeypatch):
    data.fetch(source(empty))
    own = empty / "own/set/file"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    monkeypatch.setenv("MCUGEN_DATA", str(empty / "own"))
    assert data.fetch(source(empty)) == own


def test_wrong_digest_and_unreachable_leave_nothing(empty):
    wanted = source(empty)
    (empty / "remote").write_bytes(b"other bytes")
    with pytest.raises(McugenError, match="not the expected file"):
        data.fetch(wanted)
    (empty / "remote").unlink()
    with pytest.raises(McugenError, match="cannot download set/file") as caught:
        data.fetch(wanted)
    assert "MCUGEN_DATA" in str(caught.value)
    assert not any(path.is_file() for path in (empty / "cache").rglob("*"))


def test_unknown_sets_and_splits(tmp_path):
    with pytest.raises(McugenError, match="no data set of this name"):
        data.load("imagenet")
    with pytest.raises(McugenError, match="no such split"):
        data.load("digits", "validation")
    with pytest.raises(McugenError, match="no such file"):
        data.load(tmp_path / "none.npz")


X, Y = np.random.default_rng(0).random((4, 1, 5, 5)), np.array([0, 1, 2, 1])


@pytest.mark.parametrize(
    "x", [X, X.astype(np.float32), (X * 255).astype(np.uint8), X[:, 0], X[:, 0, 0]]
)
def test_npz(tmp_path, x):
    np.savez(tmp_path / "set.npz", x=x, y=Y.astype(np.uint8))
    found = data.load(tmp_path / "set.npz")
    assert (found.x.dtype, found.y.dtype, found.classes) == (np.float32, np.int64, 3)
    assert found.x.ndim == 4
    scale = 255 if x.dtype == np.uint8 else 1
    np.testing.assert_allclose(found.x.reshape(x.shape) * scale, x, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"x": X}, "y missing"),
        ({"a": X}, "x and y missing"),
        ({"x": X, "y": Y[:3]}, "y is not one class for each sample"),
        ({"x": X, "y": Y * 1.0}, "y is not one class"),
        ({"x": X, "y": Y - 1}, "y is not one class"),
        ({"x": X[0, 0, 0], "y": Y}, "x has the wrong shape"),
        ({"x": X[:0], "y": Y[:0]}, "x has the wrong shape"),
        ({"x": X.astype(complex), "y": Y}, "x has the wrong type"),
        ({"x": (X * 9).astype(int), "y": Y}, "x has the wrong type"),
        ({"x": X * 255, "y": Y}, "x is out of range"),
        ({"x": X - 0.5, "y": Y}, "x is out of range"),
        ({"x": np.where(X > 0.5, np.nan, X), "y": Y}, "NaN or infinite"),
        ({"x": np.where(X > 0.5, np.inf, X), "y": Y}, "NaN or infinite"),
        ({"x": np.array([{"not": "numbers"}] * 4, object), "y": Y}, "damaged or of another format"),
    ],
)
def test_npz_of_wrong_content(tmp_path, arrays, what):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(McugenError, match=what):
        data.load(tmp_path / "set.npz")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00", b"\x80\x04N."]
)
def test_files_that_are_no_npz(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(McugenError, match="damaged or of another format"):
        data.load(tmp_path / "set.npz")


def test_a_bare_array_is_no_npz(tmp_path):
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(McugenError, match="damaged or of another format"):
        data.load(tmp_path / "set.npz")


GOOD = bytes((0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28)) + bytes(784)


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b""),
        gzip.compress(GOOD[:-1]),
        gzip.compress(GOOD)[:-9],
        gzip.compress(GOOD[:3] + b"\x01" + GOOD[4:]),
        gzip.compress(GOOD[:4] + b"\xff" * 4 + GOOD[8:]),
    ],
    ids=["not gzip", "empty", "short", "cut", "element type", "sizes"],
)
def test_damaged_idx(empty, content):
    for source in data._MNIST["test"]:
        path = empty / "cache/mcugen" / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(McugenError, match="damaged or of another format"):
        data.load("mnist")


@pytest.mark.parametrize(
    "name", ["test/ostrich/0000.jpg", "test/cat/0000.jpg", "cat.jpg", "readme"]
)
def test_damaged_cifar10(empty, name):
    archive(empty / "cache/mcugen/cifar10/cifar10_jpeg.tar.xz", {name: b"no JPEG"})
    with pytest.raises(McugenError, match="damaged or of another format"):
        data.load("cifar10")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(McugenError, match="scikit-learn") as caught:
        data.load("digits")
    assert "pip install 'mcugen[train]'" in str(caught.value)


def test_import_needs_numpy_only():
    code = "import sys, mcugen.data; print({'torch', 'PIL', 'sklearn'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
