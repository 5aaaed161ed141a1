"""Answers as hit records: the lines of the hits topic and of the output module `hits`. Pure.

A line is what `stages.core.records.Hit.dump` would give (a test holds them equal), but made from a template: the
parts that are the same for all hits of a scan are rendered once, and the hash that is a hit's id is started once with
what all ids of the scan have in common. That takes a third of the time of building a Hit and dumping it. TCP answers
that come as an array are rendered by a kernel, which takes a tenth.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import orjson

from stages.core.records import VERSION, Hit, prefix_key
from stages.core.times import rfc3339
from stages.net.linebatch import COLUMNS, LineBatch, Parts
from stages.scanner.answers import ECHOREPLY, ICMP, KIND_NAMES, KNOCK, RST, SUCCESSES, SYNACK, UDP, UDP_OTHER
from stages.scanner.rows import VALIDATED, Answer, Packed, address_text

#: Bytes of a record's id (`stages.core.records.record_id`).
_ID_BYTES: Final = 16

_BOOL: Final = ("false", "true")

_KINDS: Final = {
    kind: f'"classification":"{name}","success":{_BOOL[kind in SUCCESSES]},"repeat":'
    for kind, name in KIND_NAMES.items()
}


#: The kinds that are TCP segments, by kind.
_OVER_TCP: Final = np.isin(np.arange(256), (SYNACK, RST, KNOCK))

#: Option set of tcp_synscan -> the window scale that its SYN offers (a test holds them equal to the templates).
WSCALES: Final = {"": 8, "windows": 8, "linux": 7, "bsd": 6, "smallest-probes": None}


@dataclass(frozen=True, slots=True)
class HitSource:
    """What all hits of one scan have in common."""

    scan: str
    probe: str
    transport: str = "tcp"  #: tcp | udp | icmp
    vantage: str = ""
    host: str = ""  #: the scanner's host: who may continue the connection
    syns: int = 1  #: SYNs that a target is sent, at most
    wscale: int | None = None  #: window scale that they offer; None: none


class HitLines:
    """Renders answers as hit records."""

    __slots__ = ("_hash", "_head", "_host", "_lead", "_middle", "_parts", "_probe", "source")

    def __init__(self, source: HitSource) -> None:
        self.source = source
        common = "\0".join(("hit", source.scan, source.probe, source.transport, ""))
        self._hash = blake2b(common.encode(), digest_size=_ID_BYTES)
        self._head = f'{{"kind":"hit","v":{VERSION},"id":"'
        self._middle = f'","scan":{_json(source.scan)},"vantage":{_json(source.vantage)},"ts":"'
        self._probe = f',"transport":{_json(source.transport)},"name":null,"probe":{_json(source.probe)},'
        wscale = "null" if source.wscale is None else source.wscale
        self._host = f',"host":{_json(source.host)},"syns":{source.syns},"wscale":{wscale}}},'
        self._lead = np.frombuffer(common.encode(), np.uint8)
        self._parts: Parts | None = None

    def line(self, answer: Answer) -> bytes:
        """One hit, without its line end."""
        return self._render(answer, address_text(answer.address))

    def lines(self, answers: Iterable[Answer]) -> list[bytes]:
        """Many hits, without their line ends."""
        if (batch := self.batch(answers)) is not None:
            return batch.lines
        render = self._render
        return [render(answer, address_text(answer.address)) for answer in answers]

    def batch(self, answers: Iterable[Answer]) -> LineBatch | None:
        """Many hits in one piece, where that can be: answers over TCP that came as an array."""
        if not isinstance(answers, Packed) or not len(answers) or not _OVER_TCP[answers.array["kind"]].all():
            return None
        from stages.scanner import hit_kernel  # with the compiler: where arrays are, it is

        if self._parts is None:
            self._parts = self._constant()
        parts, rows = self._parts, answers.array
        out = np.empty(len(rows) * (parts.longest + hit_kernel.LONGEST), np.uint8)
        marks = np.empty((len(rows), COLUMNS), np.int64)
        end = hit_kernel.render(rows, parts.text, parts.places, self._lead, out, marks)
        return LineBatch(out[:end].tobytes(), marks)

    def _constant(self) -> Parts:
        """What `stages.scanner.hit_kernel` puts between the values of a row."""
        texts = [
            self._head, self._middle, '","ip":"', '","port":', self._probe, "", ',"cooldown":', ',"attempt":',
            ',"ttl":', ',"rtt":', ',"source":{"ip":"', '","port":', ',"validated":"', '","bits":', self._host,
            '"tcp":{"seq":', ',"ack":', ',"window":', ',"mss":', ',"wscale":', ',"sack":', ',"ts_val":', ',"ts_ecr":',
            ',"ipid":', '},"icmp":null,"udp":null}',
        ]  # fmt: skip
        texts += [_KINDS.get(kind, "") for kind in range(256)]
        return Parts([text.encode() for text in (*texts, *VALIDATED)])

    def keyed(self, answers: Iterable[Answer]) -> Sequence[tuple[bytes, bytes]]:
        """Many hits as (key, line): the key is the target's prefix, which orders and owns it."""
        if (batch := self.batch(answers)) is not None:
            return batch
        keyed = []
        for answer in answers:
            ip = address_text(answer.address)
            # What prefix_key does for IPv4, without asking which it is.
            key = prefix_key(ip) if isinstance(answer.address, str) else ip[: ip.rindex(".")].encode()
            keyed.append((key, self._render(answer, ip)))
        return keyed

    def _render(self, answer: Answer, ip: str) -> bytes:
        # One unpacking is a third of the cost of 32 attribute look-ups.
        (ts, rtt, _, _, daddr, seq, ack, ts_val, ts_ecr, responder, _, sport, dport, port, window, ipid, mss, wscale,
         sack, has_ts, ttl, kind, icmp_type, icmp_code, attempt, repeat, cooldown, bound, bits, size, data_size,
         data) = answer  # fmt: skip
        digest = self._hash.copy()
        digest.update(f"{ip}\0{port}\0\0".encode())
        tcp = udp = "null"
        if kind in (UDP, UDP_OTHER):
            icmp = "null"
            udp = (
                f'{{"port":{sport},"size":{size},"truncated":{_BOOL[data_size < size]},'
                f'"data":"{b64encode(data).decode()}"}}'
            )
        elif kind in (ICMP, ECHOREPLY):
            icmp = f'{{"type":{icmp_type},"code":{icmp_code},"responder":"{address_text(responder)}"'
            icmp += f',"id":{ack},"seq":{seq}}}' if kind == ECHOREPLY else "}"
        else:
            icmp = "null"
            tcp = "null" if seq is None else (
                f'{{"seq":{seq},"ack":{ack},"window":{window},"mss":{mss or "null"},'
                f'"wscale":{wscale if wscale >= 0 else "null"},"sack":{_BOOL[sack]},'
                f'"ts_val":{ts_val if has_ts else "null"},"ts_ecr":{ts_ecr if has_ts else "null"},"ipid":{ipid}}}'
            )  # fmt: skip
        own = "null," if daddr is None else (
            f'{{"ip":"{address_text(daddr)}","port":{dport},'
            f'"validated":"{VALIDATED[bound]}","bits":{bits}{self._host}'
        )  # fmt: skip
        return (
            f'{self._head}{digest.hexdigest()}{self._middle}{rfc3339(ts)}","ip":"{ip}","port":{port}{self._probe}'
            f"{_KINDS[kind]}{_BOOL[repeat]}"
            f',"cooldown":{_BOOL[cooldown]},"attempt":{attempt}'
            f',"ttl":{"null" if ttl is None else ttl},"rtt":{_seconds(rtt)},'
            f'"source":{own}"tcp":{tcp},"icmp":{icmp},"udp":{udp}}}'
        ).encode()


def hit_of(answer: Answer, source: HitSource, *, prober: bool = True) -> Hit:
    """The record of a SYN-ACK, or of a connection that stood, as `HitLines` writes it; without what it says of the
    prober, if nobody is to ask."""
    tcp: dict[str, Any] | None = None
    if answer.seq is not None:
        tcp = {
            "seq": answer.seq,
            "ack": answer.ack,
            "window": answer.window,
            "mss": answer.mss or None,
            "wscale": None if answer.wscale < 0 else answer.wscale,
            "sack": bool(answer.sack),
            "ts_val": answer.ts_val if answer.has_ts else None,
            "ts_ecr": answer.ts_ecr if answer.has_ts else None,
            "ipid": answer.ipid,
        }
    own: dict[str, Any] | None = None
    if prober and answer.daddr is not None:
        own = {
            "ip": address_text(answer.daddr),
            "port": answer.dport,
            "validated": answer.validated,
            "bits": answer.bits,
            "host": source.host,
            "syns": source.syns,
            "wscale": source.wscale,
        }
    rtt = answer.rtt
    return Hit(
        source.scan,
        answer.ts,
        address_text(answer.address),
        answer.port,
        vantage=source.vantage,
        transport=source.transport,
        probe=source.probe,
        classification=answer.classification,
        success=answer.success,
        repeat=bool(answer.repeat),
        cooldown=bool(answer.cooldown),
        attempt=answer.attempt,
        ttl=answer.ttl,
        rtt=None if rtt is None or rtt != rtt else round(rtt, 6),
        source=own,
        tcp=tcp,
    )


def _seconds(value: float | None) -> str:
    """Microseconds are all that the kernel's clock gives; NaN (it is not equal to itself) is unknown."""
    return "null" if value is None or value != value else f"{value:.6f}"


def _json(text: str) -> str:
    return orjson.dumps(text).decode()
