"""`ssh`: a server made of packets; the real one is in tests/integration."""

from __future__ import annotations

from base64 import b64decode

import pytest

from stages.derive.sshkeys import fingerprint, host_key
from stages.proto.dialogues.ssh import IDENTIFICATION, MAX_LINE, MAX_LINES, MAX_PACKETS, begin
from stages.proto.dialogues.ssh_wire import EXCHANGES, HOST_KEYS, exchange, goodbye, offer, packet, string
from tests.proto.dialogues.peers import PACE, converse, hear, target

ID = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
BLOB = string(b"ssh-ed25519") + string(bytes(range(32)))
REPLY = packet(b"\x1f" + string(BLOB) + string(b"f" * 32) + string(b"signature"))
OURS = offer(target(22).random(16))


def kexinit(kex: str = "ecdh-sha2-nistp256", keys: str = "ssh-ed25519", guessed: bool = False) -> bytes:
    lists = [kex, keys, "aes128-ctr", "aes256-ctr", "hmac-sha1", "hmac-sha2-256", "none", "none,zlib", "", ""]
    names = b"".join(string(each.encode()) for each in lists)
    return packet(b"\x14" + b"c" * 16 + names + bytes((guessed,)) + bytes(4))


@pytest.mark.parametrize("size", [1, 13, None])
def test_to_the_host_key(size: int | None) -> None:
    talk = begin(target(22), PACE)
    assert talk.opening() == IDENTIFICATION
    converse(
        talk,
        [(b"welcome\r\n" + ID, OURS), (packet(b"\2hi") + kexinit(), exchange("ecdh-sha2-nistp256")), (REPLY, None)],
        size,
    )
    assert talk.farewell() == goodbye()
    assert (talk.service, talk.broken) == ("ssh", None)
    assert talk.facts == {
        "id": "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "kex": "ecdh-sha2-nistp256",
        "kex_algorithms": ["ecdh-sha2-nistp256"],
        "host_key_algorithms": ["ssh-ed25519"],
        "ciphers": ["aes256-ctr"],
        "macs": ["hmac-sha2-256"],
        "compression": ["none", "zlib"],
        "key_type": "ssh-ed25519",
        "key": talk.facts["key"],
        "fingerprint": fingerprint(BLOB),
    }
    assert b64decode(talk.facts["key"]) == BLOB


def test_what_it_hears_is_what_the_derive_job_reads() -> None:
    assert host_key(ID + kexinit() + REPLY) == ("ssh-ed25519", BLOB)


def test_all_at_once() -> None:
    talk = begin(target(22), PACE)
    assert hear(talk, ID + kexinit() + REPLY) is None
    assert talk.facts["fingerprint"] == fingerprint(BLOB)


@pytest.mark.parametrize("kex", EXCHANGES)
def test_each_exchange(kex: str) -> None:
    talk = begin(target(22), PACE)
    assert hear(talk, ID) == OURS
    assert hear(talk, kexinit(f"sntrup761x25519-sha512@openssh.com,{kex}")) == exchange(kex)
    assert hear(talk, REPLY) is None
    assert talk.facts["kex"] == kex


def test_a_guess() -> None:
    first = next(iter(EXCHANGES))
    for kex, keys, skipped in ((first, HOST_KEYS[0], False), (f"x,{first}", HOST_KEYS[0], True), (first, "x", True)):
        talk = begin(target(22), PACE)
        assert hear(talk, ID + kexinit(kex, keys, guessed=True)) == OURS + exchange(first)
        assert hear(talk, packet(b"\x1f" + string(string(b"guess")))) == (b"" if skipped else None)


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        (b"SSH-1.5-1.2.27\n", {"id": "SSH-1.5-1.2.27"}),
        (ID + packet(b"\1\0\0\0\2" + string(b"Too many") + string(b"")), {"disconnect": "Too many"}),
        (
            ID + kexinit("mlkem768x25519-sha256"),
            {"kex_algorithms": ["mlkem768x25519-sha256"]},
        ),
    ],
)
def test_ends_without_a_key(said: bytes, facts: dict[str, object]) -> None:
    talk = begin(target(22), PACE)
    assert hear(talk, said) is None
    assert (talk.service, talk.broken) == ("ssh", None)
    assert facts.items() <= talk.facts.items()
    assert "fingerprint" not in talk.facts


@pytest.mark.parametrize(
    ("said", "service"),
    [
        (b"x" * MAX_LINE, None),
        (b"hello\r\n" * (MAX_LINES + 1), None),
        (ID + (16 << 20).to_bytes(4, "big"), "ssh"),
        (ID + bytes(4), "ssh"),
        (ID + packet(b"\2") * (MAX_PACKETS + 1), "ssh"),
        (ID + packet(b"\x15"), "ssh"),
        (ID + packet(b"\x14" + b"c" * 16 + b"\xff" * 40), "ssh"),
        (ID + packet(b"\x14"), "ssh"),
        (ID + packet(b"\1"), "ssh"),
        (ID + kexinit() + packet(b"\x15"), "ssh"),
        (ID + kexinit() + packet(b"\x1f" + string(b"x")), "ssh"),
        (ID + kexinit() + packet(b"\x1f" + string(string(b"\xff\n"))), "ssh"),
        (ID + kexinit() + packet(b"\x1f" + string(string(b"ssh-rsa") + bytes(9000))), "ssh"),
    ],
)
@pytest.mark.parametrize("size", [1, None])
def test_broken(said: bytes, service: str | None, size: int | None) -> None:
    talk = begin(target(22), PACE)
    assert hear(talk, said, size) is None
    assert talk.broken is not None
    assert (talk.service, talk.farewell()) == (service, b"")
