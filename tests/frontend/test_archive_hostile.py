"""Hostile and damaged archives: nothing of them runs, and each is answered in one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from mcugen.frontend.archive import read_archive
from tests.frontend.hostile.builders import (
    ATTACKS,
    MODEL,
    Build,
    archive,
    entries,
    pickled_constant,
    pickled_samples,
    pickled_weight,
    python_in_sizes,
)
from tests.frontend.nets import NETS, make, save

MUTANTS = 3000


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of a network with constants of every kind."""
    path = tmp_path_factory.mktemp("honest") / "m.pt2"
    return save(make("convolutional"), NETS["convolutional"][1], path).read_bytes()


def build(attack: Build, honest: bytes, folder: Path) -> tuple[Path, Path]:
    """The hostile archive and the file that appears if it runs."""
    marker = folder / f"{attack.__name__}_ran"
    path = folder / f"{attack.__name__}.pt2"
    path.write_bytes(attack(honest, marker))
    return path, marker


def test_none_of_seven_attacks_runs_or_touches_a_file(honest: bytes, tmp_path: Path) -> None:
    built = [build(attack, honest, tmp_path) for attack in ATTACKS]
    paths = [str(path) for path, _ in built]
    before = sorted(tmp_path.iterdir())
    module = "tests.frontend.hostile.probe"
    done = subprocess.run(
        [sys.executable, "-m", module, *paths], capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(ATTACKS) == 7
    for words, found in zip(ATTACKS.values(), answers, strict=True):
        assert found["violations"] == []
        assert found["peak_mib"] < 250
        if words is None:
            assert found["answer"] == "read"
        else:
            assert words in found["answer"]
            assert found["answer"].count("error: ") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_attacks_are_real(honest: bytes, tmp_path: Path) -> None:
    """PyTorch's own loader runs the code in four of them, so the corpus proves something."""
    attacks = (pickled_samples, pickled_weight, pickled_constant, python_in_sizes)
    built = [build(attack, honest, tmp_path) for attack in attacks]
    code = (
        "import sys, torch, contextlib\n"
        "for path in sys.argv[1:]:\n"
        "    with contextlib.suppress(Exception):\n"
        "        torch.export.load(path)\n"
    )
    paths = [str(path) for path, _ in built]
    subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=True)
    assert [marker.exists() for _, marker in built] == [True] * 4


def test_the_probe_sees_what_it_should(tmp_path: Path) -> None:
    """A reader that unpickled, imported or opened something would be caught."""
    code = (
        "import sys\n"
        "from tests.frontend.hostile import probe\n"
        "def bad(path):\n"
        "    import colorsys, ctypes, pickle, socket\n"
        "    pickle.loads(pickle.dumps(print)); eval('1'); open(sys.argv[2]).read()\n"
        "    socket.socket().close(); ctypes.CDLL(None)\n"
        "probe.read_archive = bad\n"
        "sys.argv = ['probe', 'x', *sys.argv[1:]]\n"
        "probe.main()\n"
    )
    other = tmp_path / "other"
    other.write_text("")
    done = subprocess.run(
        [sys.executable, "-c", code, other], capture_output=True, text=True, check=True
    )
    seen = " ".join(json.loads(done.stdout.splitlines()[0])["violations"])
    for event in ("import", "pickle.find_class", "compile", "exec", "open", "socket", "dlopen"):
        assert event in seen


def test_mutated_archives_are_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    base = save(module.eval(), (1, 4, 4), tmp_path / "base.pt2")
    command = [sys.executable, "-m", "tests.frontend.hostile.mutate", base, "0", str(MUTANTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # it names the mutant to replay
    found = json.loads(done.stdout)
    assert found["slowest_s"] < 5
    assert found["peak_mib"] < 250
    assert len(found["answers"]) > 30  # many different checks were reached
    assert 0.02 * MUTANTS < found["answers"]["read"] < 0.7 * MUTANTS


def test_a_name_can_carry_no_code(honest: bytes, tmp_path: Path) -> None:
    """Names of modules and files end up in comments of C."""
    root, content = entries(honest)
    document = json.loads(content[MODEL])
    for node in document["graph_module"]["graph"]["nodes"]:
        node["metadata"]["nn_module_stack"] = "a,b*/ int main(){;},c;a,b*/ system(0)//,c"
        node["metadata"]["stack_trace"] = 'File "/home/me/*/evil\\".py", line 3, in f'
    path = tmp_path / "m.pt2"
    path.write_bytes(archive(root, {**content, MODEL: json.dumps(document).encode()}))
    for node in read_archive(path).nodes:
        shown = f"{node.source.module} {node.source.at}"
        assert not set(shown) & set("*/\\\"';(){}")
        assert "home" not in shown
