"""Real serial ports as far as a machine without a board has them: terminals, sockets, lists."""

import os
import socket
import tty

import pytest

from mcugen.errors import McugenError
from mcugen.run import serial as serial_module
from mcugen.run.serial import FoundPort, choose_port, open_board
from mcugen.target.boards import Board, load_board
from tests.run.lines import FAST, PythonBoard, served, terminal


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("stm32f446")


def test_through_a_terminal(board: Board) -> None:
    data = bytes(range(256)) + bytes(344)
    with (
        terminal() as (ours, path),
        served(ours, PythonBoard()),
        open_board(board, path) as device,
    ):
        assert device.run(data).output == data[::-1]


def test_through_a_socket(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with open_board(board, url) as device:
            connection, _ = server.accept()
            with connection, served(connection.fileno(), PythonBoard()):
                assert device.run(bytes(600)).output == bytes(600)


def test_a_second_program_is_kept_out(board: Board) -> None:
    with (
        terminal() as (_, path),
        open_board(board, path),
        pytest.raises(McugenError, match=r"cannot open serial port[^$]*another program holds it"),
        open_board(board, path),
    ):
        pass


def test_unplugged_in_the_middle(board: Board) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    os.close(theirs)
    with open_board(board, path, FAST) as device:
        os.close(ours)
        with pytest.raises(McugenError, match="the line to the board broke"):
            device.identify()


def test_no_such_port(board: Board) -> None:
    with (
        pytest.raises(McugenError, match="cannot open serial port '/dev/none'"),
        open_board(board, "/dev/none"),
    ):
        pass


def _port(path: str, usb_id: str | None) -> FoundPort:
    return FoundPort(path, usb_id, "0667FF", "STM32 STLink")


def test_the_one_with_the_boards_usb_id_is_taken(board: Board) -> None:
    ours = _port("/dev/ttyACM1", "0483:374b")
    assert choose_port(board, [_port("/dev/ttyS0", None), ours]) == ours


def test_no_candidate_lists_what_there_is(board: Board) -> None:
    with pytest.raises(McugenError) as caught:
        choose_port(board, [_port("/dev/ttyACM0", "2341:0043")])
    assert str(caught.value) == (
        "error: no serial port belongs to Nucleo-F446RE\n"
        "  got  /dev/ttyACM0 (STM32 STLink, USB 2341:0043, serial number 0667FF)\n"
        "  want  USB 0483:374b\n"
        "  help: plug the board in, or name its port: --port /dev/ttyACM0"
    )


def test_several_candidates_are_listed(board: Board) -> None:
    ports = [_port("/dev/ttyACM0", "0483:374b"), _port("/dev/ttyACM1", "0483:374b")]
    with pytest.raises(McugenError) as caught:
        choose_port(board, ports)
    assert "2 serial ports could be Nucleo-F446RE" in str(caught.value)
    assert "/dev/ttyACM0" in str(caught.value)
    assert "help: name one: --port /dev/ttyACM0" in str(caught.value)


def test_auto_looks_through_the_ports(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_module.list_ports, "comports", list)
    with pytest.raises(McugenError, match="no serial ports at all"), open_board(board):
        pass
