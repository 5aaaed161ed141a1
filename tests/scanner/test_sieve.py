from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.core.lists import Lists
from stages.core.netset import NetSet
from stages.scanner.sieve import Sieve

LISTS = Lists(block=NetSet.parse(["10.0.0.0/8", "2001:db8::/32"], "f"), allow=NetSet.parse(["10.0.0.0/7", "::/0"], "g"))


def passed(
    *lines: bytes, lists: Lists = LISTS, default: bool = False, once: bool = True, strict: bool = False
) -> bytes:
    return b"".join(Sieve(lists, default_blocklist=default, once=once, strict=strict).passed(lines))


def test_lists_rule_and_each_passes_once() -> None:
    given = (b"10.0.0.1\n", b"11.0.0.1\n", b"12.0.0.1\n", b"11.0.0.1\n", b"2001:db8::1\n", b"2001:db9::1\n", b"\n")
    assert passed(*given) == b"11.0.0.1\n2001:db9::1\n"
    assert passed(*given, once=False) == b"11.0.0.1\n11.0.0.1\n2001:db9::1\n"


def test_rows_come_out_as_they_came_in() -> None:
    assert passed(b"saddr,sport\n", b"11.0.0.1,80\r\n", b"10.0.0.1,80\n", b"11.0.0.2") == (
        b"saddr,sport\n11.0.0.1,80\r\n11.0.0.2\n"
    )


def test_what_is_no_address_passes_unless_it_must_not() -> None:
    assert passed(b"rubbish\n", b"1.2.3\n", b"\xff\n") == b"rubbish\n1.2.3\n\xff\n"
    assert passed(b"rubbish\n", b"1.2.3\n", b"\xff\n", strict=True) == b""


def test_special_ranges_on_demand() -> None:
    assert passed(b"192.168.0.1\n", lists=Lists()) == b"192.168.0.1\n"
    assert passed(b"192.168.0.1\n", b"8.8.8.8\n", lists=Lists(), default=True) == b"8.8.8.8\n"


@given(st.lists(st.binary(max_size=12)))
def test_any_lines(lines: list[bytes]) -> None:
    out = passed(*lines, strict=True, once=False, lists=Lists())
    assert len(out.splitlines()) <= len(lines) + sum(line.count(b"\r") for line in lines)
