"""What layers store on a target: handed out whole, dumped, and the first wrong one named."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mcugen import pipeline
from mcugen.build.firmware import build_firmware
from mcugen.data import DataSet
from mcugen.emit.encoding import encode_input
from mcugen.emit.manifest import FILE_NAME, Manifest, read_manifest
from mcugen.errors import McugenError
from mcugen.report import console, tables
from mcugen.run.device import Device
from mcugen.run.host import HostModel
from mcugen.run.layers import layers_on
from mcugen.run.qemu import open_qemu
from mcugen.target.boards import Board, load_board
from tests.run.lines import FAST, PythonBoard

_MODEL = Path(__file__).parents[1] / "models" / "digits_mlp.pt2"


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("stm32f446")


def _generate(folder: Path, board: Board) -> Manifest:
    emitted = pipeline.emitted(pipeline.load(_MODEL), board.core, "mlp", board, False)
    return pipeline.generate(emitted, folder, force=False)


def _edit(folder: Path, old: str, new: str) -> None:
    """Change model.c, and the manifest's digests so that nobody notices."""
    source = folder / "model.c"
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))
    manifest = read_manifest(folder)
    contents = {name: (folder / name).read_bytes() for name in manifest.files}
    changed = manifest.model_copy(
        update={
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
            "digest": hashlib.sha256(b"".join(contents.values())).hexdigest(),
        }
    )
    (folder / FILE_NAME).write_text(changed.to_json())


def _samples(count: int) -> DataSet:
    x = np.random.default_rng(4).random((count, 1, 8, 8), np.float32)
    return DataSet("random", x, np.zeros(count, np.int64), 10)


def test_every_layer_as_on_the_host(board: Board, tmp_path: Path) -> None:
    manifest = _generate(tmp_path, board)
    levels = np.random.default_rng(5).integers(0, 256, (1, 8, 8, 1))
    wanted = HostModel(tmp_path).layer_memory(levels)
    image = build_firmware(tmp_path, board).elf
    with open_qemu(board, image) as device:
        sample = encode_input(manifest.input, levels)[0].tobytes()
        found = list(layers_on(device, manifest, sample))
        assert device.identity.arena_bytes == manifest.ram.arena
        assert device.identity.capture_bytes > 100_000
        result = device.run(sample)
    assert len(found) == 3
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, want[0])
    assert result.output == found[-1].tobytes()


def planted_difference(folder: Path, board: Board) -> str:
    """An image that computes something else than the host, in its second layer only: its name."""
    manifest = _generate(folder, board)
    hook = "    MLP_LAYER(2u);"
    place = manifest.layers[1].out_offset + 5
    fault = f"#ifdef __arm__\n    net->arena.bytes[{place}] ^= 1u;\n#endif\n"
    _edit(folder, hook, fault + hook)
    build_firmware(folder, board)
    return manifest.layers[1].name


def test_the_first_wrong_layer_is_named(
    board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    wrong = planted_difference(folder, board)
    manifest = read_manifest(folder)
    test, dump = _samples(3), tmp_path / "layers.npz"
    report = pipeline.run(folder, board, None, test, dump)
    assert report.mismatched_bytes > 0
    first = report.first_difference
    assert first is not None
    assert (first.sample, first.layer, first.bytes) == (0, wrong, 1)
    console.show(tables.ran(report))
    assert f"sample 0: first differing layer {first.layer}, 1 bytes" in capsys.readouterr().out
    with np.load(dump) as layers:
        assert list(layers) == [layer.name for layer in manifest.layers]
        assert layers[first.layer].shape == (1, 64)
        second = layers[first.layer].reshape(-1)
    levels = (test.x[:1] * 255 + 0.5).astype(np.int64).reshape(1, 8, 8, 1)
    trace = HostModel(folder).trace(levels)[manifest.layers[1].value].reshape(-1)
    assert np.flatnonzero(second != trace).tolist() == [5]


def test_a_dump_that_cannot_be_written(board: Board, tmp_path: Path) -> None:
    _generate(tmp_path / "model", board)
    build_firmware(tmp_path / "model", board)
    with pytest.raises(McugenError, match=r"cannot write .*none/layers.npz"):
        pipeline.run(tmp_path / "model", board, None, _samples(1), tmp_path / "none/layers.npz")


def test_what_spare_ram_does_not_hold_comes_in_parts() -> None:
    board = PythonBoard()
    with Device(board, FAST) as device:
        data = bytes(range(200)) * 3
        assert device.capture(data, 7, 10, 600) == board.arena(7)[10:610]
        assert board.captures == 3
        board.spare_bytes = 0
        device._identity = None
        with pytest.raises(McugenError, match="it has no spare RAM"):
            device.capture(data, 7, 10, 600)
