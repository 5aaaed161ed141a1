"""Sightings: what an observation shows, and that folding is a minimum and a maximum."""

from __future__ import annotations

import random
from typing import Any

from stages.derive.sightings import Thing, fold, leaf_of
from stages.derive.sshkeys import fingerprint
from tests.derive.test_sshkeys import BLOB, INIT, REPLY


def observed(ts: int, ip: str = "10.0.0.1", **more: Any) -> dict[str, Any]:
    return {"kind": "tls", "ts": ts, "ip": ip, "address": ip.encode(), "port": 443, "transport": "tcp",
            "chain": ["leaf", "issuer"], **more}  # fmt: skip


def test_a_leaf_and_its_key() -> None:
    both = fold([observed(5), observed(3), observed(9)], {"leaf": "key"})
    assert [(s.thing, s.hash, s.first_seen, s.last_seen) for s in both] == [
        (Thing.CERTIFICATE, "leaf", 3, 9),
        (Thing.KEY, "key", 3, 9),
    ]
    assert [s.thing for s in fold([observed(5)], {})] == [Thing.CERTIFICATE]


def test_names_asked_for_are_kept_apart() -> None:
    found = fold([observed(1, sni="a"), observed(2, name="b", sni="a"), observed(3, name="b"), observed(4)], {})
    assert {(s.name, s.first_seen, s.last_seen) for s in found} == {("a", 1, 2), ("b", 3, 3), ("", 4, 4)}


def test_a_host_key() -> None:
    talk = {"kind": "banner", "data": b"SSH-2.0-x\r\n" + INIT + REPLY, "chain": None}
    [seen] = fold([{**observed(5), **talk}, {**observed(6), **talk, "data": b"SSH-2.0-x\r\n"}], {})
    assert (seen.thing, seen.hash, seen.last_seen) == (Thing.SSH, fingerprint(BLOB), 5)


def test_what_shows_nothing() -> None:
    assert (
        fold([observed(1, chain=[]), {**observed(1), "kind": "banner", "data": None}, observed(1, kind="hit")], {})
        == []
    )
    assert leaf_of({"chain": []}) is leaf_of({}) is None


def test_in_any_order() -> None:
    rng = random.Random(3)
    some = [observed(rng.randrange(99), f"10.0.0.{rng.randrange(4)}", sni=rng.choice("ab")) for _ in range(60)]
    key = lambda s: (s.thing, s.hash, s.ip, s.name)  # noqa: E731
    expected = sorted(fold(some, {"leaf": "k"}), key=key)
    rng.shuffle(some)
    assert sorted(fold([*some, *some[:20]], {"leaf": "k"}), key=key) == expected
