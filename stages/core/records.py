"""The records that flow between the stages: hit, banner, tls, scan. One JSON object a line.

Slotted objects and orjson, for the hot path; `stages.core.schema` holds the pydantic models of the same records for
what comes from outside. Bytes are base64 in JSON, times RFC 3339 UTC with microseconds, durations seconds.

Every record has a deterministic id: a 128-bit hash of (kind, scan, probe, transport, ip, port, name, mode), so that a
record that is delivered or made twice is stored once.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from ipaddress import IPv6Address
from typing import Any, Final

import orjson

from stages.core.chains import chain_b64
from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase, Via
from stages.core.record_fields import (
    b64,
    bad,
    check,
    count,
    decoded,
    flag,
    issuer,
    lengths,
    of_types,
    optional,
    optional_flag,
    text,
    time,
    word,
    words,
)
from stages.core.times import rfc3339

#: Version of the record schema, in every record as `v`.
VERSION: Final = 1

#: Hex digits of a record's id: 128 bits.
ID_DIGITS: Final = 32

#: One record as a line: below Kafka's default message.max.bytes (1,048,588) with room for the batch around it.
MAX_RECORD_BYTES: Final = 1_000_000

_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII).fullmatch


def record_id(
    kind: str, scan: str, probe: str, transport: str, ip: str, port: int, name: str | None = None, mode: str = ""
) -> str:
    """The deterministic id: 32 hex digits."""
    text = "\0".join((kind, scan, probe, transport, ip, str(port), name or "", mode))
    return blake2b(text.encode(), digest_size=ID_DIGITS // 2).hexdigest()


def prefix_key(ip: str) -> bytes:
    """What orders and owns a target: its /24 (`10.1.2`), or its /48 for IPv6 (12 hex digits)."""
    if "." in ip and ":" not in ip:
        return ip[: ip.rindex(".")].encode()
    return IPv6Address(ip.partition("%")[0]).packed[:6].hex().encode()


def is_ip(text: str) -> bool:
    """Whether `text` is an IPv4 address in dotted quad or an IPv6 address."""
    if _IPV4(text):
        return True
    if ":" not in text:
        return False
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Hit:
    """One validated answer to a probe, with the whole SYN-ACK where a packet was seen."""

    scan: str
    ts: int  #: arrival, microseconds since the epoch
    ip: str
    port: int
    vantage: str = ""
    transport: str = "tcp"
    name: str | None = None  #: server name to ask for, if one is known
    probe: str = "tcp_synscan"
    classification: str = "synack"
    success: bool = True
    repeat: bool = False
    cooldown: bool = False
    attempt: int | None = None  #: which of the probes of this target it answers, from 0, where that can be known
    ttl: int | None = None
    rtt: float | None = None  #: seconds
    source: dict[str, Any] | None = None  #: ip, port, host: who sent the probe
    tcp: dict[str, Any] | None = None  #: seq ack window mss wscale sack ts_val ts_ecr ipid
    icmp: dict[str, Any] | None = None  #: type code responder
    udp: dict[str, Any] | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = record_id("hit", self.scan, self.probe, self.transport, self.ip, self.port, self.name)

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "kind": "hit",
                "v": VERSION,
                "id": self.id,
                "scan": self.scan,
                "vantage": self.vantage,
                "ts": rfc3339(self.ts),
                "ip": self.ip,
                "port": self.port,
                "transport": self.transport,
                "name": self.name,
                "probe": self.probe,
                "classification": self.classification,
                "success": self.success,
                "repeat": self.repeat,
                "cooldown": self.cooldown,
                "attempt": self.attempt,
                "ttl": self.ttl,
                "rtt": self.rtt,
                "source": self.source,
                "tcp": self.tcp,
                "icmp": self.icmp,
                "udp": self.udp,
            }
        )


@dataclass(slots=True)
class Banner:
    """One conversation: what was sent, what came back, and how it ended."""

    scan: str
    ts: int  #: when the conversation began, microseconds since the epoch
    ip: str
    port: int
    outcome: Outcome
    phase: Phase
    vantage: str = ""
    transport: str = "tcp"
    name: str | None = None
    probe: str = ""  #: the dialogue: `wait`, `send`, `wait-send`, with a hash of its payload where there is one
    hit: str | None = None  #: id of the hit that led here
    via: Via = Via.CONNECT
    errno: str | None = None  #: symbolic, `ECONNREFUSED`
    icmp: dict[str, Any] | None = None  #: type code responder
    connect: float | None = None  #: seconds from `ts` until connected
    first_byte: float | None = None  #: seconds from `ts`
    ended: float | None = None  #: seconds from `ts`
    sent: int = 0  #: bytes
    truncated: bool = False
    data: bytes = b""
    datagrams: list[int] | None = None  #: UDP: length of each datagram of `data`, in order
    service: str | None = None  #: what speaks there, as a named dialogue has recognised it
    facts: dict[str, Any] | None = None  #: what that dialogue knows of it (`stages.proto.dialogues.facts`)
    control: bool | None = None  #: whether a port that nobody serves answers there in the same way; None: not asked
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = record_id(
                "banner", self.scan, self.probe, self.transport, self.ip, self.port, self.name, self.via
            )

    def dump(self) -> bytes:
        data = self.data
        return orjson.dumps(
            {
                "kind": "banner",
                "v": VERSION,
                "id": self.id,
                "scan": self.scan,
                "vantage": self.vantage,
                "ts": rfc3339(self.ts),
                "ip": self.ip,
                "port": self.port,
                "transport": self.transport,
                "name": self.name,
                "probe": self.probe,
                "hit": self.hit,
                "via": self.via,
                "outcome": self.outcome,
                "phase": self.phase,
                "errno": self.errno,
                "icmp": self.icmp,
                "connect": self.connect,
                "first_byte": self.first_byte,
                "ended": self.ended,
                "sent": self.sent,
                "size": len(data),
                "truncated": self.truncated,
                "data": b2a_base64(data, newline=False).decode("ascii"),
                "sha256": sha256(data).hexdigest(),
                "datagrams": self.datagrams,
                "service": self.service,
                "facts": self.facts,
                "control": self.control,
            }
        )


@dataclass(slots=True)
class Tls:
    """One TLS handshake, as far as it went."""

    scan: str
    ts: int
    ip: str
    port: int
    outcome: Outcome
    phase: Phase
    vantage: str = ""
    transport: str = "tcp"
    name: str | None = None  #: the target's name; `sni` is what was sent
    mode: str = "full"
    hit: str | None = None
    via: Via = Via.CONNECT
    errno: str | None = None
    icmp: dict[str, Any] | None = None
    connect: float | None = None
    first_byte: float | None = None
    ended: float | None = None
    alert: str | None = None  #: name of the alert description (RFC 8446 section 6)
    error: str | None = None  #: what broke the protocol, in words
    version: str | None = None  #: `TLSv1.3`
    cipher_suite: str | None = None
    alpn: str | None = None
    sni: str | None = None
    chain: list[str] = field(default_factory=list)  #: SHA-256 of each certificate, leaf first
    certificates: list[bytes] = field(default_factory=list)  #: DER, same order; on the bus only
    server_hello: dict[str, Any] | None = None
    hello: str | None = None  #: the ClientHello that this answers: modern, wide, old, ancient
    connections: int = 1  #: that it took, those with other hellos counted
    starttls: str | None = None  #: the protocol inside which TLS was begun
    ocsp: bytes | None = None  #: the OCSP answer that came with the chain, DER
    scts: bytes | None = None  #: the SignedCertificateTimestampList that came with it (RFC 6962 section 3.3)
    ja3s: str | None = None  #: of the ServerHello
    fingerprint: str | None = None  #: of the ServerHello, in the open (`stages.proto.tls.fingerprints`)
    synack: str | None = None  #: of the hit's SYN-ACK (`stages.core.synack`)
    jarm: str | None = None  #: of ten hellos (mode jarm)
    answers: list[str] | None = None  #: to these, in their order, as JARM writes them
    rules: list[str] | None = None  #: names of the rules that hold; None: none were judged
    control: bool | None = None  #: as of a banner
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = record_id("tls", self.scan, self.via, self.transport, self.ip, self.port, self.name, self.mode)

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "kind": "tls",
                "v": VERSION,
                "id": self.id,
                "scan": self.scan,
                "vantage": self.vantage,
                "ts": rfc3339(self.ts),
                "ip": self.ip,
                "port": self.port,
                "transport": self.transport,
                "name": self.name,
                "mode": self.mode,
                "hit": self.hit,
                "via": self.via,
                "outcome": self.outcome,
                "phase": self.phase,
                "errno": self.errno,
                "icmp": self.icmp,
                "connect": self.connect,
                "first_byte": self.first_byte,
                "ended": self.ended,
                "alert": self.alert,
                "error": self.error,
                "version": self.version,
                "cipher_suite": self.cipher_suite,
                "alpn": self.alpn,
                "sni": self.sni,
                "chain": self.chain,
                "certificates": chain_b64(self.certificates),
                "server_hello": self.server_hello,
                "hello": self.hello,
                "connections": self.connections,
                "starttls": self.starttls,
                "ocsp": None if self.ocsp is None else b64(self.ocsp),
                "scts": None if self.scts is None else b64(self.scts),
                "ja3s": self.ja3s,
                "fingerprint": self.fingerprint,
                "synack": self.synack,
                "jarm": self.jarm,
                "answers": self.answers,
                "rules": self.rules,
                "control": self.control,
            }
        )


@dataclass(slots=True)
class Scan:
    """The start, the progress or the end of a scan; or what was made of it: how much it has missed."""

    scan: str
    ts: int
    event: str  #: start | progress | end | assessed
    vantage: str = ""
    spec: dict[str, Any] | None = None  #: at start: everything needed to replay it; assessed: which sweep it was
    counters: dict[str, Any] | None = None
    position: int | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            mode = self.event if self.event != "progress" else f"progress:{self.ts}"
            self.id = record_id("scan", self.scan, "", "", "", 0, None, mode)

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "kind": "scan",
                "v": VERSION,
                "id": self.id,
                "scan": self.scan,
                "vantage": self.vantage,
                "ts": rfc3339(self.ts),
                "event": self.event,
                "spec": self.spec,
                "counters": self.counters,
                "position": self.position,
            }
        )


Record = Hit | Banner | Tls | Scan


def _target(d: dict[str, Any]) -> dict[str, Any]:
    ip = text(d, "ip")
    port = d.get("port")
    if not is_ip(ip):
        bad(f"ip is {ip!r}, not an address")
    if type(port) is not int or not 0 <= port <= 65535:
        bad(f"port is {port!r}")
    transport = d.get("transport", "tcp")
    if transport not in ("tcp", "udp", "icmp"):
        bad(f"transport is {transport!r}")
    return {
        "scan": text(d, "scan"),
        "ts": time(d),
        "ip": ip,
        "port": port,
        "vantage": optional(d, "vantage", str) or "",
        "transport": transport,
        "name": optional(d, "name", str),
        "id": text(d, "id"),
    }


_HIT_FIELDS: Final = (
    *of_types("probe classification", str, wanted=", not a string"),
    *of_types("success repeat cooldown", bool, type(None), wanted=", not true or false"),
    *of_types("attempt ttl", int, type(None)),
    *of_types("rtt", int, float, type(None)),
    *of_types("source tcp icmp udp", dict, type(None)),
)


def _hit(d: dict[str, Any]) -> Hit:
    check(d, _HIT_FIELDS)
    get = d.get
    return Hit(
        **_target(d),
        probe=d["probe"],
        classification=d["classification"],
        success=get("success") is True,
        repeat=get("repeat") is True,
        cooldown=get("cooldown") is True,
        attempt=get("attempt"),
        ttl=get("ttl"),
        rtt=get("rtt"),
        source=get("source"),
        tcp=get("tcp"),
        icmp=get("icmp"),
        udp=get("udp"),
    )


#: A look-up of a dict takes a tenth of the time of a call of the enumeration.
_OUTCOMES: Final = {str(word): word for word in Outcome}
_PHASES: Final = {str(word): word for word in Phase}
_VIAS: Final = {str(word): word for word in Via}


def _ending(d: dict[str, Any]) -> dict[str, Any]:
    ending: dict[str, Any] = {
        "outcome": word(_OUTCOMES, Outcome, d.get("outcome")),
        "phase": word(_PHASES, Phase, d.get("phase")),
        "via": word(_VIAS, Via, d.get("via", "connect")),
    }
    for key in ("connect", "first_byte", "ended"):
        ending[key] = optional(d, key, (int, float))
    ending["hit"] = optional(d, "hit", str)
    ending["errno"] = optional(d, "errno", str)
    ending["icmp"] = optional(d, "icmp", dict)
    ending["control"] = optional_flag(d, "control")
    return ending


def _banner(d: dict[str, Any]) -> Banner:
    return Banner(
        **_target(d),
        **_ending(d),
        probe=text(d, "probe"),
        sent=optional(d, "sent", int) or 0,
        truncated=flag(d, "truncated"),
        data=decoded(d.get("data", ""), "data"),
        datagrams=lengths(d, "datagrams"),
        service=optional(d, "service", str),
        facts=optional(d, "facts", dict),
    )


def _tls(d: dict[str, Any]) -> Tls:
    chain = d.get("chain", [])
    certificates = d.get("certificates", [])
    if not isinstance(chain, list) or not all(isinstance(c, str) for c in chain):
        bad("chain is not a list of strings")
    if not isinstance(certificates, list):
        bad("certificates is not a list")
    return Tls(
        **_target(d),
        **_ending(d),
        mode=text(d, "mode"),
        alert=optional(d, "alert", str),
        error=optional(d, "error", str),
        version=optional(d, "version", str),
        cipher_suite=optional(d, "cipher_suite", str),
        alpn=optional(d, "alpn", str),
        sni=optional(d, "sni", str),
        chain=chain,
        certificates=[issuer(c) if place else decoded(c, "certificates") for place, c in enumerate(certificates)],
        server_hello=optional(d, "server_hello", dict),
        hello=optional(d, "hello", str),
        connections=count(d, "connections"),
        starttls=optional(d, "starttls", str),
        ocsp=None if d.get("ocsp") is None else decoded(d["ocsp"], "ocsp"),
        scts=None if d.get("scts") is None else decoded(d["scts"], "scts"),
        ja3s=optional(d, "ja3s", str),
        fingerprint=optional(d, "fingerprint", str),
        synack=optional(d, "synack", str),
        jarm=optional(d, "jarm", str),
        answers=words(d, "answers"),
        rules=words(d, "rules"),
    )


def _scan(d: dict[str, Any]) -> Scan:
    event = d.get("event")
    if event not in ("start", "progress", "end", "assessed"):
        bad(f"event is {event!r}")
    return Scan(
        scan=text(d, "scan"),
        ts=time(d),
        event=event,
        vantage=optional(d, "vantage", str) or "",
        spec=optional(d, "spec", dict),
        counters=optional(d, "counters", dict),
        position=optional(d, "position", int),
        id=text(d, "id"),
    )


_READERS: Final[dict[str, Callable[[dict[str, Any]], Record]]] = {
    "hit": _hit,
    "banner": _banner,
    "tls": _tls,
    "scan": _scan,
}


def opened(line: bytes, kinds: Container[str]) -> dict[str, Any]:
    """One line as an object of one of these kinds, of a version that this program reads; its fields as they come.
    Raises RecordError with the reason."""
    if len(line) > MAX_RECORD_BYTES:
        raise RecordError(DeadReason.OVERSIZED, f"{len(line)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        d = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordError(DeadReason.UNDECODABLE, str(error)) from None
    if not isinstance(d, dict):
        bad("not an object")
    kind = d.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        bad(f"kind is {kind!r}")
    v = d.get("v")
    if type(v) is not int or not 1 <= v <= VERSION:
        bad(f"v is {v!r}; this program reads up to {VERSION}")
    return d


def parse(line: bytes) -> Record:
    """Read one line as a record. Raises RecordError with the reason; unknown fields are ignored."""
    d = opened(line, _READERS)
    return _READERS[d["kind"]](d)
