"""Host keys in what servers say: packets as RFC 4253 has them, cut anywhere."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.derive.sshkeys import MAX_PACKETS, fingerprint, host_key, ssh_key_of

BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def packet(payload: bytes, padding: int = 6) -> bytes:
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


INIT = packet(b"\x14" + bytes(16) + string(b"curve25519-sha256"))
REPLY = packet(b"\x1f" + string(BLOB) + string(b"f") + string(b"signature"))
GROUP = packet(b"\x1f" + string(b"\0" * 256) + string(b"\2"))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"SSH-2.0-x\r\n" + INIT + REPLY, True),
        (b"welcome\r\nSSH-2.0-x\n" + REPLY, True),
        (
            b"SSH-2.0-x\r\n"
            + INIT
            + packet(b"\x1f" + string(b"\0" * 256) + string(b"\2"))
            + packet(b"\x21" + REPLY[6:]),
            True,
        ),
        (b"SSH-2.0-x\r\n" + INIT, False),
        (b"SSH-2.0-x\r\n", False),
        (b"SSH-2.0-x", False),
        (b"220 mail\r\n" * 99, False),
        (b"SSH-2.0-x\r\n" + packet(b"\x14") * MAX_PACKETS + REPLY, False),
        (b"SSH-2.0-x\r\n\xff\xff\xff\xff" + REPLY, False),
        (b"SSH-2.0-x\r\n" + packet(b"\x1f" + string(string(b"\xff\n"))), False),
        (b"", False),
    ],
)
def test_what_is_found(data: bytes, found: bool) -> None:
    assert host_key(data) == (("ssh-ed25519", BLOB) if found else None)


@given(st.integers(0, 200))
def test_cut_anywhere(cut: int) -> None:
    whole = b"SSH-2.0-x\r\n" + INIT + REPLY
    assert host_key(whole[:cut]) in (None, ("ssh-ed25519", BLOB))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    found = host_key(b"SSH-2.0-x\r\n" + data)
    assert found is None or found[1] in data


def test_the_fingerprint() -> None:
    assert fingerprint(BLOB) == sha256(BLOB).hexdigest()


@pytest.mark.parametrize(
    ("observation", "found"),
    [
        ({"facts": {"fingerprint": "ab" * 32}}, "ab" * 32),
        ({"facts": {"fingerprint": "ab" * 32}, "data": b"SSH-2.0-x\r\n" + REPLY}, "ab" * 32),
        ({"facts": {"fingerprint": "x"}, "data": b"SSH-2.0-x\r\n" + REPLY}, fingerprint(BLOB)),
        ({"facts": {"id": "SSH-2.0-x"}}, None),
        ({"data": b"SSH-2.0-x\r\n" + REPLY}, fingerprint(BLOB)),
        ({"data": None, "facts": None}, None),
        ({}, None),
    ],
)
def test_of_an_observation(observation: dict[str, object], found: str | None) -> None:
    assert ssh_key_of(observation) == found
