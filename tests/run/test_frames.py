"""Frames and COBS: there and back, and no damaged frame taken for a whole one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.run import protocol
from mcugen.run.protocol import Frame, cobs_decode, cobs_encode, decode_frame, encode_frame

#: Runs without zeros around the block limits of 254 bytes, and zeros in every place.
_DATA = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(250, 260).map(lambda size: b"\x01" * size),
        st.just(b"\0"),
    ),
    max_size=4,
).map(b"".join)


@settings(deadline=None)
@given(_DATA)
def test_cobs_there_and_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", "01"),
        (b"\0", "01 01"),
        (b"\0\0", "01 01 01"),
        (b"\x11\x22\0\x33", "03 11 22 02 33"),
        (b"\x11\0\0\0", "02 11 01 01 01"),
    ],
)
def test_cobs_examples(data: bytes, encoded: str) -> None:
    assert cobs_encode(data) == bytes.fromhex(encoded)


@pytest.mark.parametrize("wrong", ["00", "03 11", "02 00", "01 00 01"])
def test_cobs_refuses(wrong: str) -> None:
    with pytest.raises(ValueError, match="no COBS block"):
        cobs_decode(bytes.fromhex(wrong))


@settings(deadline=None)
@given(
    st.integers(0, 255),
    st.integers(0, 2**16 - 1),
    st.binary(max_size=protocol.PAYLOAD_MAX),
)
def test_frames_there_and_back(type_: int, sequence: int, payload: bytes) -> None:
    line = encode_frame(type_, sequence, payload)
    assert line[0] == line[-1] == 0
    assert 0 not in line[1:-1]
    assert decode_frame(line[1:-1]) == Frame(protocol.VERSION, type_, sequence, payload)


@settings(deadline=None)
@given(st.binary(max_size=2 * protocol.FRAME_MAX))
def test_any_bytes_decode_to_nothing(data: bytes) -> None:
    assert decode_frame(data) is None


def test_every_flip_of_one_or_two_bits_is_found() -> None:
    """Of 64 bytes on the line; the zeros around them are flipped in line_noise.c."""
    line = encode_frame(3, 7, bytes(range(51)))[1:-1]
    assert len(line) + 2 == 64
    bits = 8 * len(line)
    whole = int.from_bytes(line, "little")
    for first in range(bits):
        for second in range(first, bits):
            flipped = whole ^ (1 << first | 1 << second) if second > first else whole ^ 1 << first
            assert decode_frame(flipped.to_bytes(len(line), "little")) is None


def test_payload_has_a_limit() -> None:
    with pytest.raises(ValueError, match="payload of 257 bytes"):
        encode_frame(1, 1, bytes(257))


def test_messages_fit_their_frames() -> None:
    codes = [message.code for message in protocol.MESSAGES]
    assert len(set(codes)) == len(codes)
    for message in protocol.MESSAGES:
        assert message.code < protocol.REPLY_BIT
        for layout in (message.request, message.reply):
            room = protocol.CHUNK_BYTES if layout.tail else 0
            assert layout.bytes_min + room <= protocol.PAYLOAD_MAX
        assert message.reply.fields[0].name == "status"
