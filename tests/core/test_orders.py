"""Orders: what is one, and what all that came so far mean."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core import orders
from stages.core.errors import UsageError
from stages.core.orders import MAX_ORDER, Fold, Order, Orders, Standing, made, parse, within

ALL = Order("stop", "all", reason="a fire", by="ada")
WEEKLY = Order("stop", "campaign", "weekly")
NET = Order("stop", "prefix", "192.0.2.0/24")
AWAY = Order("optout", "prefix", "198.51.100.0/24")

GOOD = {"order": "stop", "scope": "all", "what": "", "reason": "", "by": "", "at": 0}


@pytest.mark.parametrize("order", [ALL, WEEKLY, NET, AWAY, Order("lift", "campaign", "ü" * 200, "x" * 500, "y" * 100)])
def test_an_order_is_one_line_and_comes_back(order: Order) -> None:
    line = order.dump()
    assert b"\n" not in line
    assert len(line) <= MAX_ORDER
    assert parse(line) == order


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"order": "go"}, "order"),
        ({"order": None}, "order"),
        ({"scope": "some"}, "scope"),
        ({"order": "optout"}, "scope"),
        ({"order": "optout", "scope": "campaign", "what": "x"}, "scope"),
        ({"what": "x"}, "what"),
        ({"scope": "campaign"}, "what"),
        ({"scope": "campaign", "what": "a\nb"}, "what"),
        ({"scope": "campaign", "what": "a" * 201}, "what"),
        ({"scope": "prefix", "what": "10.0.0.0/33"}, "prefix length"),
        ({"scope": "prefix", "what": "example.org"}, "name"),
        ({"scope": "prefix", "what": ""}, "not an"),
        ({"reason": 7}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"by": "\x1b[2J"}, "by"),
        ({"at": -1}, "at"),
        ({"at": True}, "at"),
        ({"at": 1.5}, "at"),
        ({"more": 1}, "fields"),
    ],
)
def test_what_is_no_order_is_refused_with_the_field(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(orjson.dumps({**GOOD, **changes}))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"\xff", b" " * (MAX_ORDER + 1), b"{}"])
def test_lines_that_are_nothing_of_the_kind(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)
    fold = Fold()
    assert len(fold.take([ALL.dump(), line, WEEKLY.dump()])) == fold.left_out == 1
    assert fold.standing == (ALL, WEEKLY)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(line: bytes) -> None:
    Fold().take([line])


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("192.0.2.7/24", "192.0.2.0/24"), ("192.0.2.0-192.0.2.255", "192.0.2.0/24"), (" 2001:DB8::/32", "2001:db8::/32"),
     ("10.0.0.1", "10.0.0.1"), ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2")],
)  # fmt: skip
def test_a_network_has_one_spelling_so_that_it_can_be_lifted(typed: str, kept: str) -> None:
    assert Order("stop", "prefix", typed).what == kept


def test_a_users_order_names_the_option() -> None:
    with pytest.raises(UsageError, match="--prefix: 'nowhere'"):
        made("stop", "prefix", "nowhere", reason="", by="", at=0)


def test_of_all_about_a_thing_the_last_counts() -> None:
    fold = Fold()
    fold.take([ALL.dump(), NET.dump(), Order("lift", "all").dump(), Order("optout", "prefix", NET.what).dump()])
    assert [order.order for order in fold.standing] == ["stop", "optout"], "an opt-out is not lifted by lifting a stop"
    fold.take([Order("lift", "prefix", NET.what).dump()])
    assert [order.order for order in fold.standing] == ["optout"]
    fold.take([Order("remove", "prefix", NET.what).dump()])
    assert fold.standing == ()


verbs = st.sampled_from(
    [(verb, scope) for verb in ("stop", "lift") for scope in ("all", "campaign", "prefix")]
    + [("optout", "prefix"), ("remove", "prefix")]
)
names = {"all": [""], "campaign": ["a", "b"], "prefix": ["10.0.0.0/8", "11.0.0.0/8"]}
some_orders = st.lists(
    verbs.flatmap(lambda verb: st.builds(lambda what: Order(*verb, what), st.sampled_from(names[verb[1]])))
)


@given(some_orders, st.data())
def test_a_compacted_log_says_the_same(given_: list[Order], data: st.DataObject) -> None:
    """Whatever earlier order about the same thing is missing."""
    last = {order.key: at for at, order in enumerate(given_)}
    kept = [order for at, order in enumerate(given_) if last[order.key] == at or data.draw(st.booleans())]
    whole, compacted = Fold(), Fold()
    whole.take(order.dump() for order in given_)
    compacted.take(order.dump() for order in kept)
    assert set(whole.standing) == set(compacted.standing)
    stands = {order.key for at, order in enumerate(given_) if last[order.key] == at and order.stands}
    assert {order.key for order in whole.standing} == stands


def test_there_are_not_more_than_can_be_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_ORDERS", 2)
    fold = Fold()
    assert fold.take([NET.dump(), ALL.dump()]) == []
    [wrong] = fold.take([WEEKLY.dump()])
    assert "more than 2" in wrong
    assert fold.take([NET.dump(), Order("lift", "prefix", NET.what).dump(), WEEKLY.dump()]) == []


def test_however_many_have_opted_out_a_stop_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_ORDERS", 1)
    fold = Fold()
    assert fold.take([AWAY.dump(), ALL.dump()]) == []
    assert Standing.of([fold.standing]).everything == ALL


@pytest.mark.parametrize(
    ("scan", "is_one"), [("weekly", True), ("weekly-7", True), ("weekly7", False), ("week", False), ("", False)]
)
def test_whose_scan_it_is(scan: str, is_one: bool) -> None:
    assert within(scan, "weekly") is is_one
    assert (Standing.of([[WEEKLY]]).against(scan) is WEEKLY) is is_one


def test_what_stands_is_what_any_log_says() -> None:
    standing = Standing.of([[WEEKLY, NET], [AWAY], [NET]])
    assert standing.everything is None
    assert standing.against("other") is None
    assert "192.0.2.1" in standing.networks
    assert "198.51.100.1" in standing.networks
    assert standing.stops == (WEEKLY, NET)
    assert Standing.of([[WEEKLY], [ALL]]).against("other") == ALL


def test_who_listens_hears_what_stands_and_every_change() -> None:
    heard: list[Standing] = []
    all_ = Orders()
    all_.listen(heard.append)
    all_.tell(Standing((ALL,)))
    all_.unlisten(heard.append)
    all_.tell(Standing())
    assert [standing.orders for standing in heard] == [(), (ALL,)]


def test_people_read_what_why_and_by_whom() -> None:
    assert ALL.text() == "stop --all (by ada: a fire)"
    assert WEEKLY.name == "--campaign weekly"
