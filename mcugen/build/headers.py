"""What is generated for an image: the protocol's messages, board and model, linker script."""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mcugen.resources import data_root
from mcugen.run import protocol
from mcugen.target.boards import Board, pin_numbers

_DIGEST_ROW_BYTES = 8


class Macro(NamedTuple):
    name: str
    value: int


class _Enumeration(NamedTuple):
    purpose: str
    members: tuple["_Member", ...]


class _Member(NamedTuple):
    macro: str
    value: int


class _CField(NamedTuple):
    """A message's field as the lines of C that declare, pack and unpack it."""

    declaration: str
    pack: str
    unpack: str


class _CMessage(NamedTuple):
    name: str
    macro: str
    code: int
    purpose: str
    needs_result: int
    request_bytes: int
    request_bytes_max: int
    reply_bytes: int
    request_members: tuple[_CField, ...]
    reply_members: tuple[_CField, ...]


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(data_root() / "firmware"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _c_field(field: protocol.Field, at: int, record: str) -> _CField:
    if field.count is not None:
        return _CField(
            declaration=f"uint8_t {field.name}[{field.count}]",
            pack=f"memcpy(out + {at}, reply->{field.name}, {field.count}u)",
            unpack=f"memcpy({record}.{field.name}, in + {at}, {field.count}u)",
        )
    width = 8 * field.bytes
    return _CField(
        declaration=f"uint{width}_t {field.name}",
        pack=f"put_u{width}(out + {at}, reply->{field.name})",
        unpack=f"{record}.{field.name} = get_u{width}(in + {at})",
    )


def _c_fields(layout: protocol.Layout, record: str) -> tuple[_CField, ...]:
    lines = []
    at = 0
    for field in layout.fields:
        lines.append(_c_field(field, at, record))
        at += field.bytes
    return tuple(lines)


def _c_message(message: protocol.Message) -> _CMessage:
    return _CMessage(
        name=message.name,
        macro=message.name.upper(),
        code=message.code,
        purpose=message.purpose,
        needs_result=int(message.needs_result),
        request_bytes=message.request.bytes_min,
        request_bytes_max=message.request.bytes_max,
        reply_bytes=message.reply.bytes_min,
        request_members=_c_fields(message.request, "request"),
        reply_members=_c_fields(message.reply, "reply"),
    )


def _c_enumeration(prefix: str, kind: type[IntEnum]) -> _Enumeration:
    members = tuple(_Member(f"{prefix}_{member.name}", member.value) for member in kind)
    return _Enumeration((kind.__doc__ or "").strip(), members)


def render_protocol_messages() -> str:
    """`protocol_messages.h`: the C side of `mcugen.run.protocol.MESSAGES`."""
    return (
        _environment()
        .get_template("protocol_messages.h.j2")
        .render(
            version=protocol.VERSION,
            reply_bit=protocol.REPLY_BIT,
            header_bytes=protocol.HEADER.size,
            crc_bytes=protocol.CRC.size,
            payload_max=protocol.PAYLOAD_MAX,
            chunk_bytes=protocol.CHUNK_BYTES,
            digest_bytes=protocol.DIGEST_BYTES,
            digest_prefix_bytes=protocol.DIGEST_PREFIX_BYTES,
            board_name_bytes=protocol.BOARD_NAME_BYTES,
            enumerations=(
                _c_enumeration("STATUS", protocol.Status),
                _c_enumeration("CYCLE_SOURCE", protocol.CycleSource),
                _c_enumeration("CLOCK_SOURCE", protocol.ClockSource),
            ),
            messages=tuple(_c_message(message) for message in protocol.MESSAGES),
        )
    )


def board_macros(board: Board) -> tuple[Macro, ...]:
    """The board's numbers as the firmware's C names them, in the order of the board file."""
    facts = [
        ("CLOCK_HZ", board.clock.hz),
        ("CLOCK_FALLBACK_HZ", board.clock.fallback_hz),
        *((f"CLOCK_{name.upper()}", value) for name, value in board.clock.settings.items()),
        ("FLASH_BASE", board.memory.flash.base),
        ("FLASH_WAIT_STATES", board.memory.flash.wait_states),
        ("UART_BASE", board.uart.base),
        ("UART_BAUD", board.uart.baud),
        *_pin_macros("UART_TX", board.uart.tx),
        *_pin_macros("UART_RX", board.uart.rx),
        *((f"UART_{name.upper()}", value) for name, value in board.uart.settings.items()),
    ]
    return tuple(Macro(name, value) for name, value in facts)


def _pin_macros(prefix: str, pin: str | None) -> tuple[tuple[str, int], ...]:
    if pin is None:
        return ()
    port, number = pin_numbers(pin)
    return (f"{prefix}_PORT", port), (f"{prefix}_PIN", number)


def _digest_rows(digest: bytes) -> Iterable[str]:
    for start in range(0, len(digest), _DIGEST_ROW_BYTES):
        yield ", ".join(f"0x{byte:02x}" for byte in digest[start : start + _DIGEST_ROW_BYTES])


def render_target(board: Board, digest: str) -> str:
    """`target.h`: the board's numbers and the model's `digest` (64 hexadecimal digits)."""
    return (
        _environment()
        .get_template("target.h.j2")
        .render(
            board=board,
            macros=board_macros(board),
            digest_rows=tuple(_digest_rows(bytes.fromhex(digest))),
        )
    )


def render_linker_script(board: Board, room: int) -> str:
    """The linker script for the board's memories, each declared to be `room` bytes long."""
    return (
        _environment().get_template("linker/cortex_m.ld.j2").render(board=board, room=f"{room:#x}")
    )
