"""The command line inside this process: fast, with its words and exit code as a user gets them."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcugen import cli, pipeline
from mcugen.target.boards import load_board

MODELS = Path(__file__).parents[1] / "models"
BOARD = "stm32f446"


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def mcugen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Runs `mcugen ARGUMENTS…`."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["mcugen", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    yield run
    signal.signal(signal.SIGTERM, before)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below `folder`."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


Refused = Callable[..., str]


@pytest.fixture
def refused(mcugen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Runs a command that must end with 2, say `words`, and leave the disk as it was.

    The working folder is `tmp_path`; temporary files belong there too.
    """
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, words: tuple[str, ...] | list[str]) -> str:
        before = tree(tmp_path)
        answer = mcugen(*arguments)
        assert (answer.code, answer.out) == (2, ""), answer
        assert answer.err.startswith("error: ")
        assert "Traceback" not in answer.err
        assert "internal fault" not in answer.err
        for expected in words:
            assert expected in answer.err, answer.err
        assert tree(tmp_path) == before
        return answer.err

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output of `mcugen generate`, not to be changed."""

    board = load_board(BOARD)
    model = pipeline.load(MODELS / "digits_mlp.pt2")
    target = tmp_path_factory.mktemp("generated") / "digits"
    pipeline.generate(pipeline.emitted(model, board.core, None, board, False), target, False)
    return target


@pytest.fixture(scope="session")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with an image, not to be changed."""

    target = tmp_path_factory.mktemp("built") / "digits"
    shutil.copytree(folder, target)
    pipeline.build(target, load_board(BOARD))
    return target
