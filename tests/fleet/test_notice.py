from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UsageError
from stages.fleet.notice import MAX_LINE, Notice, is_mail, line_of, read
from tests.fleet.notices import MORE, TEXT, notice


def test_a_notice_is_read() -> None:
    read_ = notice(more=True)
    assert read_.addresses == ["192.0.2.10", "192.0.2.128/25", "2001:db8::1"]
    assert read_.networks.size == 130
    assert read_.sources[0].name == "scan1.measurement.example"
    assert read_.purpose == 'First "paragraph".\n\nSecond.'
    assert read_.links[0].title == "Papers"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('contact = "scan@', 'contact = "scan ', "n.toml:14: contact: 'scan measurement.example': not a mail"),
        ('contact = "', 'kontact = "', "n.toml:14: kontact: no such key; did you mean 'contact'?"),
        ("since = 2026-01-01\n", "", "n.toml: since: is missing"),
        ("since = 2026-01-01", 'since = "2026-01-01"', "n.toml:16: since: '2026-01-01': "),
        ("since = 2026-01-01", "since = 2028-01-01", "until is before since"),
        ("answer_days = 1", "answer_days = 0", "n.toml:3: answer_days: 0: "),
        ("answer_days = 1", 'answer_days = "1"', "n.toml:3: answer_days: '1': "),
        ('"2001:db8::1"', '"2001:db8::g"', "n.toml:26: sources[2].addresses[1]: '2001:db8::g': not an IPv6 address"),
        ('"2001:db8::1"', '"host.example"', "a name: give its addresses"),
        ('addresses = ["2001:db8::1"]', 'adresses = ["::1"]', "n.toml:26: sources[2].adresses: no such key; did you"),
        ('addresses = ["2001:db8::1"]', "", "n.toml:25: sources[2].addresses: is missing"),
        ('addresses = ["2001:db8::1"]', "addresses = []", "n.toml:26: sources[2].addresses: "),
        ("https://scan.measurement.example/", "http://scan.measurement.example/", "n.toml:15: url: "),
        ("https://scan.measurement.example/", "https://scan.measurement.example/x/", "the root of a host"),
        ("https://scan.measurement.example/", "https://u:p@scan.measurement.example/", "n.toml:15: url: "),
        ("https://measurement.example/papers", "javascript:alert(1)//", "n.toml:8: links[1].url: "),
        ("+1 (555) 0100", "call me", "n.toml:1: phone: 'call me': not a telephone number"),
        ('"pt-BR"', '"pt BR"', "n.toml:2: languages[2]: 'pt BR': not a language tag"),
        ("Once a week.", "", "n.toml:17: schedule: ''"),
        ("Board, case 1", "a\\nb", "n.toml:4: approval: 'a\\nb': one line"),
        ("Board, case 1", "x" * (MAX_LINE + 1), "n.toml:4: approval: "),
        ('phone = "', "phone = ", "n.toml: not TOML: "),
        ('"Passwords."', "7", "n.toml:6: not_sent[1]: 7: "),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    text = MORE + TEXT
    assert old in text
    with pytest.raises(UsageError) as caught:
        read(text.replace(old, new, 1), "n.toml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a@b.example", True), ("a.b+c@x-y.example", True), ("a@b", False), ("a b@c.example", False),
        ("a@b.example\n", False), ("<a@b.example>", False), ("a@-b.example", False), ("a@b..example", False),
        ("", False), ("a@1.2.3.4", False), ('"a"@b.example', False), ("a" * 65 + "@b.example", False),
    ],
)  # fmt: skip
def test_mail_addresses(text: str, good: bool) -> None:
    assert is_mail(text) is good


@given(st.lists(st.one_of(st.sampled_from(["sources", "links", "url", "x["]), st.integers(0, 9)), max_size=4))
def test_a_line_is_a_line_of_the_file(place: list[int | str]) -> None:
    assert 0 <= line_of(MORE + TEXT, place) <= len((MORE + TEXT).splitlines())


ODD = ["7", "-1", "true", "1.5", "nan", "''", "'x'", "'\\u0007'", "[]", "[[]]", "[1]", "{}", "{a = 1}", "2026-01-01",
       "2026-01-01T00:00:00Z", "[{}]", "[{addresses = 7}]", "[{addresses = ['x']}]", "['::/0']"]  # fmt: skip


def outcome(text: str) -> Notice | str:
    """What is read, or what is said instead."""
    try:
        return read(text, "f")
    except UsageError as error:
        return str(error)


@given(st.sampled_from(sorted(Notice.model_fields)), st.sampled_from(ODD))
def test_any_value_is_taken_or_named(key: str, value: str) -> None:
    text = f"{key} = {value}\n" + re.sub(rf"(?m)^{key} = ('''(.|\n)*?'''|.*)\n", "", MORE + TEXT)
    found = outcome(text[: text.index("\n[[")] if key == "sources" else text)
    if isinstance(found, Notice):
        assert getattr(found, key) == tomllib.loads(f"x = {value}")["x"]
    else:
        assert f"f:1: {key}" in found or found == "f: until is before since"


@given(st.text(max_size=200))
def test_any_text_is_a_notice_or_named(text: str) -> None:
    with pytest.raises(UsageError, match="f"):
        read(text, "f")
