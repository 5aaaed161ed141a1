"""Documents as rows of the SQLite store's tables, and back. Pure; the tables are in `stages.sink.migrations`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from stages.sink.certificate_rows import CERTIFICATE_COLUMNS, read_certificate
from stages.sink.documents import (
    EVENTS,
    V4_MAPPED,
    Document,
    Observation,
    answered,
    ip_of,
    service_id,
    summary,
)

_ID_BYTES: Final = 16
_V4_BYTES: Final = 4

Row = tuple[Any, ...]
_Update = tuple[int, int, Row]  #: first, last, and what the newest said


def packed(record_id: str) -> bytes | str:
    """A record id as it lies in the table: 16 bytes where it is 32 lower-case hex digits."""
    if len(record_id) == 2 * _ID_BYTES:
        try:
            packed = bytes.fromhex(record_id)
        except ValueError:
            return record_id
        if packed.hex() == record_id:
            return packed
    return record_id


def short(address: bytes) -> bytes:
    """An address as it lies in the tables: 4 bytes for IPv4."""
    return address[12:] if address.startswith(V4_MAPPED) else address


def long(address: bytes) -> bytes:
    """The inverse of `short`."""
    return V4_MAPPED + address if len(address) == _V4_BYTES else address


def as_json(document: Document) -> str:
    return orjson.dumps(document).decode()


class Prepared(NamedTuple):
    """One observation as it is written."""

    row: Row  #: id, kind, scan, ts, address, port, transport, name, body, data
    said: Row | None  #: what its service shows of it: ts, id, summary[, data]; None: it does not move its service
    size: int  #: bytes


def prepared(o: Observation) -> Prepared:
    """Raises TypeError for what JSON cannot hold."""
    body = as_json(o.body)
    row = (packed(o.id), o.kind, o.scan, o.ts, short(o.address), o.port, o.transport, o.name, body, o.data)
    size = len(body) + len(o.data or b"")
    if not answered(o):
        return Prepared(row, None, size)
    shown = summary(o)
    if o.kind == "banner":
        data = shown.pop("data")
        return Prepared(row, (o.ts, o.id, as_json(shown), data), size)
    return Prepared(row, (o.ts, o.id, as_json(shown)), size)


@dataclass(slots=True)
class ServiceRows:
    """Rows of the services that some observations move, under the kinds that they move, in the order of their address.

    A row is (address, port, transport, name, first_seen, last_seen), and of each kind (ts, id, summary[, data]).
    """

    updates: int  #: one a service and kind
    rows: dict[tuple[str, ...], list[Row]]


def service_rows(observations: Iterable[Prepared]) -> ServiceRows:
    """What the observations say of their services, folded as `documents.fold_services` does. What they say of one
    service is one row: its page is found, and written, once."""
    services: dict[Row, dict[str, _Update]] = {}
    updates = 0
    for row, said, _ in observations:
        if said is None:
            continue
        kind, ts = row[1], row[3]
        key = row[4:8]
        kinds = services.get(key)
        if kinds is None:
            kinds = services[key] = {}
        known = kinds.get(kind)
        if known is None:
            kinds[kind] = (ts, ts, said)
            updates += 1
        else:
            first, last, newest = known
            kinds[kind] = (min(first, ts), max(last, ts), said if said[:2] > newest[:2] else newest)
    rows: dict[tuple[str, ...], list[Row]] = {}
    for key, kinds in services.items():
        if len(kinds) == 1:
            [(kind, (first, last, said))] = kinds.items()
            rows.setdefault((kind,), []).append((*key, first, last, *said))
        else:
            names = tuple(sorted(kinds))
            firsts, lasts, slots = zip(*[kinds[name] for name in names], strict=True)
            rows.setdefault(names, []).append((*key, min(firsts), max(lasts), *chain.from_iterable(slots)))
    for of_kinds in rows.values():
        of_kinds.sort(key=itemgetter(0))
    return ServiceRows(updates, rows)


# --- rows back into documents

_SERVICE_COLUMNS: Final = (
    "address, port, transport, name, first_seen, last_seen,"
    " hit_ts, hit_id, hit, banner_ts, banner_id, banner, banner_data, tls_ts, tls_id, tls"
)
_OBSERVATION_COLUMNS: Final = "id, kind, scan, ts, address, port, transport, name, body, data"
_SCAN_COLUMNS: Final = (
    'scan, first_seen, last_seen, start_ts, start_id, start, progress_ts, progress_id, progress, end_ts, end_id, "end",'
    " assessed_ts, assessed_id, assessed"
)


def _read_service(row: Sequence[Any]) -> Document:
    address = long(row[0])
    port, transport, name, first_seen, last_seen = row[1:6]
    ip = ip_of(address)
    document: Document = {
        "_id": service_id(ip, port, transport, name),
        "ip": ip,
        "address": address,
        "port": port,
        "transport": transport,
    }
    if name:
        document["name"] = name
    document["first_seen"] = first_seen
    document["last_seen"] = last_seen
    hit_ts, hit_id, hit, banner_ts, banner_id, banner, data, tls_ts, tls_id, tls = row[6:]
    if hit_ts is not None:
        document["hit"] = {"ts": hit_ts, "id": hit_id, **orjson.loads(hit)}
    if banner_ts is not None:
        document["banner"] = {"ts": banner_ts, "id": banner_id, **orjson.loads(banner), "data": data}
    if tls_ts is not None:
        document["tls"] = {"ts": tls_ts, "id": tls_id, **orjson.loads(tls)}
    return document


def _read_observation(row: Sequence[Any]) -> Document:
    record_id, kind, scan, ts, short, port, transport, name, body, data = row
    address = long(short)
    return Observation(
        id=record_id.hex() if isinstance(record_id, bytes) else record_id,
        kind=kind,
        scan=scan,
        ts=ts,
        ip=ip_of(address),
        address=address,
        port=port,
        transport=transport,
        name=name,
        body=orjson.loads(body),
        data=data,
    ).document()


def _read_scan(row: Sequence[Any]) -> Document:
    document: Document = {"_id": row[0], "first_seen": row[1], "last_seen": row[2]}
    for i, event in enumerate(EVENTS):
        ts, record_id, said = row[3 + 3 * i : 6 + 3 * i]
        if ts is not None:
            document[event] = {"ts": ts, "id": record_id, **orjson.loads(said)}
    return document


READERS: Final[dict[str, tuple[str, str, Callable[[Sequence[Any]], Document]]]] = {
    "services": (_SERVICE_COLUMNS, "address, port, transport, name", _read_service),
    "observations": (_OBSERVATION_COLUMNS, "ts, rowid", _read_observation),
    "certificates": (CERTIFICATE_COLUMNS, "sha256", read_certificate),
    "scans": (_SCAN_COLUMNS, "first_seen, scan", _read_scan),
}
