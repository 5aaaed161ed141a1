"""Records into documents: what a service follows, how folds merge, what cannot be stored."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.records import parse
from stages.sink import documents
from stages.sink.documents import (
    MAX_DEPTH,
    Observation,
    address_of,
    answered,
    entry,
    fold_certificates,
    fold_scans,
    fold_services,
    ip_of,
    service_id,
    storable,
    summary,
    supersedes,
)
from tests.core.record_strategies import banners, hits, scans
from tests.sink.material import banner, certificate, hit, records, scan, tls


@pytest.mark.parametrize(
    ("ip", "canonical", "address"),
    [
        ("10.0.0.1", "10.0.0.1", "00000000000000000000ffff0a000001"),
        ("255.255.255.255", "255.255.255.255", "00000000000000000000ffffffffffff"),
        ("2001:DB8:0:0::1", "2001:db8::1", "20010db8000000000000000000000001"),
        ("::ffff:10.0.0.1", "10.0.0.1", "00000000000000000000ffff0a000001"),
        ("fe80::1%eth0", "fe80::1", "fe800000000000000000000000000001"),
        ("::", "::", "00" * 16),
    ],
)
def test_addresses(ip: str, canonical: str, address: str) -> None:
    assert address_of(ip) == (canonical, bytes.fromhex(address))
    assert ip_of(bytes.fromhex(address)) == canonical


@given(st.ip_addresses().map(str))
def test_an_address_comes_back(ip: str) -> None:
    canonical, address = address_of(ip)
    assert len(address) == 16
    assert ip_of(address) == canonical
    assert address_of(canonical) == (canonical, address)


def test_ids_of_services() -> None:
    assert service_id("10.0.0.1", 80, "tcp", "") == "10.0.0.1:80/tcp"
    assert service_id("2001:db8::1", 53, "udp", "a.example") == "[2001:db8::1]:53/udp/a.example"


@pytest.mark.parametrize(
    ("outcome", "phase", "transport", "moves"),
    [
        (Outcome.OK, Phase.READ, "tcp", True),
        (Outcome.EMPTY, Phase.READ, "tcp", True),
        (Outcome.SILENT, Phase.READ, "tcp", True),
        (Outcome.RESET, Phase.WRITE, "tcp", True),
        (Outcome.PROTOCOL, Phase.HELLO, "tcp", True),
        (Outcome.ALERT, Phase.HELLO, "tcp", True),
        (Outcome.TIMEOUT, Phase.READ, "tcp", True),
        (Outcome.TIMEOUT, Phase.CONNECT, "tcp", False),
        (Outcome.REFUSED, Phase.CONNECT, "tcp", False),
        (Outcome.UNREACHABLE, Phase.CONNECT, "tcp", False),
        (Outcome.BLOCKED, Phase.CONNECT, "tcp", False),
        (Outcome.EXPIRED, Phase.CONNECT, "tcp", False),
        (Outcome.CANCELLED, Phase.READ, "tcp", False),
        (Outcome.LOCAL, Phase.CONNECT, "tcp", False),
        (Outcome.OK, Phase.READ, "udp", True),
        (Outcome.SILENT, Phase.READ, "udp", False),
        (Outcome.TIMEOUT, Phase.READ, "udp", False),
        (Outcome.EMPTY, Phase.READ, "udp", False),
    ],
)
def test_what_moves_a_service(outcome: Outcome, phase: Phase, transport: str, moves: bool) -> None:
    e = entry(banner(outcome=outcome, phase=phase, transport=transport))
    assert e.observation is not None
    assert answered(e.observation) is moves
    assert len(fold_services([e.observation])) == moves


def test_a_hit_moves_a_service_if_it_is_a_success() -> None:
    for success in (True, False):
        observation = entry(hit(success=success, classification="rst")).observation
        assert observation is not None
        assert answered(observation) is success


@given(st.one_of(hits, banners, scans, records()))
def test_any_record_can_be_stored_or_says_why_not(record: object) -> None:
    refused = None
    try:
        e = entry(parse(record.dump()), 7)  # type: ignore[attr-defined]
    except RecordError as error:
        refused = error
    if refused is not None:
        assert refused.reason is DeadReason.REFUSED
        assert "key" in refused.detail
        return
    assert e.size == 7
    assert (e.observation is None) is (e.scan is not None)
    if e.observation is not None:
        assert Observation.of_document(e.observation.document()) == e.observation
        assert None not in e.observation.body.values()


@pytest.mark.parametrize("key", ["$set", "", "nul\0"])
def test_keys_that_cannot_be_stored(key: str) -> None:
    for make in (lambda o: hit(tcp=o), lambda o: scan(spec={"deep": [o]}), lambda o: tls(server_hello=o)):
        with pytest.raises(RecordError) as caught:
            entry(make({key: 1}))
        assert caught.value.reason is DeadReason.REFUSED


def test_nesting_is_bounded() -> None:
    good: object = 1
    for _ in range(MAX_DEPTH):
        good = [good]
    assert storable(good) == good
    for deeper in ([good], {"x": good}):
        with pytest.raises(RecordError, match="deeper"):
            storable(deeper)


def test_integers_beyond_int64_are_text() -> None:
    big = {"a": 2**63 - 1, "b": 2**63, "c": -(2**63), "d": -(2**63) - 1, "e": [2**64], "f": None, "g": 1.5, "h": True}
    assert storable(big) == {
        "a": 2**63 - 1,
        "b": str(2**63),
        "c": -(2**63),
        "d": str(-(2**63) - 1),
        "e": [str(2**64)],
        "g": 1.5,
        "h": True,
    }


def test_a_chain_that_is_not_its_certificates() -> None:
    with pytest.raises(RecordError) as caught:
        entry(tls(ders=[b"x"], chain=["0" * 64]))
    assert caught.value.reason is DeadReason.SCHEMA
    assert entry(tls(chain=["0" * 64])).certificates == ()
    e = entry(tls(ders=[b"x", b"y"], chain=[]))
    assert e.observation is not None
    assert e.observation.body["chain"] == [digest for digest, _, _ in e.certificates]


def test_the_summary_shows_the_host_key_of_an_ssh_server() -> None:
    key = "5" * 64
    said = entry(banner(service="ssh", facts={"fingerprint": key})).observation
    other = entry(banner(service="x", facts={"fingerprint": key})).observation
    silent = entry(banner(service="ssh")).observation
    assert said is not None
    assert other is not None
    assert silent is not None
    assert summary(said)["host_key"] == key
    assert "host_key" not in summary(other)
    assert "host_key" not in summary(silent)


def test_the_summary_shows_the_leaf() -> None:
    with_chain, without = entry(tls(ders=[certificate(), b"y"])).observation, entry(tls()).observation
    assert with_chain is not None
    assert without is not None
    assert summary(with_chain)["leaf"] == with_chain.body["chain"][0]
    assert "leaf" not in summary(without)


@given(st.lists(records(), max_size=12), st.data())
def test_folds_do_not_depend_on_order(given_: list[object], data: st.DataObject) -> None:
    entries = [entry(record) for record in given_]  # type: ignore[arg-type]
    other = data.draw(st.permutations([*entries, *entries[:3]]))

    def folded(some: list[documents.Entry]) -> object:
        services = {
            (u.newest.address, u.newest.port, u.newest.name, u.newest.kind): (
                u.first_seen, u.last_seen, u.newest.ts, u.newest.id
            )
            for u in fold_services(e.observation for e in some if e.observation)
        }  # fmt: skip
        certificates = {
            c.sha256: (c.first_seen, c.last_seen) for c in fold_certificates(c for e in some for c in e.certificates)
        }
        scans = {s.scan: s for s in fold_scans(e.scan for e in some if e.scan)}
        return services, certificates, scans

    assert folded(entries) == folded(list(other))


def test_which_event_stays() -> None:
    early, late = (1, "a", {}), (1, "b", {})
    assert supersedes("start", early, late)
    assert not supersedes("start", late, early)
    assert supersedes("end", late, early)
    assert not supersedes("progress", late, late)


def test_it_is_pure() -> None:
    tree = ast.parse(Path(documents.__file__).read_text())
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not imported & {"asyncio", "os", "random", "socket", "sqlite3", "time"}


def test_what_came_with_a_chain_is_kept_as_text() -> None:
    body = entry(tls(ocsp=b"\x30\x00", scts=b"\x00\xff", hello="old", starttls="smtp", connections=2)).observation.body
    assert (body["ocsp"], body["scts"]) == ("MAA=", "AP8=")
    assert (body["hello"], body["starttls"], body["connections"]) == ("old", "smtp", 2)
    plain = entry(tls()).observation.body
    assert not {"ocsp", "scts", "hello", "starttls", "connections"} & set(plain)
