"""What is promised of the emitted files as a whole."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcugen.emit import emit, write
from mcugen.emit.manifest import Manifest
from mcugen.errors import McugenError
from mcugen.ir import Int, Program, Source, TensorType, interp, ops
from mcugen.ir.program import Meaning
from mcugen.ir.types import accumulator
from mcugen.plan.choice import Optimize, Wishes
from mcugen.run.host import HostModel, encode_input
from mcugen.target.cores import core_named
from tests.builder import Builder
from tests.programs import random_inputs, random_program

M4 = core_named("cortex-m4")
#: Kernels without functions of their own.
SMALL = Wishes(optimize=Optimize.SIZE)
U8 = Int(8, False, 0, 255)
I8 = Int(8, True, -128, 127)


def two_layers(seed: int = 0) -> Program:
    """A convolution with thresholds and a linear layer with scores."""
    rng = np.random.default_rng(seed)
    b = Builder(TensorType((1, 6, 6, 2), U8), Meaning((1 / 255,)))
    w = b.const(rng.integers(-8, 8, (3, 3, 3, 2)), Int(4, True, -8, 7))
    x = b.op(ops.Conv2d(b.x, w, stride=(2, 2), padding=(1, 1, 1, 1)), Source("c", "conv", "n.py:3"))
    table = b.const(np.sort(rng.integers(-999, 999, (3, 7)), axis=1), accumulator(-9999, 9999))
    x = b.op(ops.Threshold(x, table, b.const([1, -1, 1], Int(2, True, -1, 1))))
    w = b.const(rng.integers(-127, 128, (4, 27)), I8)
    x = b.op(ops.Linear(x, w), Source("linear", "fc", "n.py:4"), Meaning((0.5,), 0))
    return b.done(x)


def test_the_same_model_gives_the_same_bytes_from_any_path() -> None:
    one = emit(random_program(5), M4, "net", source_file="/home/a/net.pt2")
    two = emit(random_program(5), M4, "net", source_file="C:\\b\\net.pt2")
    assert one.files == two.files
    assert "home" not in "".join(one.files.values())


def test_the_manifest_tells_what_was_emitted() -> None:
    emitted = emit(two_layers(), M4, "net", board="stm32f446", source_file="net.pt2", wishes=SMALL)
    manifest = emitted.manifest
    assert set(emitted.files) == {"model.h", "model.c", "manifest.json"}
    for name, digest in manifest.files.items():
        assert hashlib.sha256(emitted.files[name].encode()).hexdigest() == digest
    assert json.loads(emitted.files["manifest.json"])["name"] == "net"
    assert [layer.name for layer in manifest.layers] == ["conv", "fc"]
    conv, fc = manifest.layers
    assert (conv.op, conv.kernel, conv.function) == ("conv2d + threshold", "conv2d", "net_conv")
    assert (conv.macs, conv.weight_bits, conv.activation_bits) == (486, 4, 8)
    assert (conv.weight_bytes, conv.table_bytes) == (54, 42 + 3)
    assert (fc.macs, fc.weight_bytes, fc.table_bytes) == (108, 108, 0)
    assert manifest.input.torch_shape == (1, 2, 6, 6)
    assert manifest.output.scale == 0.5
    assert manifest.ram.context == manifest.ram.arena


def _program(folder: Path, main: str, *flags: str) -> str:
    (folder / "main.c").write_text(main)
    units = [str(path) for path in folder.glob("*/model*.c")]
    argv = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        *flags,
        "main.c",
        *units,
        "-o",
        "main",
    ]
    subprocess.run(argv, cwd=folder, check=True)
    return subprocess.run(["./main"], cwd=folder, check=True, capture_output=True, text=True).stdout


def _c_bytes(manifest: Manifest, sample: np.ndarray) -> str:
    return ", ".join(str(value) for value in encode_input(manifest.input, sample)[0])


def test_two_models_and_two_instances_in_one_image(tmp_path: Path) -> None:
    programs = {"one": two_layers(1), "two": two_layers(2)}
    emitted = {
        name: emit(program, M4, name, split_data=name == "two")
        for name, program in programs.items()
    }
    for name, item in emitted.items():
        write(tmp_path / name, item)
    samples = random_inputs(programs["one"], 8, 0)[-2:]
    a, b = (_c_bytes(emitted["one"].manifest, sample[None]) for sample in samples)
    main = f"""
        #include <stdio.h>
        #include <string.h>
        #include "one/model.h"
        #include "two/model.h"
        static one_t first, second;
        static two_t other;
        static const unsigned char a[] = {{{a}}}, b[] = {{{b}}};
        static void show(const int32_t *scores) {{
            for (unsigned i = 0; i < ONE_OUTPUT_COUNT; i++) printf("%d ", (int)scores[i]);
        }}
        int main(void) {{
            if (one_init(&first) || one_init(&second) || two_init(&other)) return 1;
            memcpy(one_input(&first), a, sizeof a);
            memcpy(one_input(&second), b, sizeof b);
            memcpy(two_input(&other), b, sizeof b);
            one_run(&first); two_run(&other); one_run(&second);
            show(one_output(&first)); show(one_output(&second)); show(two_output(&other));
            return 0;
        }}"""
    got = [int(word) for word in _program(tmp_path, main).split()]
    first, second = interp.run(programs["one"], samples)
    third = interp.run(programs["two"], samples)[1]
    assert got == [*first, *second, *third]


def test_null_pointers_and_layer_names(tmp_path: Path) -> None:
    write(tmp_path / "net", emit(two_layers(), M4, "net"))
    main = """
        #include <stdio.h>
        #include "net/model.h"
        static unsigned called;
        void hook(uint32_t layer);
        void hook(uint32_t layer) { called = called * 10u + layer + 1u; }
        int main(void) {
            static net_t net;
            if (net_init(0) != NET_ERROR_NULL || net_run(0) != NET_ERROR_NULL) return 1;
            if (net_reset(0) != NET_ERROR_NULL || net_input(0) || net_output(0)) return 2;
            if (net_init(&net) != NET_OK || net_run(&net) != NET_OK) return 3;
            printf("%u", called);
            for (uint32_t i = 0; i < 3; i++) printf(" [%s]", net_layer_name(i));
            return 0;
        }"""
    assert _program(tmp_path, main, "-DMODEL_LAYER_HOOK=hook") == "123 [conv] [fc] []"


def test_sections_take_constants_and_code(tmp_path: Path) -> None:
    write(tmp_path / "net", emit(two_layers(), M4, "net", wishes=SMALL))
    flags = ['-DMODEL_WEIGHTS_SECTION=__attribute__((section("data_here")))']
    flags += ['-DMODEL_FAST_CODE=__attribute__((section("code_here")))']
    unit = str(tmp_path / "net" / "model.c")
    subprocess.run(["gcc", "-c", *flags, unit, "-o", "net.o"], cwd=tmp_path, check=True)
    done = subprocess.run(["objdump", "-t", "net.o"], cwd=tmp_path, capture_output=True, text=True)
    found = re.findall(r"(data_here|code_here)\s\w+ (net_\w+)", done.stdout)
    assert {name for section, name in found if section == "code_here"} == {"net_conv", "net_fc"}
    assert ("data_here", "net_conv_weights") in found


@pytest.mark.parametrize("optimize", ["-O0", "-O2", "-O3", "-Os"])
def test_each_layer_keeps_its_symbol(optimize: str, tmp_path: Path) -> None:
    """Also two layers of the same code, and a layer that some optimization would specialise."""
    b = Builder(TensorType((1, 4), I8))
    x = b.x
    for module in ("a", "b"):
        w = b.const(np.eye(4, dtype=np.int64), Int(1, False, 0, 1))
        x = b.op(ops.Linear(x, w), Source("linear", module))
        one = b.const([1], Int(1, False, 0, 1)), b.const([0], Int(1, False, 0, 1))
        x = b.op(ops.Requantize(x, *one, shift=0, lo=-128, hi=127))
    write(tmp_path / "net", emit(b.done(x), M4, "net"))
    flags = ["-std=c99", optimize, *M4.gcc_flags, "-c", "net/model.c", "-o", "net.o"]
    subprocess.run(["arm-none-eabi-gcc", *flags], cwd=tmp_path, check=True)
    argv = ["arm-none-eabi-nm", "net.o"]
    symbols = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True).stdout.split()
    assert {"net_a", "net_b"} <= set(symbols)


@pytest.mark.parametrize(
    "module",
    ["a*/b", "/*", "größe", 'quote"s', "back\\", "new\nline", "??/", "int", "run", "9", ""],
)
def test_names_from_the_model_cannot_break_the_c(module: str, tmp_path: Path) -> None:
    b = Builder(TensorType((1, 3), I8))
    source = Source(module or "node", module, module)
    program = b.done(b.op(ops.Linear(b.x, b.const(np.eye(3), I8)), source))
    emitted = emit(program, M4, "net", source_file=f"x{module}.pt2")
    assert all(text.isascii() for text in emitted.files.values())
    write(tmp_path / "net", emitted)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run(["gcc", *flags, str(tmp_path / "net/model.c")], check=True)
    sample = np.array([[1, -2, 3]])
    assert HostModel(tmp_path / "net").run_batch(sample).tolist() == [[1, -2, 3]]


def test_no_branch_holds_a_compound_decision() -> None:
    for seed in range(120):
        code = emit(random_program(seed), M4, "net").files["model.c"]
        assert not re.search(r"&&|\|\|", re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL))
        assert not re.search(r"\b(float|double|malloc|free|goto)\b", code)


def test_a_prefix_that_is_none_is_refused() -> None:
    with pytest.raises(McugenError, match="cannot prefix C symbols"):
        emit(two_layers(), M4, "My Net")
