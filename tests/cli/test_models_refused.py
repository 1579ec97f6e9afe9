"""Models that cannot be generated: exit code 2, the sentence, and a disk as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mcugen as package
from tests.cli.conftest import MODELS, Refused
from tests.frontend.hostile.builders import ATTACKS, MODEL, changed, edited
from tests.frontend.lowering import Quantize, conv, linear, pixels

HONEST = MODELS / "digits_mlp.pt2"


class Cumulative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(x, 1)


def behind_pixels(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(pixels(), *modules)


REFUSED: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "unsupported op": (
        lambda: behind_pixels(Cumulative()),
        [
            "'aten.cumsum.default' has no integer lowering",
            "at  1, ",
            "test_models_refused.py:",
            "mcugen ops",
        ],
    ),
    "tensor left unquantized": (
        lambda: behind_pixels(conv(3, 4, 3), nn.ReLU(), conv(4, 4, 3)),
        ["of aten.conv2d.default is not quantized", "quantize_"],
    ),
    "scale is NaN": (
        lambda: behind_pixels(conv(3, 4, 3), Quantize(float("nan"), 0, -128, 127)),
        ["quantizer scale nan", "positive and finite", "help: "],
    ),
    "scale is zero": (
        lambda: behind_pixels(conv(3, 4, 3), Quantize(0.0, 0, -128, 127)),
        ["quantizer scale 0", "positive and finite"],
    ),
    "scale is negative": (
        lambda: behind_pixels(conv(3, 4, 3), Quantize(-0.5, 0, -128, 127)),
        ["quantizer scale -0.5", "positive and finite"],
    ),
    "accumulator overflow": (
        lambda: nn.Sequential(Quantize(1e-5, 0, 0, 65535), nn.Flatten(), linear(192, 4, bits=14)),
        ["linear: the accumulator could overflow 32 bits", "partial sums in [", "fewer bits"],
    ),
}


def exported(module: nn.Module, path: Path) -> Path:
    torch.manual_seed(0)
    return package.export(module.eval(), torch.rand(1, 3, 8, 8), path)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_lowered(name: str, refused: Refused, tmp_path: Path) -> None:
    module, words = REFUSED[name]
    exported(module(), tmp_path / "m.pt2")
    refused("generate", "m.pt2", "-o", "out", words=words)


def test_bounds_in_the_wrong_order(refused: Refused, tmp_path: Path) -> None:
    """torch refuses to run such a quantizer, so an honest archive is edited."""
    (tmp_path / "m.pt2").write_bytes(_edited(_swap_bounds))
    refused(
        "generate", "m.pt2", "-o", "out", words=["quantizer has lo = 255 and hi = 0", "lo < hi"]
    )


def test_dynamic_shapes(refused: Refused, tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=2, max=8)
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    program = torch.export.export(model, (torch.rand(4, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "m.pt2")
    words = ["the model has dynamic shapes", "input [?, 4]", "help: "]
    refused("generate", "m.pt2", "-o", "out", words=words)


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "no archive": (lambda: b"hello\n" * 100, "not a .pt2 archive"),
    "empty": (lambda: b"", "not a .pt2 archive"),
    "truncated": (lambda: HONEST.read_bytes()[:5000], "the archive is truncated or damaged"),
    "newer schema": (
        lambda: _edited(lambda document: document["schema_version"].update(major=99)),
        "schema version is not supported",
    ),
    "other archive version": (
        lambda: changed(HONEST.read_bytes(), archive_version=b"1"),
        "archive_version is not supported",
    ),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["generate", "inspect", "check"])
def test_a_file_that_cannot_be_read(
    name: str, command: str, refused: Refused, tmp_path: Path
) -> None:
    content, words = FILES[name]
    (tmp_path / "m.pt2").write_bytes(content())
    rest = {"generate": ["-o", "out"], "inspect": [], "check": ["--data", "digits"]}[command]
    refused(command, "m.pt2", *rest, words=[words, "m.pt2"])


@pytest.mark.parametrize("attack", [build for build, words in ATTACKS.items() if words])
def test_a_hostile_file(
    attack: Callable[[bytes, Path], bytes], refused: Refused, tmp_path: Path
) -> None:
    words = ATTACKS[attack]
    assert words is not None
    (tmp_path / "m.pt2").write_bytes(attack(HONEST.read_bytes(), tmp_path / "marker"))
    refused("generate", "m.pt2", "-o", "out", words=[words])


def test_no_such_file(refused: Refused) -> None:
    refused("generate", "m.pt2", "-o", "out", words=["no model file 'm.pt2'"])
    refused("inspect", ".", words=["no model file '.'"])


def test_a_refused_model_leaves_the_last_output(
    refused: Refused, mcugen: Callable[..., object], tmp_path: Path
) -> None:
    mcugen("generate", HONEST, "-o", tmp_path / "out")
    (tmp_path / "m.pt2").write_bytes(b"no model")
    refused("generate", "m.pt2", "-o", "out", words=["not a .pt2 archive"])


def _edited(edit: Callable[[Any], object]) -> bytes:
    return edited(HONEST.read_bytes(), MODEL, edit)


def _swap_bounds(document: Any) -> None:
    graph = document["graph_module"]["graph"]
    for node in graph["nodes"]:
        if node["target"].endswith("mcugen.quantize.default"):
            arguments = {item["name"]: item["arg"] for item in node["inputs"]}
            arguments["lo"]["as_int"], arguments["hi"]["as_int"] = 255, 0
            return
