"""The pages that a notice becomes: for people, for programs, and for those who filter. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Final

from stages.fleet.notice import Notice
from stages.fleet.notice_html import Html, bullets, document, joined, link, paragraphs, tag

#: Days that a security.txt is good from when it was made: less than a year, as RFC 9116 section 2.5.5 recommends, and
#: long enough for files that are rendered twice a year.
SECURITY_DAYS: Final = 200

#: path -> content type, of everything that a notice becomes.
HTML: Final = "text/html; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"
OPTOUT: Final = "/optout"


def files(notice: Notice, now: dt.datetime, *, form: bool) -> dict[str, tuple[str, str]]:
    """path -> (content type, text). `form`: whether there is a form for requests besides."""
    return {
        "/": (HTML, page(notice, form=form)),
        "/notice.txt": (PLAIN, plain(notice)),
        "/addresses.txt": (PLAIN, addresses(notice)),
        "/.well-known/security.txt": (PLAIN, security(notice, now)),
        "/robots.txt": (PLAIN, robots()),
    }


def title(notice: Notice) -> str:
    return f"Internet measurement by {notice.organisation}"


def page(notice: Notice, *, form: bool) -> str:
    """The page itself."""
    mail = mail_link(notice)
    call = [
        "Traffic from this address is research. To be left alone, write to ", mail,
        " and name your networks: no reason and no account is needed.",
    ]  # fmt: skip
    return document(
        title(notice),
        tag("p", *call, class_="call"),
        tag("h2", "Why"),
        paragraphs(notice.purpose),
        *([tag("p", f"Approved by: {notice.approval}.")] if notice.approval else []),
        tag("h2", "What is sent"),
        bullets(notice.sent),
        paragraphs(notice.schedule),
        *([tag("h2", "What is not sent"), bullets(notice.not_sent)] if notice.not_sent else []),
        tag("h2", "From which addresses"),
        tag("ul", *(tag("li", *_source(source.addresses, source.name)) for source in notice.sources)),
        tag("p", "One address a line, for programs: ", link("/addresses.txt", "addresses.txt")),
        tag("h2", "For how long"),
        tag("p", _time(notice)),
        paragraphs(notice.retention),
        tag("h2", "How to be left alone", id="optout"),
        tag("p", "Write to ", mail, f". You are answered within {_days(notice)}, and nothing more is sent to you."),
        *([_form_hint()] if form else []),
        tag("h2", "How to filter"),
        tag("p", "Block the addresses above, for example with nftables:"),
        *(tag("pre", tag("code", rule)) for rule in rules(notice)),
        *([tag("p", "Or by what the traffic carries:"), bullets(notice.marks)] if notice.marks else []),
        tag("h2", "Contact"),
        tag("p", notice.organisation, tag("br"), mail, *_phone(notice)),
        *([tag("h2", "More"), _links(notice)] if notice.links else []),
        foot=joined("The same as text: ", link("/notice.txt", "notice.txt")),
    )


def plain(notice: Notice) -> str:
    """The page for those who read it with curl."""
    parts = [
        title(notice),
        f"To be left alone, write to {notice.contact} and name your networks.\n"
        f"You are answered within {_days(notice)}.",
        notice.purpose + (f"\n\nApproved by: {notice.approval}." if notice.approval else ""),
        _list("What is sent", notice.sent) + f"\n\n{notice.schedule}",
        *([_list("What is not sent", notice.not_sent)] if notice.not_sent else []),
        _list("From which addresses", notice.addresses),
        f"{_time(notice)}\n{notice.retention}",
        *([_list("How the traffic can be told", notice.marks)] if notice.marks else []),
        f"{notice.organisation}\n{notice.contact}" + (f"\n{notice.phone}" if notice.phone else "") + f"\n{notice.url}",
        *([_list("More", [f"{each.title}: {each.url}" for each in notice.links])] if notice.links else []),
    ]
    return "\n\n".join(parts) + "\n"


def addresses(notice: Notice) -> str:
    """For programs that filter."""
    return f"# {title(notice)}\n" + "".join(f"{address}\n" for address in notice.addresses)


def security(notice: Notice, now: dt.datetime) -> str:
    """security.txt (RFC 9116)."""
    ends = (now + dt.timedelta(days=SECURITY_DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        f"Contact: mailto:{_uri(notice.contact)}\n"
        f"Expires: {ends:%Y-%m-%dT%H:%M:%SZ}\n"
        f"Preferred-Languages: {', '.join(notice.languages)}\n"
        f"Canonical: {notice.url}.well-known/security.txt\n"
        f"Policy: {notice.url}\n"
    )


def robots() -> str:
    """robots.txt (RFC 9309): the page may be found, the form need not."""
    return f"User-agent: *\nDisallow: {OPTOUT}\nDisallow: /invite/\nAllow: /\n"


def rules(notice: Notice) -> list[str]:
    """nftables commands that drop what comes from the sources."""
    networks = notice.networks
    found = []
    for family, ranges in (("ip", networks.v4), ("ip6", networks.v6)):
        spans = [str(span) for span in networks.spans() if span.version == (4 if family == "ip" else 6)]
        if ranges.size:
            found.append(f"nft add rule inet filter input {family} saddr {{ {', '.join(spans)} }} drop")
    return found


def mail_link(notice: Notice) -> Html:
    return link(f"mailto:{_uri(notice.contact)}", notice.contact)


def _source(found: list[str], name: str | None) -> list[str]:
    parts: list[str] = []
    for number, address in enumerate(found):
        parts += [", "] if number else []
        parts.append(tag("code", address))
    return [*parts, f" ({name})"] if name else parts


def _form_hint() -> Html:
    return tag(
        "p", "Who has been sent a link may also use ", link(OPTOUT, "the form"), " and follow the request there."
    )


def _phone(notice: Notice) -> list[Html]:
    if notice.phone is None:
        return []
    digits = "".join(c for c in notice.phone if c.isdecimal() or c == "+")
    return [tag("br"), link(f"tel:{digits}", notice.phone)]


def _links(notice: Notice) -> Html:
    return tag("ul", *(tag("li", link(each.url, each.title)) for each in notice.links))


def _time(notice: Notice) -> str:
    until = "and without a date on which it ends" if notice.until is None else f"until {notice.until:%Y-%m-%d}"
    return f"Since {notice.since:%Y-%m-%d}, {until}."


def _days(notice: Notice) -> str:
    return "one working day" if notice.answer_days == 1 else f"{notice.answer_days} working days"


def _list(head: str, items: list[str]) -> str:
    return f"{head}:\n" + "\n".join(f"- {item}" for item in items)


def _uri(mail: str) -> str:
    """A mail address inside a URI (RFC 6068 section 2)."""
    return "".join(c if c.isalnum() or c in "@.-_!$'*+~" else f"%{ord(c):02X}" for c in mail)
