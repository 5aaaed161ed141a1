"""`ssh`: identifications, both offers, one key exchange, as far as the server's host key (RFC 4253). Pure.

    our identification ->      <- lines, identification
    KEXINIT ->                 <- KEXINIT
    KEX(DH|_ECDH)_INIT ->      <- its reply: the host key
    DISCONNECT ->

Nothing is verified and nothing encrypted; the handshake is not completed.
"""

from __future__ import annotations

from binascii import b2a_base64
from enum import Enum
from hashlib import sha256
from typing import Final

from stages.proto.dialogues.base import Pace, Target, Told
from stages.proto.dialogues.facts import NAME, text, texts
from stages.proto.dialogues.ssh_wire import (
    COOKIE,
    DEBUG,
    DISCONNECT,
    EXCHANGES,
    HOST_KEYS,
    IGNORE,
    KEX_REPLY,
    KEXINIT,
    UNIMPLEMENTED,
    PacketReader,
    SshFormatError,
    exchange,
    goodbye,
    lists_of,
    offer,
    take_string,
)

IDENTIFICATION: Final = b"SSH-2.0-longline\r\n"

#: Bytes of an identification (RFC 4253 section 4.2 has 255) and of a line before it; and lines before it.
MAX_LINE: Final = 1024
MAX_LINES: Final = 32
#: Packets that say nothing (section 11), and of the whole conversation.
MAX_PACKETS: Final = 16
#: Bytes of a host key blob: RSA with 16,384 bits has 2,072, and a certificate holds some names beside.
MAX_KEY: Final = 4096

_TWO: Final = (b"SSH-2.0-", b"SSH-1.99-")

#: KEXINIT's lists by their place -> key.
_LISTS: Final = {0: "kex_algorithms", 1: "host_key_algorithms", 3: "ciphers", 5: "macs", 7: "compression"}


class _At(Enum):
    IDENTIFICATION = 0
    OFFER = 1
    REPLY = 2


class Ssh(Told):
    """One connection, to the host key."""

    __slots__ = ("_at", "_begun", "_line", "_lines", "_packets", "_reader", "_skip")

    def __init__(self, target: Target, pace: Pace) -> None:
        super().__init__(target, pace)
        self._at = _At.IDENTIFICATION
        self._line = b""
        self._lines = self._packets = 0
        self._reader = PacketReader()
        self._skip = False
        self._begun = False  # binary packets may be sent

    def opening(self) -> bytes:
        return IDENTIFICATION

    def receive(self, data: bytes) -> bytes | None:
        try:
            if self._at is not _At.IDENTIFICATION:
                self._reader.push(data)
                return self._read()
            rest = self._identified(data)
            if rest is None:
                return b""
            self.service = "ssh"
            if not self._line.startswith(_TWO):
                return None  # version 1: it has said what there is to know
            self._at, self._begun = _At.OFFER, True
            self._reader.push(rest)
            more = self._read()
            return None if more is None else offer(self.target.random(COOKIE)) + more
        except SshFormatError as error:
            self.breaks(str(error))
            return None

    def _identified(self, data: bytes) -> bytes | None:
        """What stands behind the identification; None: it is not here yet."""
        held = self._line + data
        while True:
            end = held.find(b"\n", 0, MAX_LINE)
            if end < 0:
                if len(held) >= MAX_LINE:
                    raise SshFormatError(f"a line of more than {MAX_LINE} bytes before the identification")
                self._line = held
                return None
            line, held = held[:end].removesuffix(b"\r"), held[end + 1 :]
            if line.startswith(b"SSH-"):
                self._line = line
                self.facts["id"] = text(line)
                return held
            self._lines += 1
            if self._lines > MAX_LINES:
                raise SshFormatError(f"no identification in {MAX_LINES} lines")

    def _read(self) -> bytes | None:
        said = b""
        while (payload := self._reader.pull()) is not None:
            self._packets += 1
            if self._packets > MAX_PACKETS:
                raise SshFormatError(f"no host key in {MAX_PACKETS} packets")
            kind = payload[0]
            if kind in (IGNORE, DEBUG, UNIMPLEMENTED):
                continue
            if kind == DISCONNECT:
                self.facts["disconnect"] = text(take_string(payload, 5)[0])
                return None
            if self._at is _At.OFFER:
                if kind != KEXINIT:
                    raise SshFormatError(f"message {kind} before KEXINIT")
                answer = self._offered(payload)
                if answer is None:
                    return None
                said += answer
            elif self._skip:
                self._skip = False  # a wrong guess (section 7)
            elif kind == KEX_REPLY:
                self._key(payload)
                return None
            else:
                raise SshFormatError(f"message {kind} in place of the host key")
        return said

    def _offered(self, payload: bytes) -> bytes | None:
        """Our part of the exchange; None: there is none in common."""
        lists, guessed = lists_of(payload)
        for place, key in _LISTS.items():
            self.facts[key] = texts(lists[place])
        offered = {name.decode("latin-1") for name in lists[0]}
        chosen = next((name for name in EXCHANGES if name in offered), None)
        if chosen is None:
            return None
        self.facts["kex"] = chosen
        ours = [next(iter(EXCHANGES)).encode("ascii"), HOST_KEYS[0].encode("ascii")]
        self._skip = guessed and [*lists[0][:1], *lists[1][:1]] != ours
        self._at = _At.REPLY
        return exchange(chosen)

    def _key(self, payload: bytes) -> None:
        blob, _ = take_string(payload, 1)
        name, _ = take_string(blob, 0)
        if len(blob) > MAX_KEY or not 0 < len(name) <= NAME or not name.isascii() or not name.decode().isprintable():
            raise SshFormatError("no host key in its place")
        self.facts |= {
            "key_type": name.decode("ascii"),
            "key": b2a_base64(blob, newline=False).decode("ascii"),
            "fingerprint": sha256(blob).hexdigest(),
        }

    def farewell(self) -> bytes:
        return goodbye() if self._begun and self.broken is None and "disconnect" not in self.facts else b""


begin: Final = Ssh
