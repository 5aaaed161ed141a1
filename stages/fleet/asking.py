"""What somebody asks for in the form, read as strictly as a list: networks, why, and how to reach them. Pure.

Nobody opts out what is not theirs by accident: private and other special-purpose ranges mean nothing on the Internet
and are refused, and so is what is wider than any holder's. What is merely wide is marked for whoever reviews it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stages.core.netset import NetSet, Span, parse_entry
from stages.core.special import default_blocks
from stages.fleet.notice import is_mail

#: Networks of one request: a holder of more sends a list by mail.
MAX_NETWORKS: Final = 64

#: Characters of the field of networks: the longest entry is an IPv6 range of 79.
MAX_NETWORKS_TEXT: Final = MAX_NETWORKS * 82

#: Characters of a reason and of a contact. The list keeps a reason of 500, with the number of the request before it.
MAX_REASON: Final = 400
MAX_CONTACT: Final = 200

#: Requests of one account that wait for review, and that were ever made.
MAX_WAITING: Final = 20
MAX_REQUESTS: Final = 500

#: Addresses of one network, at most: a /8, the largest block that a holder was ever given, and a /19 of IPv6 (the
#: largest allocations of the registries). More than a /16 or a /32 is marked.
_WIDEST: Final = {4: 1 << 24, 6: 1 << 109}
_WIDE: Final = {4: 1 << 16, 6: 1 << 96}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be reviewed."""

    networks: tuple[str, ...]  #: canonical, each once, not yet in the list
    wide: tuple[str, ...]  #: those among them that need a second look
    already: tuple[str, ...]  #: what is left alone as it is
    reason: str
    contact: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why it may not: (name of the field, problem), at least one."""

    problems: tuple[tuple[str, str], ...]


def check(networks: str, reason: str, contact: str, left_alone: NetSet) -> Asked | Refused:
    """A filled form; `left_alone` is the list as it is."""
    problems: list[tuple[str, str]] = []
    found: dict[str, Span] = {}
    if len(networks) > MAX_NETWORKS_TEXT:
        problems.append(("networks", f"too much text; send more than {MAX_NETWORKS} networks by mail"))
    else:
        for word in re.sub(r"\s*-\s*", "-", networks.replace(",", " ")).split():
            try:
                span = _span(word)
            except ValueError as error:
                problems.append(("networks", f"{word[:80]}: {error}"))
                break
            found[str(span)] = span
        if not found and not problems:
            problems.append(("networks", "name at least one network or address"))
        if len(found) > MAX_NETWORKS:
            problems.append(("networks", f"{len(found)} networks; send more than {MAX_NETWORKS} by mail"))
    reason, contact = " ".join(reason.split()), contact.strip()
    if len(reason) > MAX_REASON or not reason.isprintable():
        problems.append(("reason", f"at most {MAX_REASON} printable characters"))
    if len(contact) > MAX_CONTACT or not is_mail(contact):
        problems.append(("contact", "a mail address, such as noc@example.net"))
    if problems:
        return Refused(tuple(problems))
    already = tuple(name for name, span in found.items() if left_alone.contains_span(span))
    wanted = {name: span for name, span in found.items() if name not in already}
    wide = tuple(name for name, span in wanted.items() if span.size > _WIDE[span.version])
    return Asked(tuple(wanted), wide, already, reason, contact)


def _span(word: str) -> Span:
    """Raises ValueError with the problem in words."""
    span = parse_entry(word)
    if isinstance(span, str):
        raise ValueError("a name, and what it stands for may change; give its addresses")
    if span.size > _WIDEST[span.version]:
        raise ValueError("wider than any holder's network; write to us")
    if NetSet.of([span]).intersect(default_blocks()):
        raise ValueError("not an address of the public Internet; it is never scanned")
    return span
