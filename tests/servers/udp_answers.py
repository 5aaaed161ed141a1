"""Answers to UDP probes, made with scapy: what the modules' tests have in common."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from stages.proto.template import Values
from stages.scanner.probes.datagram_plan import Payloads
from stages.scanner.validation import Tag
from tests.servers.answering import OURS, PORTS, SECRET
from tests.servers.wire import ether

TARGET, ROUTER = 0x0A010203, 0x0AFFFFFE


def text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


@dataclass(frozen=True)
class Asked:
    """One target that was probed."""

    payloads: Payloads
    port: int
    address: int = TARGET

    @property
    def tag(self) -> Tag:
        return Tag.of(SECRET, OURS, self.address, self.port)

    def payload(self, attempt: int = 0) -> bytes:
        """What the probe carried."""
        sport = self.tag.source_port(PORTS, attempt)
        return self.payloads.render(Values(OURS, self.address, sport, self.port, self.tag.value), attempt)

    def answer(self, data: bytes, *, attempt: int = 0, ip: dict | None = None, **more: object) -> Packet:  # type: ignore[type-arg]
        """A datagram with `data` to the port of that attempt; `ip`, `more`: fields of its headers."""
        head = IP(**{"src": text(self.address), "dst": text(OURS), **(ip or {})})
        udp = UDP(**{"sport": self.port, "dport": self.tag.source_port(PORTS, attempt), **more})
        return ether() / head / udp / Raw(data)

    def probe(self, *, attempt: int = 0, ip: dict | None = None, **more: object) -> bytes:  # type: ignore[type-arg]
        """The probe as a router would quote it."""
        head = IP(**{"src": text(OURS), "dst": text(self.address), "id": self.tag.value & 0xFFFF, **(ip or {})})
        udp = UDP(**{"sport": self.tag.source_port(PORTS, attempt), "dport": self.port, **more})
        return bytes(head / udp / Raw(self.payload(attempt)))
