"""What is different between two scans: tables, and any two worlds against sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.netset import NetSet
from stages.derive.asked import Asked
from stages.derive.diff import OTHER, Change, Difference, How, Sum, Totals, differences, fingerprint, summed
from stages.derive.prefixes import Prefixes

T = TypeVar("T")
EVERYWHERE = Asked(None)


@dataclass(frozen=True)
class One:
    ip: str
    port: int = 80
    transport: str = "tcp"
    name: str = ""
    facts: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def address(self) -> bytes:
        return bytes(10) + b"\xff\xff" + IPv4Address(self.ip).packed


async def stream(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


def diff(
    before: list[One], after: list[One], asked_before: Asked = EVERYWHERE, asked_after: Asked = EVERYWHERE
) -> tuple[list[Difference], Totals]:
    totals = Totals()

    async def main() -> list[Difference]:
        rows = differences(stream(before), stream(after), asked_before, asked_after, totals)
        return [row async for row in rows]

    return asyncio.run(main()), totals


def banner(data: str, **more: str) -> dict[tuple[str, ...], str]:
    return {("banner", "wait"): data, **{(what, "certificate"): value for what, value in more.items()}}


def test_added_gone_changed_and_the_same() -> None:
    before = [One("10.0.0.1"), One("10.0.0.2", facts=banner("a", version="TLSv1.2")), One("10.0.0.3")]
    after = [One("10.0.0.2", facts=banner("b", version="TLSv1.3")), One("10.0.0.3"), One("10.0.0.4")]
    rows, totals = diff(before, after)
    assert [(row.how, row.service.ip) for row in rows] == [
        (How.GONE, "10.0.0.1"), (How.CHANGED, "10.0.0.2"), (How.ADDED, "10.0.0.4"),
    ]  # fmt: skip
    assert rows[1].changes == (
        Change("banner", "wait", "a", "b"), Change("version", "certificate", "TLSv1.2", "TLSv1.3"),
    )  # fmt: skip
    assert rows[1].shown()["changes"][0] == {"what": "banner", "asked": "wait", "before": "a", "after": "b"}
    assert totals == Totals(added=1, gone=1, changed=1, same=1)


def test_what_only_one_scan_heard_is_no_change() -> None:
    rows, totals = diff([One("10.0.0.1", facts=banner("a"))], [One("10.0.0.1")])
    assert (rows, totals.same) == ([], 1)


def test_where_a_scan_did_not_ask_nothing_is_gone_and_nothing_new() -> None:
    asked = Asked(NetSet.parse(["10.0.0.0/24"], "x"), frozenset({80}))
    old, new = [One("10.0.0.1"), One("10.0.0.1", 81), One("10.0.1.1")], []
    rows, totals = diff(old, new, asked_after=asked)
    assert [row.service.ip for row in rows] == ["10.0.0.1"]
    assert totals == Totals(gone=1, not_asked_after=2)
    rows, totals = diff(new, old, asked_before=asked)
    assert totals == Totals(added=1, not_asked_before=2)


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ({}, "unknown"),
        ({("service", "x"): "ssh", ("banner", "x"): "aa"}, "service ssh"),
        ({("service", "x"): "ssh", ("ja3s", "x"): "j", ("fingerprint", "x"): "f"}, "fingerprint f"),
    ],
)
def test_fingerprints(facts: dict[tuple[str, ...], str], value: str) -> None:
    assert fingerprint(One("10.0.0.1", facts=facts)) == value


_ONES = st.builds(
    One,
    ip=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1"]),
    port=st.sampled_from([22, 80]),
    name=st.sampled_from(["", "a"]),
    facts=st.sampled_from([banner("a"), banner("b"), {}]),
)
_WORLDS = st.lists(_ONES, unique_by=lambda o: (o.address, o.port, o.name)).map(
    lambda ones: sorted(ones, key=lambda o: (o.address, o.port, o.transport, o.name))
)


@given(_WORLDS, _WORLDS, st.integers(1, 3))
def test_of_any_two_worlds(before: list[One], after: list[One], most: int) -> None:
    rows, totals = diff(before, after)
    old = {(o.ip, o.port, o.name): o.facts for o in before}
    new = {(o.ip, o.port, o.name): o.facts for o in after}
    found = {how: {(r.service.ip, r.service.port, r.service.name) for r in rows if r.how is how} for how in How}
    both = old.keys() & new.keys()
    changed = {key for key in both if old[key] and new[key] and old[key] != new[key]}
    assert found == {How.ADDED: new.keys() - old.keys(), How.GONE: old.keys() - new.keys(), How.CHANGED: changed}
    assert (totals.added, totals.gone, totals.changed) == tuple(len(found[how]) for how in How)
    assert totals.same == len(both) - len(changed)

    async def sums(by: str, most: int) -> list[Sum]:
        prefixes = Prefixes(16)
        value = (lambda s: prefixes.of(s.address)) if by == "prefix" else (lambda s: str(s.port))
        return [s async for s in summed(stream(rows), value, in_order=by == "prefix", most=most)]

    for by in ("prefix", "port"):
        many = asyncio.run(sums(by, most))
        assert len({one.value for one in many}) == len(many)
        assert len(many) <= most + 1 or by == "prefix"
        for how in How:
            assert sum(getattr(one, how) for one in many) == len(found[how])
    assert OTHER not in {one.value for one in asyncio.run(sums("port", 2))}


def test_prefixes_go_out_before_the_next_begins() -> None:
    taken = []

    async def rows() -> AsyncIterator[Difference]:
        for n in range(3):
            taken.append(n)
            yield Difference(How.ADDED, One(f"10.0.{n}.1"))

    async def main() -> None:
        sums = summed(rows(), lambda s: Prefixes().of(s.address), in_order=True)
        assert await anext(sums) == Sum("10.0.0.0/24", added=1)
        assert taken == [0, 1]

    asyncio.run(main())
