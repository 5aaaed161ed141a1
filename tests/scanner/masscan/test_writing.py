"""Every format: what was written is read again, whole, cut anywhere, and gone on with."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.masscan.items import Banner, Item, Status, usual_reason
from stages.scanner.masscan.reading import read_items
from stages.scanner.masscan.writing import FORMATS, About, has_place_for_banners, is_banner, writer
from tests.scanner.masscan.strategies import ITEMS

ABOUT = About(1_390_380_000, "1.0", {"tcp": "80,443", "udp": "53"}, {"tcp": 2, "udp": 1})
NOW = 1_390_380_100


def kept(name: str, item: Item) -> Item | None:
    """What of an item a format keeps; None: nothing."""
    if isinstance(item, Banner):
        if not has_place_for_banners(name):
            return None
        if name == "grepable":
            return item._replace(ts=0, proto="tcp", ttl=0)
        if name == "interactive":
            return item._replace(ts=0, ttl=0)
        return item if name in ("xml", "binary") else item._replace(ttl=0)
    if name in ("xml", "json", "ndjson", "binary"):
        return item
    usual = item._replace(reason=usual_reason(item.proto, item.state))
    if name in ("list", "grepable"):
        return usual._replace(ttl=0)
    if name == "interactive":
        return usual._replace(ts=0, ttl=0)
    if name == "unicornscan":
        return usual._replace(ts=0, ttl=item.ttl if item.proto == "tcp" else 0)
    return Status(0, item.ip, "tcp", 0, "open", usual_reason("tcp", "open"))


def file_of(name: str, *batches: list[Item]) -> bytes:
    made = writer(name, ABOUT)
    return made.begin() + b"".join(made.items(batch) for batch in batches) + made.end(NOW)


@pytest.mark.parametrize("name", FORMATS)
@given(items=ITEMS)
def test_what_was_written_is_read(name: str, items: list[Item]) -> None:
    wanted = [item for each in items if (item := kept(name, each)) is not None]
    assert list(read_items(file_of(name, items[:3], items[3:]))) == wanted


@pytest.mark.parametrize("name", FORMATS)
@given(items=ITEMS, where=st.floats(0, 1))
def test_a_file_that_was_cut_is_read_up_to_the_last_whole_record(name: str, items: list[Item], where: float) -> None:
    whole = file_of(name, items)
    wanted = [item for each in items if (item := kept(name, each)) is not None]
    found = list(read_items(whole[: int(len(whole) * where)]))
    assert found == wanted[: len(found)]
    made = writer(name, ABOUT)
    records = made.begin() + made.items(items)
    assert list(read_items(records)) == wanted


@pytest.mark.parametrize("name", FORMATS)
@given(first=ITEMS, second=ITEMS, cut=st.booleans())
def test_a_file_is_gone_on_with(name: str, first: list[Item], second: list[Item], cut: bool) -> None:
    """After its end, or after a record that was cut in the middle of a write."""
    made = writer(name, ABOUT)
    before = made.begin() + made.items(first)
    before += b'<host endtime="1' if cut and name == "xml" else b"" if cut and name == "binary" else made.end(NOW)
    again = writer(name, ABOUT)
    at = again.keep(before)
    data = before[:at] + again.items(second) + again.end(NOW)
    assert list(read_items(data)) == [item for each in first + second if (item := kept(name, each)) is not None]


@given(ITEMS, ITEMS)
def test_json_and_xml_are_whole_after_each_write(first: list[Item], second: list[Item]) -> None:
    for name in ("json", "xml"):
        made = writer(name, ABOUT)
        assert made.closed
        data = made.begin()
        for batch in ([], first, second):
            data += made.items(batch)
            text = (data + made.end(NOW)).decode()
            if name == "json":
                json.loads(text)
            else:
                ElementTree.fromstring(text)


@given(ITEMS, ITEMS)
def test_the_end_is_never_longer_than_what_overwrites_it(first: list[Item], second: list[Item]) -> None:
    for name in ("json", "xml"):
        made = writer(name, ABOUT)
        made.items(first)
        before = len(made.end(NOW))
        assert len(made.items(second) + made.end(NOW)) >= before


def test_banners_are_told_apart() -> None:
    assert is_banner(Banner(1, "1.2.3.4", "tcp", 80, "http", b""))
    assert not is_banner(Status(1, "1.2.3.4", "tcp", 80, "open"))
