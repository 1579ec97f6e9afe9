"""Models that a board cannot hold are refused before anything is compiled, with what takes how
much."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import mcugen as package
from mcugen import pipeline
from mcugen.target.cores import core_named
from tests.cli.conftest import BOARD, MODELS, Command, Refused, tree
from tests.frontend.lowering import Quantize, conv, linear, pixels

AVAILABLE = "stm32f446 leaves 126,976 B"


class Skip(nn.Module):
    """x + f(x): x waits while f runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = (
            conv(3, 16, 1),
            conv(16, 32, 1, stride=2),
            conv(32, 16, 1),
        )
        self.q0, self.q1, self.q2, self.q3 = (Quantize(0.02, 0, -128, 127) for _ in range(4))
        self.q2.scale = self.q0.scale
        self.pixels = pixels()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.q0(self.first(self.pixels(x)))
        y = self.q2(self.two(self.q1(self.one(x))))
        return self.q3(self.pool(x) + y)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """112×112×16 int8 are 200,704 B."""
    torch.manual_seed(0)
    return package.export(Skip().eval(), torch.rand(1, 3, 112, 112), tmp_path / "large.pt2")


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    """Two million weights of one byte."""
    torch.manual_seed(0)
    first, second = linear(192, 2048), linear(2048, 800)
    model = nn.Sequential(pixels(), nn.Flatten(), first, Quantize(0.02, 0, 0, 255), second)
    return package.export(model.eval(), torch.rand(1, 3, 8, 8), tmp_path / "heavy.pt2")


def test_too_much_ram(refused: Refused, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # nothing is compiled
    words = refused("generate", large, "-o", "out", "--board", BOARD, words=[AVAILABLE])
    rows = [line.split(maxsplit=2) for line in words.splitlines()]
    assert words.startswith("error: the model needs ")
    at = "  at  one.layer, the layer with the peak: conv2d + requantize, 112×112×16 → 56×56×32"
    assert at in words
    assert ["got", "200,704", "B  input, from first.layer"] in rows
    assert ["50,176", "B", "kept for later, from pool"] in rows
    assert ["100,352", "B", "output"] in rows
    assert ["-100,320", "B", "output over an input that it replaces"] in rows
    assert "want  126,976 B: RAM of 131,072 B less 4,096 B for stack and firmware" in words
    assert "help: " in words


def test_a_limit_that_no_plan_keeps(refused: Refused) -> None:
    model = MODELS / "lenet_binary.pt2"
    least = pipeline.emitted(
        pipeline.load(model), core_named("cortex-m4"), None, None, False, pipeline.wishes("ram")
    ).manifest.ram.arena
    words = refused("generate", model, "-o", "out", "--ram-limit", least - 4, words=[])
    assert (
        f"no plan keeps to {least - 4:,} B of RAM: the least takes {least:,} B, 4 B more" in words
    )
    assert f"want  --ram-limit {least}" in words


def test_less_ram_at_a_stated_price(mcugen: Command, tmp_path: Path) -> None:
    model = MODELS / "lenet_binary.pt2"
    told = {}
    for aim in ("speed", "ram"):
        answer = mcugen("generate", model, "-o", tmp_path / aim, "--optimize", aim, "--json")
        assert answer.code == 0, answer.err
        told[aim] = json.loads(answer.out)["ram"]
    assert (told["speed"]["saved"], told["speed"]["added_cycles"]) == (0, 0)
    assert told["ram"]["saved"] == told["speed"]["arena"] - told["ram"]["arena"] > 0
    shown = mcugen("generate", model, "-o", tmp_path / "shown", "--optimize", "ram").out
    price = f"{told['ram']['saved']:,} less for {told['ram']['added_cycles']:,} cycles more"
    assert price in shown


def test_too_much_flash(refused: Refused, heavy: Path) -> None:
    words = refused("generate", heavy, "-o", "out", "--board", BOARD, words=[])
    assert "weights and tables need 2,0" in words
    assert "of flash, stm32f446 has 524,288 B" in words
    layers = re.findall(r"([\d,]+) B  (\S+): linear \+ requantize", words)
    assert [name for _, name in layers] == ["4.layer", "2.layer"]  # the larger first
    assert all(int(size.replace(",", "")) > 192 * 2048 for size, _ in layers)


def test_build_refuses_as_generate_does(
    refused: Refused, large: Path, heavy: Path, tmp_path: Path
) -> None:
    for path in (large, heavy):
        model = pipeline.load(path)
        out = tmp_path / path.stem
        pipeline.generate(
            pipeline.emitted(model, core_named("cortex-m4"), None, None, False), out, False
        )
        before = tree(out)
        asked = refused("generate", path, "-o", "other", "--board", BOARD, words=[])
        told = refused("build", out, "--board", BOARD, words=[])
        # For a board, other kernels are tried before a model is refused: bytes may differ.
        first = [re.sub(r"[\d,]+ B", "N B", words.splitlines()[0]) for words in (asked, told)]
        assert first[0] == first[1]
        assert tree(out) == before


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.pt2")), ids=lambda path: path.stem)
def test_the_peak_accounts_for_the_lower_bound(path: Path) -> None:
    """What is listed is all there is: buffers in words, less what the output may run over."""
    manifest = pipeline.emitted(
        pipeline.load(path), core_named("cortex-m4"), None, None, False
    ).manifest
    ram = manifest.ram
    assert ram.peak_layer in {layer.name for layer in manifest.layers}
    listed = sum(-(-item.bytes // 4) * 4 for item in ram.peak)
    output = sum(item.bytes for item in ram.peak if item.role == "output")
    assert listed - output <= ram.peak_bytes <= listed
    assert [item.role for item in ram.peak].count("output") == 1
