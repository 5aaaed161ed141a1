"""Conversations of the compiled engine as banner records: many at once, from rows of ENDED to lines. Pure.

A line is what `stages.core.records.Banner.dump` would give of the same conversation, named as
`stages.bannergrab.endings` names it (a test holds both equal), but made from a template: what all records of a scan
have in common is rendered once, and the two hashes that are the ids of record and hit are started once. Those that
ended `ok`, nearly all, are rendered by a kernel.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import errorcode
from hashlib import blake2b, sha256
from typing import Final

import numpy as np
import orjson

from stages.bannergrab import line_kernel
from stages.core.outcome import Outcome, Phase, Via, of_error
from stages.core.records import VERSION
from stages.core.times import rfc3339
from stages.net.ended import PHASES, WRITE, Ended, plain
from stages.net.linebatch import COLUMNS, LineBatch, Parts

#: Bytes of a record's id (`stages.core.records.record_id`).
_ID_BYTES: Final = 16

_MICROSECONDS: Final = 1_000_000
#: `2026-11-21T07:10:00.`, of an RFC 3339 time with microseconds.
_SECOND_CHARS: Final = 20
_BOOL: Final = ("false", "true")
#: The dotted quad's parts: quicker than formatting integers.
_OCTETS: Final = tuple(str(octet) for octet in range(256))
_NULLS: Final = ("null", "null")
#: Columns of ENDED in the order in which they are unpacked.
_COLUMNS: Final = (
    "connected", "first_byte", "ended", "data_at", "data_size", "sent", "peer", "peer_port", "icmp_sender",
    "errno", "phase", "failed", "has_icmp", "icmp_type", "icmp_code", "truncated", "timed_out", "control", "left_host",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Common:
    """What all these records have in common."""

    scan: str
    vantage: str
    hit_probe: str  #: the probe of the hits that led here
    probe: str  #: the dialogue
    via: Via = Via.RAW
    asked: bool = False  #: control ports were asked


class BannerLines:
    """Renders batches."""

    __slots__ = ("_asked", "_head", "_hit", "_id", "_leads", "_middle", "_parts", "_probe", "_suffix", "_tail")

    def __init__(self, common: Common) -> None:
        record = "\0".join(("banner", common.scan, common.probe, "tcp", ""))
        hit = "\0".join(("hit", common.scan, common.hit_probe, "tcp", ""))
        self._id = blake2b(record.encode(), digest_size=_ID_BYTES)
        self._hit = blake2b(hit.encode(), digest_size=_ID_BYTES)
        self._head = f'{{"kind":"banner","v":{VERSION},"id":"'
        self._middle = f'","scan":{_json(common.scan)},"vantage":{_json(common.vantage)},"ts":"'
        self._probe = f',"transport":"tcp","name":null,"probe":{_json(common.probe)},"hit":"'
        self._tail = f"\0\0{common.via}"
        self._asked = common.asked
        self._leads = np.frombuffer(record.encode(), np.uint8), np.frombuffer(hit.encode(), np.uint8)
        self._suffix = np.frombuffer(self._tail.encode(), np.uint8)
        texts = [
            self._head, self._middle, '","ip":"', '","port":', self._probe,
            f'","via":"{common.via}","outcome":"ok","phase":"', '","errno":null,"icmp":null,"connect":',
            ',"first_byte":', ',"ended":', ',"sent":', ',"size":', ',"truncated":', ',"data":"', '","sha256":"',
            '","datagrams":null,"service":null,"facts":null,"control":', "}",
            *(PHASES.get(number, "") for number in range(line_kernel.PHASE_NAMES)),
        ]  # fmt: skip
        self._parts = Parts([text.encode() for text in texts])

    def lines(self, batch: Ended) -> Rendered:
        """(key, line) of each, and how many ended in which way. The key is the target's prefix.

        What was our own fault (`local`) is counted and is no record.
        """
        rows = batch.rows
        plainly = plain(rows)
        if plainly.all():
            return self.plain(batch) if len(rows) else [], {Outcome.OK: len(rows)}
        if not plainly.any():
            return self._each(batch)
        others, outcomes = self._each(batch.part(~plainly))
        outcomes[Outcome.OK] += int(plainly.sum())
        return [*self.plain(batch.part(plainly)), *others], outcomes

    def plain(self, batch: Ended, hits: bytes = b"") -> LineBatch:
        """Those that are (`stages.net.ended.plain`). `hits`: the ids of their hits, ID_DIGITS each; b"": they are what
        they should be."""
        rows, data, parts = batch.rows, batch.data, self._parts
        sizes = rows["data_size"]
        places = zip(rows["data_at"].tolist(), sizes.tolist(), strict=True)
        digests = b"".join([sha256(data[at : at + size]).digest() for at, size in places])
        room = len(rows) * (parts.longest + line_kernel.LONGEST) + 4 * int((sizes.astype(np.int64) // 3 + 1).sum())
        out = np.empty(room, np.uint8)
        marks = np.empty((len(rows), COLUMNS), np.int64)
        end = line_kernel.render(
            rows, np.frombuffer(data, np.uint8), np.frombuffer(digests, np.uint8),
            np.frombuffer(hits, np.uint8), self._asked, parts.text, parts.places, self._leads, self._suffix, out, marks,
        )  # fmt: skip
        return LineBatch(out[:end].tobytes(), marks)

    def _each(self, batch: Ended) -> tuple[list[tuple[bytes, bytes]], Counter[Outcome]]:
        """Any, one by one."""
        rows, data = batch.rows, batch.data
        whole, rest = np.divmod(rows["started"], _MICROSECONDS)
        # A batch has one second or two: their text is made once each.
        seconds = {at: rfc3339(at * _MICROSECONDS)[:_SECOND_CHARS] for at in set(whole.tolist())}
        columns = [whole.tolist(), rest.tolist(), *(rows[name].tolist() for name in _COLUMNS)]
        head, middle, probe, tail = self._head, self._middle, self._probe, self._tail
        via = tail[2:]
        keyed: list[tuple[bytes, bytes]] = []
        outcomes: list[Outcome] = []
        for (
            second, micros, connected, first_byte, ended, at, size, sent, peer, port, icmp_sender,
            errno, phase, failed, has_icmp, icmp_type, icmp_code, truncated, timed_out, control, left_host,
        ) in zip(*columns, strict=True):  # fmt: skip
            if size and not failed:
                outcome = Outcome.OK
            else:
                outcome = _outcome(
                    errno, phase, failed, (icmp_type, icmp_code) if has_icmp else None, size, timed_out, left_host
                )
            outcomes.append(outcome)
            if outcome is Outcome.LOCAL:
                continue
            prefix = f"{_OCTETS[peer >> 24]}.{_OCTETS[peer >> 16 & 255]}.{_OCTETS[peer >> 8 & 255]}"
            ip = f"{prefix}.{_OCTETS[peer & 255]}"
            target = f"{ip}\0{port}"
            own = self._id.copy()
            own.update(f"{target}{tail}".encode())
            hit = self._hit.copy()
            hit.update(f"{target}\0\0".encode())
            body = data[at : at + size]
            error, icmp = _NULLS if not (errno or has_icmp) else _error(
                errno, has_icmp, icmp_type, icmp_code, icmp_sender
            )  # fmt: skip
            line = (
                f'{head}{own.hexdigest()}{middle}{seconds[second]}{micros:06d}Z","ip":"{ip}","port":{port}{probe}{hit.hexdigest()}'
                f'","via":"{via}","outcome":"{outcome._value_}","phase":"{PHASES[phase]}","errno":{error},"icmp":{icmp}'
                f',"connect":{connected:.6f},"first_byte":'
                f'{f"{first_byte:.6f}" if first_byte == first_byte else "null"},"ended":{ended:.6f}'
                f',"sent":{sent},"size":{size},"truncated":{_BOOL[truncated]}'
                f',"data":"{b2a_base64(body, newline=False).decode()}","sha256":"{sha256(body).hexdigest()}"'
                f',"datagrams":null,"service":null,"facts":null,"control":{_BOOL[control] if self._asked else "null"}}}'
            )
            keyed.append((prefix.encode(), line.encode()))
        return keyed, Counter(outcomes)


def _outcome(
    errno: int,
    phase: int,
    failed: int,
    icmp: tuple[int, int] | None,
    size: int,
    timed_out: int,
    left_host: int,
) -> Outcome:
    """As `stages.bannergrab.endings` names what is not plainly `ok`."""
    if failed:
        return of_error(errno, Phase.WRITE if phase == WRITE else Phase.READ, icmp=icmp, left_host=bool(left_host))
    if size:
        return Outcome.OK
    if not timed_out:
        return Outcome.EMPTY
    return Outcome.UNREACHABLE if errno else Outcome.SILENT


def _error(errno: int, has_icmp: int, kind: int, code: int, sender: int) -> tuple[str, str]:
    """`errno` and `icmp` as they stand in a line."""
    name = f'"{errorcode.get(errno, str(errno))}"' if errno else "null"
    if not has_icmp:
        return name, "null"
    quad = ".".join(_OCTETS[sender >> shift & 255] for shift in (24, 16, 8, 0))
    return name, f'{{"type":{kind},"code":{code},"responder":{f"{chr(34)}{quad}{chr(34)}" if sender else "null"}}}'


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


#: What `BannerLines.lines` gives.
Rendered = tuple[Sequence[tuple[bytes, bytes]], Mapping[Outcome, int]]
