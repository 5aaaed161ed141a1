from __future__ import annotations

import pytest

from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.redis import Place, Redis, parse_place
from tests.servers.answers import rst, synack

HITS = HitLines(HitSource("s", "tcp_synscan"))


@pytest.mark.parametrize(
    ("args", "place"),
    [
        (None, Place("redis://127.0.0.1:6379/0", "zmap")),
        ("", Place("redis://127.0.0.1:6379/0", "zmap")),
        ("redis://h", Place("redis://h", "zmap")),
        ("redis://u:p@h:7/3?list=found", Place("redis://u:p@h:7/3", "found")),
        ("rediss://h?channel=c&format=json", Place("rediss://h", "c", True, "json")),
        ("unix:///run/r.sock?list=a%20b", Place("unix:///run/r.sock", "a b")),
        ("tcp://h:7/queue", Place("redis://h:7/0", "queue")),
        ("tcp://h", Place("redis://h/0", "zmap")),
        ("local:///run/r.sock/queue", Place("unix:///run/r.sock", "queue")),
    ],
)
def test_places(args: str | None, place: Place) -> None:
    assert parse_place(args) == place


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ("h:6379", "not a URL such as"),
        ("http://h", "not a URL such as"),
        ("redis://", "names no host"),
        ("redis://h:x/0", "not a URL"),
        ("redis://h?queue=a", "'queue' is none of list, channel, format"),
        ("redis://h?list=a&channel=b", "not both"),
        ("redis://h?format=xml", "format 'xml' is none of csv, json"),
        ("redis://h?list=", "has no name"),
        ("tcp://h/a/b", "not tcp://"),
        ("local:///a", "not local:///"),
    ],
)
def test_what_is_no_place(args: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_place(args)


def test_an_element_an_answer() -> None:
    module = Redis(Format(choose("saddr,classification", "tcp_synscan"), HITS, args="redis://h?format=json"))
    assert module.elements([rst()]) == [b'{"saddr":"10.0.0.1","classification":"rst"}']
    assert Redis(Format(choose("saddr", "tcp_synscan"), HITS)).elements([synack(), rst()]) == [b"10.0.0.1"] * 2
