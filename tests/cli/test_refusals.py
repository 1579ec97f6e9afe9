"""Wrong usage, data, folders, targets and tools: exit code 2, the sentence, a disk as it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen import pipeline
from tests.cli.conftest import BOARD, MODELS, Command, Refused, tree

MODEL = MODELS / "digits_mlp.pt2"
GENERATE = ("generate", MODEL, "-o", "out")
RUN = ("run", "out", "--board", BOARD, "--data", "digits")
TRAIN = ("train", "float", "--model", "mlp", "--data", "digits", "-o", "m.pt2")

USAGE: dict[str, tuple[tuple[object, ...], list[str]]] = {
    "unknown command": (("nix",), ["no such command 'nix'", "help: mcugen --help"]),
    "no model": (("generate",), ["missing argument 'MODEL'", "help: mcugen generate --help"]),
    "no output": (("generate", MODEL), ["missing option '-o'"]),
    "unknown option": ((*GENERATE, "--nix"), ["no such option: --nix"]),
    "unknown aim": ((*GENERATE, "--optimize", "nix"), ["--optimize nix", "speed or size or ram"]),
    "no ram": ((*GENERATE, "--ram-limit", "0"), ["--ram-limit 0", "at least 1 byte"]),
    "no number": (("check", MODEL, "--data", "digits", "--limit", "x"), ["'--limit'", "integer"]),
    "unknown board": ((*GENERATE, "--board", "nix"), ["unknown board 'nix'", BOARD]),
    "unknown core": ((*GENERATE, "--core", "nix"), ["unknown core 'nix'", "cortex-m0plus"]),
    "another core": (
        (*GENERATE, "--board", BOARD, "--core", "cortex-m3"),
        [f"{BOARD} has a cortex-m4, not a cortex-m3"],
    ),
    "no prefix": ((*GENERATE, "--name", "1a"), ["'1a' cannot prefix C symbols", "help: --name"]),
    "empty prefix": ((*GENERATE, "--name", ""), ["cannot prefix C symbols"]),
    "board listing": (("boards", "nix"), ["unknown board 'nix'", BOARD]),
    "op listing": (("ops", "--core", "nix"), ["unknown core 'nix'"]),
    "profile core": (("profile", "out", "--core", "nix"), ["unknown core 'nix'"]),
    "unknown method": (("train", "nix", *TRAIN[2:]), ["no training method", "float, uniform"]),
    "unknown network": (
        ("train", "float", "--model", "nix", "--data", "digits", "-o", "m.pt2"),
        ["no model of this name", "mlp, lenet, dscnn, resnet"],
    ),
    "option of another method": (
        (*TRAIN, "--bits", "4", "--per-tensor"),
        ["method 'float' has no option --bits, --per-channel", "options of float: "],
    ),
    "no epochs": ((*TRAIN, "--epochs", "0"), ["epochs below one"]),
    "no samples": ((*TRAIN, "--limit", "0"), ["limit below one"]),
    "resume from nothing": ((*TRAIN, "--resume"), ["no checkpoint to resume from"]),
    "output is no model": ((*TRAIN[:-1], "m.txt"), ["not a .pt2 file name"]),
    "output folder is missing": ((*TRAIN[:-1], "no/m.pt2"), ["no such folder"]),
    "both targets": ((*RUN, "--qemu", "--port", "auto"), ["either --qemu or --port"]),
    "neither target": (RUN, ["either --qemu or --port", "help: "]),
    "no image": ((*RUN, "--qemu"), ["no image", f"mcugen build DIR --board {BOARD}"]),
    "no such port": ((*RUN, "--port", "/dev/nix"), ["cannot open serial port '/dev/nix'"]),
    "samples of a profile": (("profile", "out", "--data", "digits", "--limit", "0"), ["--limit 0"]),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(name: str, refused: Refused, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out")
    arguments, words = USAGE[name]
    refused(*arguments, words=words)


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


IMAGES, LABELS = np.zeros((4, 1, 8, 8), np.float32), np.arange(4)
DATA: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "wrong shape": (npz(x=np.zeros((4, 1, 8, 9), "f4"), y=LABELS), ["[1, 8, 9]", "[1, 8, 8]"]),
    "wrong type": (npz(x=IMAGES.astype("i4"), y=LABELS), ["x has the wrong type", "int32"]),
    "NaN": (npz(x=np.full((4, 1, 8, 8), np.nan, "f4"), y=LABELS), ["NaN"]),
    "out of range": (npz(x=np.full((4, 1, 8, 8), 2, "f4"), y=LABELS), ["out of range", "0 … 1"]),
    "no labels": (npz(x=IMAGES), ["y missing", "want  x, y"]),
    "no images": (npz(y=LABELS), ["x missing"]),
    "other labels": (npz(x=IMAGES, y=LABELS[:3]), ["y is not one class for each sample"]),
    "no samples": (npz(x=IMAGES[:0], y=LABELS[:0]), ["x has the wrong shape"]),
    "pickled": (npz(x=np.array([{}], object), y=LABELS), ["damaged or of another format"]),
    "no archive": (lambda path: path.write_text("x,y") and None, ["damaged or of another format"]),
    "missing": (lambda path: None, ["no such file"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data(name: str, refused: Refused, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "out")
    write, words = DATA[name]
    write(tmp_path / "d.npz")
    refused("check", MODEL, "--data", "d.npz", words=words)
    refused(*RUN[:-1], "d.npz", "--qemu", words=words)
    refused("profile", "out", "--data", "d.npz", words=words)


@pytest.mark.parametrize("command", [("check", MODEL), (*RUN[:-2], "--qemu"), ("profile", "out")])
def test_unknown_set_and_no_samples(
    command: tuple[object, ...], refused: Refused, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "out")
    known = ["no data set of this name", "mnist, cifar10, digits"]
    refused(*command, "--data", "nix", words=known)
    refused(*command, "--data", "digits", "--limit", "0", words=["--limit 0", "at least 1"])


def edit(**fields: object) -> Callable[[Path], None]:
    """Changes fields of the manifest."""

    def change(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def append(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text) and None


AGAIN = "mcugen generate MODEL -o out --force"
FOLDERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "manifest of another schema": (edit(schema_version=9), ["has schema 9", "want  schema 1"]),
    "manifest with another core": (edit(core="cortex-m0"), ["was edited", AGAIN]),
    "manifest with another scale": (edit(digest="0" * 64), ["was edited", AGAIN]),
    "manifest with a wrong type": (edit(macs="many"), ["manifest.json", "at  macs"]),
    "manifest with an unknown field": (edit(extra=1), ["manifest.json", "at  extra"]),
    "manifest that is no JSON": (append("manifest.json", "{"), ["cannot read"]),
    "manifest that is no object": (
        lambda folder: (folder / "manifest.json").write_text("[]"),
        ["has schema None"],
    ),
    "changed source": (append("model.c", "/**/"), ["'model.c' is not as manifest.json says"]),
    "missing source": (
        lambda folder: (folder / "model.h").unlink(),
        ["'model.h' is not as manifest.json says", AGAIN],
    ),
    "no manifest": (
        lambda folder: (folder / "manifest.json").unlink(),
        ["no manifest.json in 'out'", "mcugen generate MODEL -o out"],
    ),
    "no folder": (shutil.rmtree, ["no manifest.json in 'out'"]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name: str, refused: Refused, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out")
    spoil, words = FOLDERS[name]
    spoil(tmp_path / "out")
    refused("build", "out", "--board", BOARD, words=words)
    refused(*RUN, "--qemu", words=words)
    refused("profile", "out", words=words)


def test_firmware_of_an_older_model(
    refused: Refused, mcugen: Command, built: Path, tmp_path: Path
) -> None:
    """The folder was generated again, and the image was not built again."""
    shutil.copytree(built, tmp_path / "out")
    assert mcugen(*GENERATE[:2], "-o", tmp_path / "out", "--name", "other").code == 0
    words = ["runs another model", "digest ", f"mcugen build DIR --board {BOARD}"]
    refused(*RUN, "--limit", "1", "--qemu", words=words)


def test_foreign_files_are_kept(refused: Refused, mcugen: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/main.c").write_text("mine")
    (tmp_path / "out/model.c").write_text("mine too")
    words = ["refusing to write into 'out'", "main.c, model.c, which mcugen did not write"]
    refused(*GENERATE, words=[*words, "help: choose another folder, or --force"])
    assert mcugen(*GENERATE, "--force").code == 0
    kept = tree(tmp_path / "out")
    assert (kept["main.c"], kept["model.c.orig"]) == (b"mine", b"mine too")
    assert {"model.c", "model.h", "manifest.json"} < kept.keys()


def test_outputs_that_cannot_be_written(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(*GENERATE[:-1], "file", words=["'file' is not a folder"])
    refused(*GENERATE[:-1], "file/out", words=["cannot write into 'file/out'"])
    refused("inspect", MODEL, "-o", "no/p.mir", words=["cannot use 'no/p.mir': No such file"])


TOOLS: dict[tuple[object, ...], tuple[str, str]] = {
    ("build", "out", "--board", BOARD): (
        "arm-none-eabi-gcc, arm-none-eabi-objcopy, arm-none-eabi-objdump",
        "gcc-arm-none-eabi libnewlib-arm-none-eabi binutils-arm-none-eabi",
    ),
    ("check", MODEL, "--data", "digits", "--limit", "1"): ("gcc", "gcc"),
    (*RUN, "--qemu", "--limit", "1"): ("gcc, qemu-system-arm", "gcc qemu-system-arm"),
    ("profile", "out"): ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
}


@pytest.mark.parametrize("command", TOOLS, ids=lambda command: str(command[0]))
def test_missing_tools(
    command: tuple[object, ...],
    refused: Refused,
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(built, tmp_path / "out")
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    cache = tmp_path / "cache"  # without a library compiled earlier
    (cache / "mcugen/host").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    program, packages = TOOLS[command]
    words = [f"missing program: {program}", f"help: sudo apt-get install {packages}"]
    refused(*command, words=words)


def test_no_tool_is_needed_to_generate(
    mcugen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert mcugen("generate", MODEL, "-o", tmp_path / "out").code == 0
    found = json.loads(mcugen("doctor", "--json").out)
    assert "qemu-system-arm" in found["missing"]
    assert "sudo apt-get install gcc-arm-none-eabi" in mcugen("doctor").out


def test_a_fault_of_our_own_is_a_sentence_too(
    mcugen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("\x1b[31mred")

    monkeypatch.setattr(pipeline, "load", broken)
    answer = mcugen("inspect", MODEL)
    assert answer.code == 2
    assert answer.err == (
        "error: internal fault: RuntimeError: \\x1b[31mred\n"
        "  help: run again with --debug and report what it prints\n"
    )
    for command in (("--debug", "inspect", MODEL), ("inspect", MODEL, "--debug")):
        assert "Traceback" in mcugen(*command).err
