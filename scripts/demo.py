"""The demo behind `scripts/demo`: one mixed network, from training to QEMU, and one table.

Each step is a command that a user would type; the table is made of their JSON documents.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BOARD = "stm32f446"
QEMU_SAMPLES = 200
ROOT = Path("build/demo")
MODEL, FOLDER = ROOT / "mixed.pt2", ROOT / "mixed"
MCUGEN = str(Path(sys.executable).with_name("mcugen"))

LAYERS = "--bits 8 --layer-bits conv2=4/4,fc1=1/1"
TRAIN = f"train uniform --model lenet --data mnist {LAYERS} --epochs 4 -o {MODEL}"
GENERATE = f"generate {MODEL} -o {FOLDER} --board {BOARD}"
CHECK = f"check {MODEL} --data mnist"
BUILD = f"build {FOLDER} --board {BOARD}"
RUN = f"run {FOLDER} --board {BOARD} --qemu --data mnist --limit {QEMU_SAMPLES}"
PROFILE = f"profile {FOLDER} --board {BOARD} --data mnist"

console = Console(stderr=True, highlight=False)


def command(words: str) -> dict[str, Any]:
    """Run one mcugen command and return its JSON document; its progress goes to the terminal."""
    console.print(f"[bold]$ mcugen {words}[/bold]")
    started = time.monotonic()
    done = subprocess.run(
        [MCUGEN, *words.split(), "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    console.print(f"  {time.monotonic() - started:.1f} s")
    return json.loads(done.stdout)


def main() -> None:
    ROOT.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    trained, generated = command(TRAIN), command(GENERATE)
    checked, built, ran, profiled = command(CHECK), command(BUILD), command(RUN), command(PROFILE)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column()
    accuracy, samples = checked["accuracy"], f"{checked['samples']:,} images"
    for name, value, note in (
        ("accuracy, PyTorch", accuracy["reference"], samples),
        ("accuracy, integer program", accuracy["interpreter"], samples),
        ("accuracy, host C", accuracy["c"], f"{samples}, {_differing(checked)} outputs differ"),
        (f"accuracy, {ran['target']}", ran["accuracy"], _differing_bytes(ran)),
    ):
        table.add_row(name, f"{100 * value:.2f} %", note)
    table.add_row("RAM", f"{built['ram']['total']:,} B", f"arena {built['ram']['arena']:,}")
    table.add_row(
        "flash", f"{built['flash']['total']:,} B", f"weights {generated['flash']['weights']:,}"
    )
    table.add_row(
        "stack",
        f"{built['stack']['image']['bytes']:,} B",
        f"of it the model {built['stack']['model']['bytes']:,}",
    )
    bits = {layer["name"]: layer for layer in generated["layers"]}
    for layer in profiled["layers"]:
        weights, activations = (bits[layer["name"]][f"{k}_bits"] for k in ("weight", "activation"))
        note = f"{layer['kernel']}, {weights or '–'}/{activations} bits, {layer['macs']:,} MACs"
        table.add_row(f"cycles, {layer['name']}", f"{layer['cycles']:,}", note)
    table.add_row("cycles, all", f"{profiled['cycles']:,}", f"{profiled['core']}, zero wait states")
    table.add_row(
        "", f"{profiled['cycles_flash']:,}", "estimate with the board's flash wait states"
    )
    Console(highlight=False).print(table)
    console.print(
        f"trained in {trained['seconds']:.0f} s, all in {time.monotonic() - started:.0f} s"
    )


def _differing(checked: dict[str, Any]) -> str:
    return f"{checked['mismatched_elements']['interpreter_c']:,} of {checked['elements']:,}"


def _differing_bytes(ran: dict[str, Any]) -> str:
    return f"{ran['samples']} images over serial, {ran['mismatched_bytes']} bytes unlike the host's"


if __name__ == "__main__":
    main()
