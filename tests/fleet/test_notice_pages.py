from __future__ import annotations

import datetime as dt
import re

import pytest

from stages.core.netset import NetSet
from stages.fleet import notice_pages as pages
from tests.fleet.notices import notice
from tests.fleet.test_notice_html import Reader

NOW = dt.datetime(2026, 11, 28, 12, 30, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("form", [False, True])
def test_the_page_says_everything(more: bool, form: bool) -> None:
    page = Reader(pages.page(notice(more=more), form=form))
    wanted = ["Example <b>University</b> & Sons", 'First "paragraph".', "One SYN.", "Once a week.", "192.0.2.10",
              "scan1.measurement.example", "2001:db8::1", "Since 2026-01-01", "Two years.",
              "working day", "scan@measurement.example"]  # fmt: skip
    wanted += (
        ["Board, case 1", "Passwords.", "IP id 54321", "Papers", "until 2027-01-01", "+1 (555) 0100"] if more else []
    )
    assert [words for words in wanted if words not in page.words] == []
    links = [attributes["href"] for name, attributes in page.tags if name == "a"]
    assert "mailto:scan@measurement.example" in links
    assert ("/optout" in links) is form
    assert ("tel:+15550100" in links) is more
    assert ("https://measurement.example/papers?a=1&b=2" in links) is more
    assert not {name for name, _ in page.tags} & {"script", "img", "iframe", "object", "b"}


@pytest.mark.parametrize("more", [False, True])
def test_the_text_says_it_too(more: bool) -> None:
    text = pages.plain(notice(more=more))
    assert "Example <b>University</b> & Sons" in text
    assert "- 192.0.2.128/25\n" in text
    assert ("Papers: https://measurement.example/papers?a=1&b=2" in text) is more
    assert max(text.count(word) for word in ("None", "[]")) == 0


def test_addresses_are_a_blocklist() -> None:
    text = pages.addresses(notice())
    assert NetSet.parse(text.splitlines(), "f") == notice().networks


def test_security_txt_is_as_rfc_9116_has_it() -> None:
    lines = pages.security(notice(more=True), NOW).splitlines()
    fields = dict(line.split(": ", 1) for line in lines)
    assert fields == {
        "Contact": "mailto:scan@measurement.example", "Expires": "2027-06-16T00:00:00Z",
        "Preferred-Languages": "en, pt-BR",
        "Canonical": "https://scan.measurement.example/.well-known/security.txt",
        "Policy": "https://scan.measurement.example/",
    }  # fmt: skip
    ends = dt.datetime.fromisoformat(fields["Expires"])
    assert dt.timedelta(days=180) < ends - NOW < dt.timedelta(days=365)


def test_a_mail_address_is_no_query() -> None:
    odd = notice().model_copy(update={"contact": "a?bcc=x&y%41@b.example"})
    assert 'href="mailto:a%3Fbcc%3Dx%26y%2541@b.example"' in pages.page(odd, form=False)
    assert "Contact: mailto:a%3Fbcc%3Dx%26y%2541@b.example\n" in pages.security(odd, NOW)


def test_filters() -> None:
    assert pages.rules(notice()) == [
        "nft add rule inet filter input ip saddr { 192.0.2.10, 192.0.2.128/25 } drop",
        "nft add rule inet filter input ip6 saddr { 2001:db8::1 } drop",
    ]


def test_the_files() -> None:
    files = pages.files(notice(), NOW, form=True)
    assert set(files) == {"/", "/notice.txt", "/addresses.txt", "/.well-known/security.txt", "/robots.txt"}
    assert all(kind.endswith("charset=utf-8") for kind, _ in files.values())
    assert re.search(r"^Disallow: /optout$", files["/robots.txt"][1], re.MULTILINE)
