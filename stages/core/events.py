"""What happened to a service: the records of the topic `events`, one JSON object a line.

    service_up            a new service, or one that is up again: `down_since` and `until` are the outage that this ends
    service_down          it was missed as often as the rules ask; `down_since` says when the outage began
    banner_changed        it says something else than before (`before`, `after`: SHA-256; `said_before`, `said`)
    certificate_changed   it shows another certificate of its own (`before`, `after`: SHA-256)
    moved                 a certificate, key or host key that a missing service showed last turned up at this address

`ts` is when it happened, as far as that was measured: the answer that showed it, and of `service_down` its `down_since`
(`decided` is the end of the probing that decided it): a service's events in the order of `ts` are its life. An event is
told at least once and has a deterministic id, so that one that comes twice is one.
They are no observations: `stages.core.records.parse` refuses them, `parse` here reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import orjson

from stages.core.record_fields import bad, optional, text, time, word
from stages.core.records import ID_DIGITS, VERSION, is_ip, opened, prefix_key
from stages.core.times import rfc3339


class EventType(StrEnum):
    """What happened."""

    SERVICE_UP = "service_up"
    SERVICE_DOWN = "service_down"
    BANNER_CHANGED = "banner_changed"
    CERTIFICATE_CHANGED = "certificate_changed"
    MOVED = "moved"


#: Details that are times: RFC 3339 in JSON, microseconds inside.
DETAIL_TIMES: Final = ("down_since", "decided", "until", "last_seen")


@dataclass(slots=True)
class Event:
    """One thing that happened to one service."""

    id: str
    type: EventType
    scan: str  #: whose probing showed it
    vantage: str
    ts: int  #: microseconds since the epoch
    ip: str
    port: int
    transport: str
    name: str | None = None
    details: dict[str, Any] = field(default_factory=dict)  #: by `type`; JSON, but for the times

    @property
    def key(self) -> bytes:
        """What chooses its partition: the order within a prefix is kept."""
        return prefix_key(self.ip)

    def dump(self) -> bytes:
        """The record as a line, without its end."""
        details = {k: rfc3339(v) if k in DETAIL_TIMES else v for k, v in self.details.items()}
        return orjson.dumps(
            {
                "kind": "event",
                "v": VERSION,
                "id": self.id,
                "scan": self.scan,
                "vantage": self.vantage,
                "ts": rfc3339(self.ts),
                "type": self.type,
                "ip": self.ip,
                "port": self.port,
                "transport": self.transport,
                "name": self.name,
                "details": details,
            }
        )


def event_id(kind: EventType, ip: str, port: int, transport: str, name: str, *what: object) -> str:
    """The deterministic id: 32 hex digits over the type, the service, and what tells this from its next such event."""
    whole = "\0".join(("event", kind, ip, str(port), transport, name, *map(str, what)))
    return blake2b(whole.encode(), digest_size=ID_DIGITS // 2).hexdigest()


_TYPES: Final = {str(kind): kind for kind in EventType}


def parse(line: bytes) -> Event:
    """Read one line as an event. Raises RecordError with the reason; unknown fields are ignored."""
    d = opened(line, ("event",))
    ip, port, transport = text(d, "ip"), d.get("port"), d.get("transport")
    if not is_ip(ip):
        bad(f"ip is {ip!r}, not an address")
    if type(port) is not int or not 0 <= port <= 65535:
        bad(f"port is {port!r}")
    if transport not in ("tcp", "udp", "icmp"):
        bad(f"transport is {transport!r}")
    details = optional(d, "details", dict)
    if details is None:
        bad("details is not an object")
    for key in DETAIL_TIMES:
        if details.get(key) is not None:
            details[key] = time(details, key)
        else:
            details.pop(key, None)
    return Event(
        id=text(d, "id"),
        type=word(_TYPES, EventType, d.get("type")),
        scan=text(d, "scan"),
        vantage=optional(d, "vantage", str) or "",
        ts=time(d),
        ip=ip,
        port=port,
        transport=transport,
        name=optional(d, "name", str),
        details=details,
    )
