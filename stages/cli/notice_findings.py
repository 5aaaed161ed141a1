"""What `longline doctor --notice` makes of a notice's sources: their names, their pages, what the probes say. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from stages.cli.findings import FAIL, GOOD, WARN, Finding
from stages.core.netset import Span
from stages.fleet.notice import Notice

#: Addresses of one source that are looked at; of a wider network its first ones.
MAX_LOOKED_AT: Final = 16
#: Networks wider than this hold addresses that nobody uses: which ones are looked at cannot be guessed.
WIDEST: Final = 256

#: Words of a host name that tell its reader what the host does.
HINTS: Final = re.compile(r"scan|research|measur|survey|probe|census|study|crawl|monitor|observ|pingback", re.ASCII)


def read(notice: Notice, file: str, today: dt.date) -> Finding:
    """Of what the file says."""
    if notice.until is not None and notice.until < today:
        text = f"{file}: said to have ended on {notice.until:%Y-%m-%d}"
        return Finding(WARN, "notice", text, "until = ..., if it goes on")
    return Finding(GOOD, "notice", f"{file}, {len(notice.addresses)} sources")


def looked_at(notice: Notice) -> tuple[list[str], list[str]]:
    """(addresses to look at, networks that are too wide for it)."""
    found, wide = [], []
    for span in (span for source in notice.sources for span in source.spans):
        if span.size > WIDEST:
            wide.append(str(span))
        else:
            found += [str(Span(span.version, one, one)) for one in islice(_each(span), MAX_LOOKED_AT)]
    return list(dict.fromkeys(found)), wide


def _each(span: Span) -> Iterator[int]:
    return iter(range(span.first, span.last + 1))


def too_wide(network: str) -> Finding:
    return Finding(WARN, "reverse DNS", f"{network}: too wide to be looked at", "name the addresses that send")


def named(ip: str, names: Sequence[str], back: Sequence[str]) -> Finding:
    """Of what an address is called, and the addresses of those names."""
    check = "reverse DNS"
    if not names:
        mend = "a PTR record, such as scan1.research.example: who looks the address up must see what it is"
        return Finding(FAIL, check, f"{ip} has no name", mend)
    shown = ", ".join(names[:3])
    if ip not in back:
        mend = f"an address record of that name with {ip}: a name that does not lead back is not believed"
        return Finding(FAIL, check, f"{ip} is {shown}, which does not lead back", mend)
    if not any(HINTS.search(name) for name in names):
        return Finding(
            WARN, check, f"{ip} is {shown}", "a name that hints at the purpose, such as scan1.research.example"
        )
    return Finding(GOOD, check, f"{ip} is {shown}, and back")


def unanswered(check: str, what: str, why: str) -> Finding:
    """Where nothing could be found out."""
    return Finding(WARN, check, f"{what}: {why}", "ask again where the answer can be had")


def page(notice: Notice, where: str, status: int | None, body: str, why: str = "") -> Finding:
    """Of what a source answers at `where` (http://192.0.2.1/). `status` None: nothing, and `why`."""
    mend = "longline notice serve, on each source address"
    if status is None:
        return Finding(FAIL, "notice", f"{where} does not answer: {why}", mend)
    if status != 200:
        return Finding(FAIL, "notice", f"{where} answers with {status}", mend)
    if notice.contact not in body:
        return Finding(FAIL, "notice", f"{where} does not name {notice.contact}", mend)
    return Finding(GOOD, "notice", f"{where} names {notice.contact}")


def probe_text(notice: Notice, where: str, said: bytes | None) -> Finding:
    """Of what is said on a connection. None: nothing."""
    if said is None:
        return Finding(GOOD, "probe text", f"{where}: nothing is said first")
    host = notice.url.split("/")[2]
    carried = said.decode("latin-1").lower()
    if host.lower() in carried or notice.contact.lower() in carried:
        return Finding(GOOD, "probe text", f"{where} says where to ask")
    mend = f"-d FILE with a line such as User-Agent: longline (+{notice.url})"
    return Finding(WARN, "probe text", f"{where} does not say where to ask", mend)
