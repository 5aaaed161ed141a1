"""The certificate client of `stages.proto.tls` as a dialogue that tells service and facts. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from stages.proto.dialogues.base import Pace, Target, Told
from stages.proto.dialogues.facts import NAMES, text
from stages.proto.tls.client import Client
from stages.proto.tls.facts import facts_of
from stages.proto.tls.offers import MODERN
from stages.proto.tls.script import RANDOM_BYTES, Script, script_of

_SCRIPT: Final = script_of(MODERN)

_FACTS: Final = ("version", "cipher_suite", "alpn", "alert", "error")


class Tls(Told):
    """One handshake, to the certificate."""

    __slots__ = ("client",)

    def __init__(self, target: Target, pace: Pace) -> None:
        super().__init__(target, pace)
        script = Script(_SCRIPT.template, first=pace.first, idle=pace.idle, total=pace.total)
        name = target.name.encode("ascii", "ignore")[:255] if target.name else None
        self.client = Client(script, name or None, target.random(RANDOM_BYTES))

    @property
    def idle(self) -> float:
        return self.client.idle

    def opening(self) -> bytes:
        return self.client.opening()

    def receive(self, data: bytes) -> bytes | None:
        said = self.client.receive(data)
        if said is None:
            self.over()
        return said

    def farewell(self) -> bytes:
        return self.client.farewell()

    def eof(self) -> bytes | None:
        said = self.client.eof()
        self.over()
        return said

    def over(self) -> None:
        client = self.client
        client.give_up()
        known = facts_of(client)
        self.facts |= {key: text(known[key].encode()) for key in _FACTS if known[key] is not None}
        if client.chain_seen is not None:
            self.facts["chain"] = [sha256(der).hexdigest() for der in client.chain_seen[:NAMES]]
        if client.server_hello is not None or client.alert is not None:
            self.service = "tls"
        if client.error is not None:
            self.broken = self.facts["error"]


begin: Final = Tls
