from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.fleet import optout_pages as pages
from stages.fleet.asking import Asked
from stages.fleet.optout_pages import Filed, Typed
from tests.fleet.notices import notice
from tests.fleet.test_notice_html import Reader

#: Kept words are printable.
WORDS = st.text(max_size=40).filter(str.isprintable)


def filed(**more: object) -> Filed:
    body: dict[str, object] = {
        "number": 7, "account": "alice", "at": 1_800_000_000.0, "networks": ("8.8.8.0/24",), "wide": (), "reason": "",
        "contact": "a@b.example", "state": "refused", "decided": 1.0, "said": "not <yours>",
    }  # fmt: skip
    return Filed(**{**body, **more})  # type: ignore[arg-type]


@given(WORDS, WORDS, st.text(max_size=40))
def test_what_was_typed_comes_back_as_words(account: str, said: str, typed: str) -> None:
    page = pages.form(
        account, "token", [filed(account=account, said=said)], Typed(typed, typed, typed),
        [("networks", said or "x"), ("contact", "second"), ("contact", "third")],
    )  # fmt: skip
    read = Reader(page)
    assert read.open == []
    assert not {name for name, _ in read.tags} & {"script", "img", "b", "i"}
    names = [attributes.get("name") for name, attributes in read.tags if name in ("input", "textarea")]
    assert names == ["csrf", "networks", "reason", "contact", "csrf"]


def test_a_problem_belongs_to_its_field() -> None:
    read = Reader(pages.form("alice", "token", [], problems=[("contact", "first"), ("contact", "second")]))
    attributes = {a["id"]: a for name, a in read.tags if name in ("input", "textarea") and "id" in a}
    assert attributes["contact"]["aria-invalid"] == "true"
    assert attributes["contact"]["aria-describedby"] == "contact-hint contact-error"
    assert "aria-invalid" not in attributes["networks"]
    labels = [a.get("for") for name, a in read.tags if name == "label"]
    assert labels == ["networks", "reason", "contact"]
    ids = {a["id"] for _, a in read.tags if "id" in a}
    assert {"networks-hint", "contact-hint", "contact-error", "problems"} <= ids


def test_what_became_of_requests() -> None:
    words = Reader(pages.form("alice", "token", [filed(), filed(number=8, state="waiting", said="")])).words
    assert "2027-01-15, number 7: 8.8.8.0/24: refused (not <yours>)" in words
    assert "number 8: 8.8.8.0/24: waits for review" in words


def test_thanks() -> None:
    asked = Asked(("8.8.8.0/24",), (), ("9.9.9.9",), "", "a@b.example")
    words = Reader(pages.received(asked, 3)).words
    assert "the number 3" in words
    assert "8.8.8.0/24" in words
    assert "9.9.9.9" in words
    words = Reader(pages.received(Asked((), (), ("9.9.9.9",), "", "a@b.example"), None)).words
    assert "Nothing needs to be done" in words
    assert "number" not in words


def test_the_others_name_the_contact_or_the_way() -> None:
    assert "scan@measurement.example" in pages.problem("No", "<why>", notice())
    assert "https://scan.measurement.example/optout" in pages.only_encrypted(notice())
    assert 'action="/invite/X"' in pages.invited("/invite/X", "alice")
