"""The wheel, in an environment of its own and away from the checkout, does all the work.

Dependencies come from the environment of the tests through a path file, so nothing is downloaded.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tests/models/digits_mlp.pt2"
BOARD = "stm32f446"
DATA = ("templates", "firmware", "boards")


def call(*argv: object, cwd: Path) -> str:
    """What a program prints; it sees nothing of this checkout through the environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [str(item) for item in argv]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(source: Path, target: Path) -> Path:
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-w", target)
    call(sys.executable, "-m", "pip", "wheel", *options, source, cwd=target.parent)
    (wheel,) = target.glob("mcugen-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("build") / "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin/python"
    options = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    call(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=home)
    packages = call(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home
    )
    path_file = Path(packages.strip()) / "dependencies.pth"
    path_file.write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def names(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"mcugen/{name}" for name in names(ROOT / "mcugen")} <= held
    for part in DATA:
        assert {f"mcugen/_data/{part}/{name}" for name in names(ROOT / part)} <= held
    assert not [name for name in held if not name.startswith(("mcugen/", "mcugen-"))]


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("mcugen-*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    again = build_wheel(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    first, second = zipfile.ZipFile(wheel), zipfile.ZipFile(again)
    assert first.namelist() == second.namelist()
    assert all(first.read(name) == second.read(name) for name in first.namelist())


def test_the_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    code = (
        "import mcugen, mcugen.resources as r; print(mcugen.__file__); print(r.data_root());"
        "import importlib.metadata as m; print(m.version('mcugen'))"
    )
    package, data, version = call(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert Path(package).is_relative_to(installed.parent)
    assert Path(data) == Path(package).parent / "_data"
    assert call(installed / "mcugen", "--version", cwd=tmp_path) == f"mcugen {version}\n"


def test_it_generates_builds_and_runs(installed: Path, tmp_path: Path) -> None:
    mcugen = installed / "mcugen"
    call(mcugen, "generate", MODEL, "-o", "out", "--board", BOARD, cwd=tmp_path)
    built = json.loads(call(mcugen, "build", "out", "--board", BOARD, "--json", cwd=tmp_path))
    assert (tmp_path / built["elf"]).is_file()
    arguments = ("run", "out", "--board", BOARD, "--qemu", "--data", "digits", "--limit", "3")
    ran = json.loads(call(mcugen, *arguments, "--json", cwd=tmp_path))
    assert (ran["samples"], ran["mismatched_bytes"]) == (3, 0)
    assert BOARD in call(mcugen, "boards", cwd=tmp_path)
