"""Another hello for a server that refused one."""

from __future__ import annotations

from typing import Any

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.proto.tls.offers import HELLOS
from stages.tlsgrab.attempts import Attempt, Followed, best_of, connections_of, next_attempt

HIT = Hit(scan="s", ts=1, ip="192.0.2.1", port=443, name="a.test", rtt=0.1, vantage="v", ttl=60)


def record(outcome: Outcome = Outcome.ALERT, phase: Phase = Phase.HELLO, **more: Any) -> Tls:
    fields = {"hello": "modern"} | more
    return Tls(scan="s", ts=1, ip="192.0.2.1", port=443, outcome=outcome, phase=phase, **fields)


@pytest.mark.parametrize(
    ("outcome", "alert", "hello"),
    [
        (Outcome.ALERT, "protocol_version", "old"),
        (Outcome.ALERT, "handshake_failure", "wide"),
        (Outcome.RESET, None, "old"),
        (Outcome.EMPTY, None, "old"),
    ],
)
def test_a_refusal_is_answered_with_another_hello(outcome: Outcome, alert: str | None, hello: str) -> None:
    first = record(outcome, alert=alert)
    one = next_attempt(HIT, first, 2, HELLOS)
    assert one is not None
    assert (one.hello, one.tried, one.first) == (hello, ("modern",), first)
    assert (one.id, one.name, one.rtt, one.vantage, one.ttl) == (HIT.id, "a.test", 0.1, "v", 60)
    assert (connections_of(HIT), connections_of(one)) == (1, 2)


@pytest.mark.parametrize(
    "result",
    [
        record(Outcome.SILENT),
        record(Outcome.TIMEOUT),
        record(Outcome.PROTOCOL),
        record(Outcome.REFUSED, Phase.CONNECT),
        record(Outcome.RESET, Phase.CONNECT),
        record(Outcome.ALERT, Phase.CERTIFICATE, version="TLSv1.2"),
        record(Outcome.ALERT, version="TLSv1.3"),
        record(Outcome.RESET, hello=None),
    ],
    ids=lambda r: f"{r.outcome}-{r.phase}-{r.version}-{r.hello}",
)
def test_what_is_no_refusal_of_a_hello(result: Tls) -> None:
    assert next_attempt(HIT, result, 9, HELLOS) is None


def test_the_budget_and_the_end_of_the_list() -> None:
    assert next_attempt(HIT, record(), 1, HELLOS) is None
    hit: Hit = HIT
    seen = []
    for budget in (9,) * 5:
        name = hit.hello if isinstance(hit, Attempt) else "modern"
        another = next_attempt(hit, record(alert="handshake_failure", hello=name), budget, HELLOS)
        if another is None:
            break
        seen.append(another.hello)
        hit = another
    assert seen == ["wide", "old", "ancient"]
    assert connections_of(hit) == 4


def test_the_first_refusal_counts_unless_a_later_hello_is_answered() -> None:
    first = record(alert="protocol_version", connections=1)
    one = next_attempt(HIT, first, 2, HELLOS)
    assert one is not None
    in_vain = record(Outcome.REFUSED, Phase.CONNECT, connections=2)
    assert best_of(one, in_vain) is first
    assert first.connections == 2
    answered = record(Outcome.ALERT, Phase.CERTIFICATE, version="SSLv3", connections=2)
    assert best_of(one, answered) is answered
    assert best_of(HIT, in_vain) is in_vain


def test_what_was_followed_is_remembered() -> None:
    followed = Followed(3, {"a.test"})
    hit = Attempt(scan="s", ts=1, ip="192.0.2.1", port=443, followed=followed)
    one = next_attempt(hit, record(), 2, HELLOS)
    assert one is not None
    assert one.followed is followed
