"""SSH on the wire: packets in the clear, and the offer of a client that is there for the host key (RFC 4253). Pure.

The client's public values are constants: the base point of curve25519 and of nistp256, and one power of two in group
14. A true exchange would be computed for nothing, as no secret is ever used and no handshake completed; the server's
answer carries its host key and its signature all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stages.proto.tls.codes import SECP256R1, X25519
from stages.proto.tls.groups import BASE_POINTS

#: Bytes of one packet that everybody must take (section 6.1).
MAX_PACKET: Final = 35_000

DISCONNECT: Final = 1
IGNORE: Final = 2
UNIMPLEMENTED: Final = 3
DEBUG: Final = 4
KEXINIT: Final = 20
#: KEXDH_INIT and KEX_ECDH_INIT, and their answers (RFC 4253 section 8, RFC 5656 section 4).
KEX_INIT: Final = 30
KEX_REPLY: Final = 31
#: SSH_DISCONNECT_BY_APPLICATION (section 11.1).
_BY_APPLICATION: Final = 11

#: Padding is to a multiple of this while nothing is encrypted, and at least four bytes (section 6).
_BLOCK: Final = 8
_PADDING: Final = 4

#: Bytes of a KEXINIT: the number, the cookie; ten lists follow, a flag and a reserved number (section 7.1).
COOKIE: Final = 16
_LISTS: Final = 10

#: 2048-bit MODP group (RFC 3526 section 3).
_GROUP14: Final = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF", 16,
)  # fmt: skip
#: Servers refuse a power of two with only a few bits set; this one is reduced and looks like any other.
_EXPONENT: Final = 1 << 16 | 1


class SshFormatError(ValueError):
    """The peer's bytes are no SSH, or beyond our bounds."""


def string(data: bytes) -> bytes:
    """RFC 4251 section 5."""
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    """A positive one (RFC 4251 section 5)."""
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


_CURVE25519: Final = string(BASE_POINTS[X25519])
_NISTP256: Final = string(BASE_POINTS[SECP256R1])
_MODP: Final = mpint(pow(2, _EXPONENT, _GROUP14))

#: Key exchange -> our public value, in the order in which they are wanted.
EXCHANGES: Final = {
    "curve25519-sha256": _CURVE25519,
    "curve25519-sha256@libssh.org": _CURVE25519,
    "ecdh-sha2-nistp256": _NISTP256,
    "diffie-hellman-group14-sha256": _MODP,
    "diffie-hellman-group14-sha1": _MODP,
}
HOST_KEYS: Final = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
    "ssh-rsa", "ssh-dss",
)  # fmt: skip
#: None is ever used, but a server ends the exchange where there is none in common (section 7.1).
CIPHERS: Final = (
    "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com", "aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc", "blowfish-cbc", "cast128-cbc",
    "arcfour256", "arcfour128", "arcfour",
)  # fmt: skip
MACS: Final = (
    "umac-64-etm@openssh.com", "umac-128-etm@openssh.com", "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com", "hmac-sha1-etm@openssh.com", "umac-64@openssh.com", "umac-128@openssh.com",
    "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1", "hmac-sha1-96", "hmac-md5",
)  # fmt: skip
COMPRESSION: Final = ("none", "zlib@openssh.com", "zlib")


def packet(payload: bytes) -> bytes:
    """In the clear; the padding is zeros, as nothing is hidden."""
    padding = _BLOCK - (5 + len(payload)) % _BLOCK
    padding += _BLOCK if padding < _PADDING else 0
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding)


def offer(cookie: bytes) -> bytes:
    """Our KEXINIT, as a packet."""
    lists: Sequence[Sequence[str]] = (
        tuple(EXCHANGES), HOST_KEYS, CIPHERS, CIPHERS, MACS, MACS, COMPRESSION, COMPRESSION, (), (),
    )  # fmt: skip
    names = b"".join(string(",".join(each).encode("ascii")) for each in lists)
    return packet(bytes((KEXINIT,)) + cookie + names + bytes(5))


def exchange(name: str) -> bytes:
    """Our part of the key exchange, as a packet."""
    return packet(bytes((KEX_INIT,)) + EXCHANGES[name])


def goodbye() -> bytes:
    """SSH_MSG_DISCONNECT."""
    return packet(bytes((DISCONNECT,)) + _BY_APPLICATION.to_bytes(4, "big") + string(b"") + string(b""))


def take_string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string and where it ends. Raises SshFormatError."""
    size = int.from_bytes(data[at : at + 4], "big")
    end = at + 4 + size
    if end > len(data) or at + 4 > len(data):
        raise SshFormatError("a string is longer than its packet")
    return data[at + 4 : end], end


def lists_of(payload: bytes) -> tuple[list[list[bytes]], bool]:
    """The ten lists of a KEXINIT, and whether a guessed packet follows. Raises SshFormatError."""
    at, lists = 1 + COOKIE, []
    for _ in range(_LISTS):
        names, at = take_string(payload, at)
        lists.append(names.split(b",") if names else [])
    if len(payload) < at + 1:
        raise SshFormatError("KEXINIT ends inside")
    return lists, payload[at] != 0


class PacketReader:
    """Bytes in any pieces in, payloads out."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def push(self, data: bytes) -> None:
        self._held += data

    def pull(self) -> bytes | None:
        """The next payload; None: more is needed. Raises SshFormatError."""
        held = self._held
        if len(held) < 4:
            return None
        size = int.from_bytes(held[:4], "big")
        if not 1 + _PADDING < size <= MAX_PACKET:
            raise SshFormatError(f"a packet of {size} bytes, at most {MAX_PACKET}")
        if len(held) < 4 + size:
            return None
        padding = held[4]
        if not padding < size - 1:
            raise SshFormatError("padding is longer than its packet")
        self._held = held[4 + size :]
        return held[5 : 4 + size - padding]
