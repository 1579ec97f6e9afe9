"""`mcugen train` under torchrun: two processes do what one does on the same batches."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mcugen.quant import ops as _ops  # noqa: F401 - torch.export.load must know them

pytest.importorskip("sklearn")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
MCUGEN = ["-m", "mcugen.cli"]


def trained(folder: Path, start: list[str], *options: str) -> tuple[dict, dict]:
    """The JSON document of a run, and its weights."""
    output = folder / f"{len(start)}.pt2"
    argv = [*start, *MCUGEN, "train", *options, "--data", "digits", "--json", "-o", str(output)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), torch.export.load(output).state_dict


@pytest.mark.parametrize(
    "options",
    [
        ("float", "--model", "mlp704_plain", "--epochs", "2"),
        ("uniform", "--model", "mlp704_plain", "--epochs", "2", "--bits", "4"),
    ],
)
def test_two_processes_give_the_weights_of_one(tmp_path, options):
    """Without batch norm, whose statistics are each process's own. 1437 images: a batch is odd."""
    one, weights = trained(tmp_path, [sys.executable], *options)
    two, others = trained(tmp_path, TORCHRUN, *options)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        assert torch.allclose(weight, others[name], rtol=1e-3, atol=1e-4), name
    assert two["accuracy"] == pytest.approx(one["accuracy"], abs=0.01)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)


def test_batch_norm_and_checkpoints_work_too(tmp_path):
    state = tmp_path / "state.ckpt"
    options = ("uniform", "--model", "lenet", "--epochs", "4", "--checkpoint", str(state))
    done, _ = trained(tmp_path, TORCHRUN, *options)
    assert done["accuracy"] > 0.5
    assert torch.load(state, weights_only=True)["epoch"] == 2
