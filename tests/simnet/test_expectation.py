"""What must be found, against what the scripts say."""

from __future__ import annotations

import pytest

from stages.simnet.behaviours import http_response, script
from stages.simnet.expectation import Client, Expected, expected
from stages.simnet.sorts import PLAN, number
from stages.simnet.truth import Kind, Shares, Truth

TRUTH = Truth(4, ("10.0.0.0/22",), (22, 80, 443), Shares(open=0.8, filtered=0.1, rejected=0.05))
CHAINS = [(f"leaf{n}", "middle") for n in range(len(PLAN))]


def one(kind: Kind, port: int, client: Client | None = None) -> Expected:
    return next(e for e in expected(TRUTH, CHAINS, client) if e.kind is kind and e.port == port)


def test_every_open_service_once() -> None:
    services = [(e.ip, e.port, e.kind) for e in expected(TRUTH, CHAINS)]
    assert services == list(TRUTH.services())
    assert len(set(services)) == len(services)


@pytest.mark.parametrize(
    ("kind", "says", "outcome"),
    [
        (Kind.HTTP, True, "ok"),
        (Kind.HTTP, False, "silent"),
        (Kind.SILENT, True, "silent"),
        (Kind.CLOSE, True, "empty"),
        (Kind.CLOSE, False, "empty"),
        (Kind.RESET, True, "reset"),
        (Kind.DRIP, True, "ok"),
        (Kind.FLOOD, True, "ok"),
        (Kind.GARBAGE, False, "ok"),
        (Kind.HALF_CLOSE, False, "ok"),
    ],
)
def test_banners(kind: Kind, says: bool, outcome: str) -> None:
    e = one(kind, 80, Client(says=says))
    play = script(kind, e.ip, e.port, TRUTH.detail(e.ip, e.port))
    assert e.outcome == outcome
    assert e.data == (play.greeting + ((play.reply or b"") if says else b""))[:65536]
    assert e.chain is None


@pytest.mark.parametrize("kind", [Kind.SSH, Kind.SMTP, Kind.FTP])
def test_who_speaks_first_is_not_changed_by_a_request(kind: Kind) -> None:
    assert one(kind, 22, Client(says=True)) == one(kind, 22, Client(says=False))


def test_http_text() -> None:
    e = one(Kind.HTTP, 80)
    assert e.data == http_response(e.ip, 80, TRUTH.detail(e.ip, 80))


def test_a_flood_is_cut() -> None:
    e = one(Kind.FLOOD, 80, Client(max_bytes=100))
    assert e.data is not None
    assert len(e.data) == 100


@pytest.mark.parametrize(
    ("kind", "outcome", "version"),
    [(Kind.TLS12, "ok", "TLSv1.2"), (Kind.TLS13, "ok", "TLSv1.3"), (Kind.TLS_UNPARSABLE, None, "TLSv1.2")],
)
def test_tls(kind: Kind, outcome: str | None, version: str) -> None:
    e = one(kind, 443)
    n = number(kind, TRUTH.detail(e.ip, 443))
    assert (e.outcome, e.version, e.chain, e.sort) == (outcome, version, CHAINS[n], PLAN[n])
    assert e.data is None


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (Kind.HTTP, "protocol"),
        (Kind.GARBAGE, "protocol"),
        (Kind.SILENT, "silent"),
        (Kind.RESET, "reset"),
        (Kind.CLOSE, "empty"),
    ],
)
def test_no_tls_on_a_tls_port(kind: Kind, outcome: str) -> None:
    e = one(kind, 443)
    assert (e.outcome, e.chain, e.version, e.data) == (outcome, (), None, None)
