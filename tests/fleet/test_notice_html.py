from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.fleet.notice_html import POLICY, STYLE, bullets, document, joined, paragraphs, tag, text


class Reader(HTMLParser):
    """What a page says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_tags() -> None:
    assert tag("p", "a < b & c", class_="x") == '<p class="x">a &lt; b &amp; c</p>'
    assert tag("input", name="q", value='"', required=True, disabled=False, id=None) == (
        '<input name="q" value="&quot;" required>'
    )
    assert joined("<", tag("b", "x"), ">") == "&lt;<b>x</b>&gt;"
    assert bullets(["1", "<2>"]) == "<ul><li>1</li><li>&lt;2&gt;</li></ul>"
    assert paragraphs("a\nb\n\n\n\nc") == "<p>a b</p><p>c</p>"
    assert text("a\0b\x1b\u202e") == "a\ufffdb\ufffd\ufffd"


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_stay_words(title: str, words: str) -> None:
    page = Reader(document(title, tag("p", words, title=words), foot=f"-{words}"))
    assert [name for name, _ in page.tags] == [
        "html", "head", "meta", "meta", "meta", "meta", "link", "title", "style", "body", "main", "h1", "p", "footer",
    ]  # fmt: skip
    assert page.open == []
    [attributes] = [attributes for name, attributes in page.tags if name == "p"]
    assert set(attributes) == {"title"}
    assert [name for name, attributes in page.tags if any(key.startswith("on") for key in attributes)] == []


def test_the_policy_names_the_style_and_allows_nothing_else() -> None:
    wanted = b64encode(sha256(STYLE.encode()).digest()).decode()
    assert f"style-src 'sha256-{wanted}'" in POLICY
    assert POLICY.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in POLICY
    assert "script" not in POLICY
    assert f"<style>{STYLE}</style>" in document("x")


@pytest.mark.parametrize("needed", ['lang="en"', 'charset="utf-8"', "width=device-width"])
def test_every_page_has(needed: str) -> None:
    assert needed in document("x")
