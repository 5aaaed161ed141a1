"""The pages of the form: who was let in asks, and sees what became of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stages.core.times import rfc3339
from stages.fleet.asking import MAX_CONTACT, MAX_NETWORKS, MAX_NETWORKS_TEXT, MAX_REASON, Asked
from stages.fleet.notice import Notice
from stages.fleet.notice_html import Html, bullets, document, joined, link, tag
from stages.fleet.notice_pages import OPTOUT, mail_link

#: What a state of a request is called.
STATES: Final = {"waiting": "waits for review", "accepted": "accepted: left alone", "refused": "refused"}

LEAVE: Final = f"{OPTOUT}/leave"


@dataclass(frozen=True, slots=True)
class Filed:
    """One request as it is kept."""

    number: int
    account: str
    at: float  #: seconds since 1970
    networks: tuple[str, ...]
    wide: tuple[str, ...]
    reason: str
    contact: str
    state: str  #: a key of STATES
    decided: float | None
    said: str  #: why it was refused


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the fields."""

    networks: str = ""
    reason: str = ""
    contact: str = ""


def invited(path: str, account: str) -> str:
    """Behind a one-time link. A mail scanner opens it too: only the button spends it."""
    return document(
        "Opt-out form",
        tag("p", "This link lets ", tag("strong", account), " into the opt-out form, once, in this browser."),
        tag("form", tag("button", "Go to the form", type="submit"), method="post", action=path),
    )


def form(
    account: str, csrf: str, filed: Sequence[Filed], typed: Typed = Typed(), problems: Sequence[tuple[str, str]] = ()
) -> str:
    """The form, with what is wrong in it, and the account's requests. `csrf` goes back with it."""
    wrong = dict(reversed(problems))
    return document(
        "Opt-out form",
        *([_summary(problems)] if problems else []),
        tag("p", "Signed in as ", tag("strong", account), ". Requests are read by people before they take effect."),
        tag(
            "form",
            _csrf(csrf),
            *_field(
                "networks", "Networks to be left alone", f"One a line, at most {MAX_NETWORKS}: 192.0.2.0/24 or "
                "2001:db8::/32, a single address, or first-last.", wrong.get("networks"),
                tag("textarea", Html("\n"), typed.networks, **_same("networks", wrong), rows=6, required=True,
                    maxlength=MAX_NETWORKS_TEXT, spellcheck="false", autocapitalize="none"),
            ),
            *_field(
                "reason", "Reason", f"For the record, if you like; at most {MAX_REASON} characters.",
                wrong.get("reason"),
                tag("input", **_same("reason", wrong), value=typed.reason, maxlength=MAX_REASON),
            ),
            *_field(
                "contact", "Your mail address", "For questions about this request, and for nothing else.",
                wrong.get("contact"),
                tag("input", **_same("contact", wrong), type="email", value=typed.contact, required=True,
                    maxlength=MAX_CONTACT, autocomplete="email"),
            ),
            tag("button", "Send the request", type="submit"),
            method="post", action=OPTOUT, id="request",
        ),
        *([tag("h2", "Your requests"), _table(filed)] if filed else []),
        tag("form", _csrf(csrf), tag("button", "Sign out", type="submit"), method="post", action=LEAVE, id="leave"),
        foot=link("/", "What this is about"),
    )  # fmt: skip


def received(asked: Asked, number: int | None) -> str:
    """After a good one; `number` None: all of it is left alone already, and nothing was kept."""
    parts: list[Html] = []
    if number is not None:
        parts += [
            tag("p", f"Your request has the number {number} and waits for review:", id="number"),
            bullets(list(asked.networks)),
        ]
    if asked.already:
        parts += [tag("p", "Left alone already, nothing needs to be done:", id="already"), bullets(list(asked.already))]
    title = "Thank you" if number is not None else "Nothing needs to be done"
    return document(title, *parts, tag("p", link(OPTOUT, "Back to the form")))


def problem(title: str, words: str, notice: Notice) -> str:
    """Why something did not come to pass, and whom to ask."""
    write = tag("p", "You can always write to ", mail_link(notice), ".")
    return document(title, tag("p", words), write, tag("p", link("/", "The notice")))


def only_encrypted(notice: Notice) -> str:
    """The form is not for plain HTTP: what signs somebody in could be read on the way."""
    there = f"{notice.url.removesuffix('/')}{OPTOUT}"
    return document("Only encrypted", tag("p", "The form is at ", link(there), "."), tag("p", link("/", "The notice")))


def _csrf(token: str) -> Html:
    return tag("input", type="hidden", name="csrf", value=token)


def _same(name: str, wrong: dict[str, str]) -> dict[str, str | int | bool | None]:
    """Attributes of every field: its hint and its error are read out with it."""
    return {
        "id": name, "name": name, "aria_describedby": f"{name}-hint" + (f" {name}-error" if name in wrong else ""),
        "aria_invalid": "true" if name in wrong else None,
    }  # fmt: skip


def _field(name: str, label: str, hint: str, wrong: str | None, field: Html) -> list[Html]:
    error = [tag("p", tag("strong", wrong), id=f"{name}-error", class_="hint")] if wrong else []
    return [tag("label", label, for_=name), tag("p", hint, id=f"{name}-hint", class_="hint"), *error, field]


def _summary(problems: Sequence[tuple[str, str]]) -> Html:
    items = (tag("li", link(f"#{name}", words)) for name, words in problems)
    return tag("div", tag("p", "Nothing was sent yet:"), tag("ul", *items), class_="call", role="alert", id="problems")


def _table(filed: Sequence[Filed]) -> Html:
    items = []
    for one in filed:
        when = rfc3339(int(one.at * 1e6))[:10]
        said = f" ({one.said})" if one.said else ""
        items.append(tag("li", joined(f"{when}, number {one.number}: {', '.join(one.networks)}: ",
                                      tag("strong", STATES[one.state]), said)))  # fmt: skip
    return tag("ul", *items, id="requests")
