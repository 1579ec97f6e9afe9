"""The image: built, measured, refused where it must be; never half-written."""

import shutil
from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build.elf import read_elf
from mcugen.build.firmware import FirmwareReport, build_firmware, image_path
from mcugen.build.fits import check_fits
from mcugen.errors import McugenError
from mcugen.target.boards import Board, Ram, load_board
from tests.build.tiny_model import write_tiny_model


def test_report(built: FirmwareReport, board: Board) -> None:
    assert built.fits
    assert built.flash.total == built.flash.code + built.flash.constants
    assert built.flash.total == built.binary.stat().st_size
    assert built.ram.total == built.ram.arena + built.ram.static + built.ram.stack
    assert (built.ram.arena, built.ram.stack) == (48, board.firmware.stack_bytes)
    assert built.ram.static <= board.firmware.static_bytes
    assert [layer.name for layer in built.layers] == ["square", "sum"]
    assert all(layer.code > 0 for layer in built.layers)
    assert built.hex.read_text().startswith(":020000040800")


def test_image_layout(built: FirmwareReport, board: Board) -> None:
    """Vector table first in flash, initial stack and reset address in it, stack first in RAM."""
    elf = read_elf(built.elf)
    addresses = {section.name: section.address for section in elf.sections}
    assert addresses[".vectors"] == board.memory.flash.base
    assert addresses[".stack"] == board.memory.ram.base
    head = built.binary.read_bytes()
    first_stack, reset = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
    assert first_stack == board.memory.ram.base + board.firmware.stack_bytes
    assert reset == elf.entry | 1


def test_stack_bound_names_the_chain(built: FirmwareReport) -> None:
    names = [name for name, _ in built.stack.path]
    assert names[:2] == ["reset_handler", "main"]
    assert names[-2:] == ["exception", "systick_handler"]
    assert "tiny_run" in names
    assert built.model_stack.path[0][0] == "tiny_run"
    assert built.stack.bytes == sum(size for _, size in built.stack.path)


def test_same_model_same_bytes(tmp_path: Path, built: FirmwareReport, board: Board) -> None:
    write_tiny_model(tmp_path / "elsewhere")
    again = build_firmware(tmp_path / "elsewhere", board)
    for mine, other in ((built.elf, again.elf), (built.binary, again.binary)):
        assert mine.read_bytes() == other.read_bytes()


def test_pre_check_of_ram(tmp_path: Path, board: Board) -> None:
    check_fits(write_tiny_model(tmp_path, arena=126_976), board)
    with pytest.raises(McugenError) as caught:
        check_fits(write_tiny_model(tmp_path, arena=141_312), board)
    words = str(caught.value)
    assert "the model needs 141,312 B of RAM, stm32f446 leaves 126,976 B" in words
    assert "help: " in words


def test_pre_check_of_flash(tmp_path: Path, board: Board) -> None:
    manifest = write_tiny_model(tmp_path).model_copy(update={"weight_bytes": 600_000})
    with pytest.raises(McugenError, match="need 600,000 B of flash, stm32f446 has 524,288 B"):
        check_fits(manifest, board)


def test_board_with_two_rams_gives_one_to_the_model(tmp_path: Path) -> None:
    """Stack and variables lie in the DTCM: the other RAM is the model's to the last byte."""
    board = load_board("stm32h743")
    assert board.memory.fast is not None
    assert board.ram_available == board.memory.ram.size == 524_288
    manifest = write_tiny_model(tmp_path, core=board.core.name, arena=524_288)
    check_fits(manifest, board)
    report = build_firmware(tmp_path, board)
    assert report.ram.arena == 524_288
    assert report.ram.total <= report.ram_size == 524_288 + 131_072
    sections = {section.name: section.address for section in report.sections}
    assert sections[".arena"] == board.memory.ram.base
    assert sections[".stack"] == board.memory.fast.base


def test_each_ram_is_judged_by_itself(tmp_path: Path) -> None:
    """The two together would do, and neither does."""
    board = load_board("stm32h743")
    fast = Ram(base=0x2000_0000, size=2_304, source="a test")
    memory = board.memory.model_copy(update={"fast": fast})
    tight = board.model_copy(update={"memory": memory})
    write_tiny_model(tmp_path, core=board.core.name)
    with pytest.raises(McugenError, match=r"B of RAM, stm32h743 has 2,304 B\n  at  static "):
        build_firmware(tmp_path, tight)
    manifest = write_tiny_model(tmp_path / "large", core=board.core.name, arena=524_292)
    with pytest.raises(McugenError, match="needs 524,292 B of RAM, stm32h743 leaves 524,288 B"):
        check_fits(manifest, board)


def test_image_that_exceeds_the_flash(tmp_path: Path, board: Board) -> None:
    edits = {
        "static const int16_t tiny_weights": "static const uint8_t tiny_huge[600000] = {1};\n"
        "static const int16_t tiny_weights",
        "LAYER(1u);": "LAYER(1u);\n    net->arena[9] = tiny_huge[net->arena[0] % 600000u];",
    }
    write_tiny_model(tmp_path, edits=edits)
    with pytest.raises(McugenError) as caught:
        build_firmware(tmp_path, board)
    words = str(caught.value)
    assert "B of flash, stm32f446 has 524,288 B" in words
    assert "largest: tiny_huge 600,000 B" in words
    assert not image_path(tmp_path, board).exists()


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("if (net->arena[0] == 7u) { (void)tiny_run(net); }", "recursion: "),
        (
            "tiny_status (*volatile f)(tiny_t *) = tiny_reset;\n    (void)f(net);",
            "'tiny_run' calls through a pointer",
        ),
        ("volatile float x = 1.5f;\n    x = x * x;", "the image uses '__aeabi_fmul'"),
        (
            "volatile uint8_t x[2000] = {0};\n    (void)x[3];",
            "of stack, stm32f446 sets 2,048 B aside",
        ),
    ],
    ids=["recursion", "pointer", "float", "stack"],
)
def test_models_that_break_a_promise(tmp_path: Path, board: Board, added: str, words: str) -> None:
    write_tiny_model(tmp_path, edits={"LAYER(0u);": f"{added}\n    LAYER(0u);"})
    with pytest.raises(McugenError) as caught:
        build_firmware(tmp_path, board)
    assert words in str(caught.value)


def test_edited_model_is_refused(tmp_path: Path, board: Board) -> None:
    write_tiny_model(tmp_path)
    with (tmp_path / "model.c").open("a") as file:
        file.write("\n")
    with pytest.raises(McugenError, match=r"'model\.c' is not as manifest\.json says"):
        build_firmware(tmp_path, board)


def test_model_for_another_core_is_refused(tmp_path: Path, board: Board) -> None:
    write_tiny_model(tmp_path, core="cortex-m7")
    with pytest.raises(McugenError, match="generated for cortex-m7, stm32f446 has a cortex-m4"):
        build_firmware(tmp_path, board)


def test_no_model_is_refused(tmp_path: Path, board: Board) -> None:
    with pytest.raises(McugenError, match=r"no manifest\.json"):
        build_firmware(tmp_path, board)


def test_missing_compiler_names_its_package(
    tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McugenError) as caught:
        build_firmware(tmp_path, board)
    assert "missing program: arm-none-eabi-gcc" in str(caught.value)
    assert "sudo apt-get install gcc-arm-none-eabi" in str(caught.value)


def test_folder_that_cannot_be_written(tmp_path: Path, board: Board) -> None:
    write_tiny_model(tmp_path)
    (tmp_path / "build").write_text("a file is in the way")
    with pytest.raises(McugenError, match=r"cannot write into .*/build': File exists"):
        build_firmware(tmp_path, board)


def test_interrupted_build_leaves_the_last_image(
    tmp_path: Path, board: Board, built: FirmwareReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path)
    target = image_path(tmp_path, board)
    shutil.copytree(built.elf.parent, target.parent)
    before = target.read_bytes()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "run_checked", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_firmware(tmp_path, board)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.parent.iterdir()] == [board.name]


def test_building_again_replaces_the_image(tmp_path: Path, board: Board) -> None:
    write_tiny_model(tmp_path)
    build_firmware(tmp_path, board)
    stray = image_path(tmp_path, board).with_name("stray")
    stray.write_text("")
    build_firmware(tmp_path, board)
    assert not stray.exists()
