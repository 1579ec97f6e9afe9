"""The C side of the protocol comes from the Python table: compiled, packed in C, read in Python."""

from pathlib import Path

import pytest

from mcugen import tools
from mcugen.build import gcc
from mcugen.build.headers import board_macros, render_protocol_messages, render_target
from mcugen.run import protocol
from mcugen.target.boards import Board

_PACK = """
#include <stdio.h>
#include "protocol_messages.h"
int main(void)
{
    uint8_t out[PROTOCOL_PAYLOAD_MAX];
    identify_reply reply = {
        .status = STATUS_OK, .digest = {1, 2, 3}, .board = "here", .clock_hz = 0x12345678u,
        .clock_source = CLOCK_SOURCE_PLL_EXTERNAL, .cycle_source = CYCLE_SOURCE_SYSTICK,
        .input_bytes = 0x01020304u, .output_bytes = 5u, .layer_count = 0xABCDu,
        .arena_bytes = 7u, .capture_bytes = 0xFFFFFFFFu,
    };
    pack_identify_reply(out, &reply);
    (void)fwrite(out, 1, IDENTIFY_REPLY_BYTES, stdout);
    run_reply done = {.status = STATUS_MODEL_FAILED, .cycles = 0x0102030405060708u};
    pack_run_reply(out, &done);
    (void)fwrite(out, 1, RUN_REPLY_BYTES, stdout);
    const uint8_t in[] = {4, 3, 2, 1, 6, 5};
    const read_output_request request = unpack_read_output_request(in);
    return request.offset == 0x01020304u ? request.length != 0x0506u : 1;
}
"""


def test_header_names_every_message() -> None:
    text = render_protocol_messages()
    for message in protocol.MESSAGES:
        assert f"#define {message.name.upper()} {message.code}u\n" in text
        assert (
            f"{{ {message.name.upper()}, {int(message.needs_result)}u, "
            f"{message.request.bytes_min}u, {message.request.bytes_max}u }}"
        ) in text
    for status in protocol.Status:
        assert f"#define STATUS_{status.name} {status.value}u\n" in text


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_what_c_packs_python_reads(tmp_path: Path, compiler: str) -> None:
    (tmp_path / "protocol_messages.h").write_text(render_protocol_messages())
    (tmp_path / "pack.c").write_text(_PACK)
    tools.run_checked([compiler, *gcc.WARNINGS, "pack.c", "-o", "pack"], cwd=tmp_path)
    done = tools.run_checked(["sh", "-c", "./pack > out"], cwd=tmp_path)
    assert done.returncode == 0
    out = (tmp_path / "out").read_bytes()
    size = protocol.IDENTIFY.reply.bytes_min
    values, tail = protocol.IDENTIFY.reply.unpack(out[:size])
    assert tail == b""
    assert values == {
        "status": 0,
        "digest": bytes([1, 2, 3]).ljust(32, b"\0"),
        "board": b"here".ljust(24, b"\0"),
        "clock_hz": 0x12345678,
        "clock_source": protocol.ClockSource.PLL_EXTERNAL,
        "cycle_source": protocol.CycleSource.SYSTICK,
        "input_bytes": 0x01020304,
        "output_bytes": 5,
        "layer_count": 0xABCD,
        "arena_bytes": 7,
        "capture_bytes": 2**32 - 1,
    }
    done_values, _ = protocol.RUN.reply.unpack(out[size:])
    assert done_values["status"] == protocol.Status.MODEL_FAILED
    assert done_values["cycles"] == 0x0102030405060708


def test_target_holds_board_and_digest(board: Board) -> None:
    text = render_target(board, "0123456789abcdef" * 4)
    assert '#define BOARD_NAME "stm32f446"\n' in text
    assert "#define UART_BASE 1073759232u\n" in text
    assert text.count("0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef") == 4
    names = [macro.name for macro in board_macros(board)]
    assert len(names) == len(set(names))
