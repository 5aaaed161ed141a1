"""Packets of SSH."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.dialogues.ssh_wire import (
    EXCHANGES,
    HOST_KEYS,
    KEX_INIT,
    KEXINIT,
    MAX_PACKET,
    PacketReader,
    SshFormatError,
    exchange,
    goodbye,
    lists_of,
    mpint,
    offer,
    packet,
    string,
    take_string,
)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 400))
def test_packets_there_and_back(payload: bytes, size: int) -> None:
    wire = packet(payload)
    assert len(wire) % 8 == 0
    assert wire[4] >= 4
    reader, found = PacketReader(), []
    for at in range(0, 2 * len(wire), size):
        reader.push((wire * 2)[at : at + size])
        while (one := reader.pull()) is not None:
            found.append(one)
    assert found == [payload, payload]


@pytest.mark.parametrize(
    "data", [(1 << 24).to_bytes(4, "big"), bytes(4), (5).to_bytes(4, "big"), b"\0\0\0\x0c\x0b" + bytes(20)]
)
def test_what_is_no_packet(data: bytes) -> None:
    reader = PacketReader()
    reader.push(data)
    with pytest.raises(SshFormatError):
        reader.pull()


def test_a_packet_as_long_as_may_be() -> None:
    reader = PacketReader()
    reader.push(MAX_PACKET.to_bytes(4, "big") + b"\4" + bytes(MAX_PACKET - 1))
    assert reader.pull() == bytes(MAX_PACKET - 5)


def test_the_offer() -> None:
    reader = PacketReader()
    reader.push(offer(b"c" * 16))
    payload = reader.pull()
    assert payload is not None
    assert payload[:17] == bytes((KEXINIT,)) + b"c" * 16
    lists, guessed = lists_of(payload)
    assert lists[0] == [name.encode() for name in EXCHANGES]
    assert lists[1] == [name.encode() for name in HOST_KEYS]
    assert (lists[8], lists[9], guessed) == ([], [], False)
    with pytest.raises(SshFormatError):
        lists_of(payload[:-5])


def test_public_values_are_such_that_servers_take_them() -> None:
    """OpenSSH refuses one of group 14 with fewer than four bits set, or outside 2 to p - 2."""
    reader = PacketReader()
    reader.push(exchange("diffie-hellman-group14-sha256"))
    payload = reader.pull()
    assert payload is not None
    assert payload[0] == KEX_INIT
    value = int.from_bytes(take_string(payload, 1)[0], "big")
    assert value.bit_count() > 500
    assert 2040 < value.bit_length() <= 2048
    reader.push(exchange("curve25519-sha256"))
    payload = reader.pull()
    assert payload == bytes((KEX_INIT,)) + string(b"\x09" + bytes(31))


def test_numbers_and_strings() -> None:
    assert mpint(0x80) == b"\0\0\0\2\0\x80"
    assert take_string(string(b"ab") + b"c", 0) == (b"ab", 6)
    for data in (b"\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\xff"):
        with pytest.raises(SshFormatError):
            take_string(data, 0)


def test_goodbye_says_why() -> None:
    reader = PacketReader()
    reader.push(goodbye())
    payload = reader.pull()
    assert payload is not None
    assert payload[:5] == b"\1\0\0\0\x0b"
