"""The dialogues of a banner grab, sans-IO: who speaks first, and when enough was heard. Pure.

    wait        the server speaks first (SSH, SMTP, FTP): send nothing, read
    send        we speak first (HTTP): send the payload, read
    wait-send   wait for the server a while; send the payload only if it stays silent (one dialogue for all ports)

Reading goes on through any number of segments until the peer closes, `until` matches, nothing more comes for `idle`
seconds, `total` seconds have passed, or the engine's limit of bytes is reached. The engine keeps the bytes; a dialogue
keeps none but the window of its `until`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b, sha256
from ipaddress import ip_address
from typing import Final

from stages.proto.payload import Payload
from stages.proto.template import Values
from stages.proto.until import Window

#: Digits of the SHA-256 of the payload file in the name of a probe: enough to tell the payloads of one campaign apart.
_HASH_DIGITS: Final = 12


class Talk:
    """A dialogue that says `first` when connected, or after the first wait if `late`."""

    __slots__ = ("_first", "_late", "_script", "_window")

    def __init__(self, script: Script, first: bytes) -> None:
        self._script = script
        self._first = first
        self._late = script.wait > 0 and bool(first)
        self._window = Window(script.until) if script.until is not None else None

    @property
    def idle(self) -> float:
        return self._script.idle

    @property
    def total(self) -> float:
        return self._script.total

    def opening(self) -> bytes:
        return b"" if self._late else self._first

    def wait(self) -> float:
        return self._script.wait if self._late else self._script.first

    def silence(self) -> bytes | None:
        if not self._late:
            return None
        self._late = False
        return self._first

    def receive(self, data: bytes) -> bytes | None:
        if self._window is not None and self._window.feed(data):
            return None
        return b""

    def farewell(self) -> bytes:
        return b""

    def eof(self) -> bytes | None:
        return None


class FieldsTalk(Talk):
    """A dialogue whose first words have fields: they are known once the connection has an address of ours."""

    __slots__ = ("_address", "_port")

    def __init__(self, script: Script, address: str, port: int) -> None:
        super().__init__(script, b"?")  # something will be said
        self._address = address
        self._port = port

    def local(self, address: str, port: int, microseconds: int) -> None:
        """Our address and port, and the time of sending. Before `opening`."""
        payload = self._script.payload
        assert payload is not None
        assert payload.fields is not None
        ours, theirs = (ip_address(text.partition("%")[0]) for text in (address, self._address))
        target = f"{theirs} {self._port}".encode()
        seed = blake2b(target, key=self._script.secret, digest_size=8).digest()
        values = Values(
            int(ours), int(theirs), port, self._port, int.from_bytes(seed, "little"), microseconds, theirs.version == 6
        )
        self._first = payload.fields.render(values)


@dataclass(frozen=True, slots=True)
class Script:
    """What all conversations of a run have in common. Times in seconds."""

    payload: Payload | None = None
    wait: float = 0.0  #: with a payload: how long the server may speak first; 0: it may not
    first: float = 4.0  #: for the first byte
    idle: float = 1.0  #: between two segments
    total: float = 30.0  #: for the whole conversation
    until: re.Pattern[bytes] | None = None
    secret: bytes = b""  #: random fields of a payload are drawn from it and the target

    @property
    def probe(self) -> str:
        """The name of the dialogue in records: `wait`, `send:<hash>` or `wait-send:<hash>`."""
        if self.payload is None:
            return "wait"
        digest = sha256(self.payload.template).hexdigest()[:_HASH_DIGITS]
        return f"{'wait-send' if self.wait > 0 else 'send'}:{digest}"

    @property
    def stateless(self) -> bool:
        """Whether one dialogue may serve every connection at once."""
        constant = self.payload is None or self.payload.constant is not None
        return constant and self.until is None and not (self.payload is not None and self.wait > 0)

    def begin(self, address: str, port: int = 0, name: str | None = None) -> Talk:
        """The dialogue with one target. The port is needed where the payload has fields; no payload has the name."""
        if self.payload is not None and self.payload.fields is not None:
            return FieldsTalk(self, address, port)
        return Talk(self, self.payload.render(address) if self.payload is not None else b"")
