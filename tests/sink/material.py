"""Records, certificates and readings that the sink's tests share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Hit, Record, Scan, Tls
from stages.sink.certificate import parse
from stages.sink.documents import entry
from stages.sink.stage import gather
from stages.sink.store import Batch, Collection, Filter, Store, Written

#: 2026-11-21T07:00:00Z
T0 = 1_795_244_400_000_000


@cache
def certificate(name: str = "www.example.com", *, serial: int = 7, ca: bool = False) -> bytes:
    """A self-signed certificate as DER, valid during 2026."""
    key = ec.generate_private_key(ec.SECP256R1())
    san = [x509.DNSName(text) for text in (name.upper(), "b.test") if " " not in text]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2026, 12, 31, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName(san), False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        .sign(key, hashes.SHA256())
    ).public_bytes(Encoding.DER)


def hit(ip: str = "10.0.0.1", ts: int = T0, **more: Any) -> Hit:
    return Hit(**{"scan": "s1", "ts": ts, "ip": ip, "port": 443, **more})


def banner(ip: str = "10.0.0.1", ts: int = T0, **more: Any) -> Banner:
    fields = {"scan": "s1", "ts": ts, "ip": ip, "port": 443, "outcome": Outcome.OK, "phase": Phase.READ}
    return Banner(**{**fields, "probe": "wait", "connect": 0.01, "data": b"SSH-2.0-x\r\n", **more})


def tls(ip: str = "10.0.0.1", ts: int = T0, ders: Sequence[bytes] = (), **more: Any) -> Tls:
    fields = {"scan": "s1", "ts": ts, "ip": ip, "port": 443, "outcome": Outcome.OK, "phase": Phase.FINISH}
    chain = [sha256(der).hexdigest() for der in ders]
    return Tls(**{**fields, "version": "TLSv1.3", "chain": chain, "certificates": list(ders), **more})


def scan(event: str = "start", ts: int = T0, **more: Any) -> Scan:
    return Scan(**{"scan": "s1", "ts": ts, "event": event, **more})


def batch_of(records: Sequence[Record]) -> Batch:
    """As the stage makes it, every certificate read."""
    batch = gather([entry(record) for record in records])
    for seen in batch.certificates:
        seen.fields = parse(seen.raw)
    return batch


async def write(store: Store, *records: Record) -> Written:
    return await store.write(batch_of(records))


async def snapshot(store: Store) -> dict[str, dict[str, Any]]:
    """Everything: collection -> _id -> document."""
    everything: dict[str, dict[str, Any]] = {}
    for collection in Collection:
        everything[collection] = {d["_id"]: d async for d in store.find(collection, Filter())}
    return everything


async def wipe(store: Store) -> None:
    """Empty it."""
    tables = ("services", "observations", "certificates", "scans")
    database = getattr(store, "_db", None)
    if database is not None:
        for table in (*tables, "sightings", "states", "events", "jobs", "erasures"):
            await database[table].delete_many({})
        return

    def work(connection: Any) -> None:
        for table in (*tables, "names", "sightings", "states", "events", "jobs", "erasures"):
            connection.execute(f"DELETE FROM {table}")

    await store._file.write(work)  # type: ignore[attr-defined]


#: Few values, so that records meet.
_IPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:DB8:0::1", "::ffff:10.0.0.1"])
_TS = st.integers(T0, T0 + 4)
_NAMES = st.sampled_from([None, "a.example", "A.example"])
_SCANS = st.sampled_from(["s1", "s2", "s3"])
_DERS = st.lists(
    st.sampled_from([b"", b"\x30\x03junk", certificate("a.example"), certificate("b.example")]), max_size=3
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record, out of a small world."""
    kind = draw(st.sampled_from(["hit", "banner", "tls", "scan"]))
    if kind == "scan":
        event = draw(st.sampled_from(["start", "progress", "end", "assessed"]))
        ts = draw(_TS)
        # One (scan, event, ts) says one thing: a record's content is a function of what it is about.
        return scan(event, ts, scan=draw(_SCANS), position=ts - T0, spec={"seed": 2**63 + ts, "a.b": None})
    where = {
        "ip": draw(_IPS),
        "ts": draw(_TS),
        "scan": draw(_SCANS),
        "name": draw(_NAMES),
        "port": draw(st.sampled_from([80, 443])),
        "vantage": draw(st.sampled_from(["", "v1"])),
    }
    if kind == "hit":
        return hit(**where, success=draw(st.booleans()), rtt=draw(st.sampled_from([None, 0.5, 1])), tcp={"seq": 2**32})
    outcome = draw(st.sampled_from(list(Outcome)))
    phase = draw(st.sampled_from([Phase.CONNECT, Phase.READ]))
    if kind == "banner":
        return banner(
            **where, outcome=outcome, phase=phase, probe=draw(st.sampled_from(["wait", "send"])), data=draw(st.binary())
        )
    return tls(**where, outcome=outcome, phase=phase, ders=draw(_DERS), alert=draw(st.sampled_from([None, "x"])))


async def one_of_each(store: Store) -> None:
    """Store one record of each kind, with bytes that no format likes."""
    await write(
        store,
        hit(rtt=0.5, tcp={"seq": 1}),
        banner(data=b'"quoted",\r\n=cmd\0\xff'),
        tls(ders=[certificate(), b"bad"]),
        scan(spec={"ports": [80, 443]}),
    )


def distinct(given: Sequence[Record]) -> list[Record]:
    """Without those whose id came before: of two with one id the first stays, whichever that is."""
    seen: dict[str, Record] = {}
    for record in given:
        seen.setdefault(record.id if not isinstance(record, Scan) else f"{record.id}{record.ts}", record)
    return list(seen.values())
