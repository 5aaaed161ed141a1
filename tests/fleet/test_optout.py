from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ListError, UsageError
from stages.core.netset import NetSet
from stages.fleet.optout import MAX_REASON, Optout, made, read, text

_ANY = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=60)
WORDS = _ANY.map(str.strip).filter(str.isprintable)


@given(st.lists(st.tuples(st.integers(0, 255), st.sampled_from(["mail", "form-2"]), WORDS), max_size=9))
def test_what_is_written_is_read_and_is_a_blocklist(rows: list[tuple[int, str, str]]) -> None:
    entries = [made(f"10.{n}.0.0/16", "2026-11-28", source, reason) for n, source, reason in rows]
    assert list(read(text(entries), "f")) == entries
    assert NetSet.parse(text(entries).splitlines(), "f").size == 65_536 * len({n for n, _, _ in rows})


def test_lines_of_others_keep_their_words() -> None:
    lines = "# head\n\n192.0.2.0/24\n2001:db8::/32 # asked by phone\n10.0.0.1-10.0.0.9 # 2026-01-02 form: x # y\n"
    entries = list(read(lines, "f"))
    assert entries == [
        Optout("192.0.2.0/24"),
        Optout("2001:db8::/32", reason="asked by phone"),
        Optout("10.0.0.1-10.0.0.9", "2026-01-02", "form", "x # y"),
    ]
    assert list(read(text(entries), "f")) == entries


@pytest.mark.parametrize(
    ("network", "source", "reason", "said"),
    [
        ("10.0.0.0/33", "mail", "", "PREFIX"),
        ("host.example", "mail", "", "a name"),
        ("10.0.0.0/8", "e mail", "", "--source"),
        ("10.0.0.0/8", "mail", "a\nb", "--reason"),
        ("10.0.0.0/8", "mail", "x" * (MAX_REASON + 1), "--reason"),
    ],
)
def test_what_the_file_could_not_keep(network: str, source: str, reason: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(network, "2026-11-28", source, reason)


def test_a_bad_line_is_named() -> None:
    with pytest.raises(ListError, match="f:2"):
        list(read("10.0.0.0/8\n10.0.0.0/99\n", "f"))
