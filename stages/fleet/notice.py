"""What is told to those who were scanned: who, why, what is sent, from where, how to be left alone. Pure.

One TOML file says it, and every page is made from it (`notice_pages`). It is typed strictly: a word that nobody reads
would be a promise that nobody sees.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import pydantic

from stages.core.errors import UsageError
from stages.core.netset import NetSet, Span, is_name, parse_entry
from stages.core.section import nearest

#: Characters of a line and of a text: the page is read on a phone.
MAX_LINE: Final = 300
MAX_TEXT: Final = 5_000

#: Lines of one list; sources; addresses of one source.
MAX_LINES: Final = 50
MAX_SOURCES: Final = 256
MAX_ADDRESSES: Final = 256

#: Bytes of the file: more is no notice.
MAX_BYTES: Final = 1 << 20

#: An address as mail programs take it (RFC 5322 section 3.4.1, the dot-atom form), at most 254 (RFC 5321).
_MAIL: Final = re.compile(r"(?=.{3,254}\Z)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9.-]+)", re.ASCII).fullmatch
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()./-]{2,30}", re.ASCII).fullmatch
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII).fullmatch
_URL: Final = re.compile(r"[!-~]{1,500}", re.ASCII).fullmatch


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > MAX_LINE:
        raise ValueError(f"one line of 1 to {MAX_LINE} printable characters")
    return text.strip()


def _text(text: str) -> str:
    if not text.strip() or not text.replace("\n", "").isprintable() or len(text) > MAX_TEXT:
        raise ValueError(f"1 to {MAX_TEXT} printable characters; an empty line begins a paragraph")
    return text.strip()


def is_mail(text: str) -> bool:
    """Whether it is a mail address as people have them."""
    found = _MAIL(text)
    return found is not None and is_name(found[1]) and "." in found[1]


def _mail(text: str) -> str:
    if not is_mail(text):
        raise ValueError("not a mail address")
    return text


def _phone(text: str) -> str:
    if not _PHONE(text):
        raise ValueError("not a telephone number")
    return text


def _language(text: str) -> str:
    if not _LANGUAGE(text):
        raise ValueError("not a language tag, such as en or pt-BR (RFC 5646)")
    return text


def _url(text: str) -> str:
    problem = ValueError("not https://HOST/... or http://HOST/...")
    if not _URL(text) or set('"<>\\^`{|}') & set(text):
        raise problem
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("https", "http") or not host or parts.username is not None:
        raise problem
    return text


def _page_url(text: str) -> str:
    parts = urlsplit(_url(text))
    if parts.scheme != "https" or parts.path != "/" or parts.query or parts.fragment or text[-1] in "?#":
        raise ValueError("not https://HOST/: the root of a host, with HTTPS, as security.txt needs it (RFC 9116)")
    return text


def _network(text: str) -> str:
    entry = parse_entry(text)
    if isinstance(entry, str):
        raise ValueError("a name: give its addresses")
    return str(entry)


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("not a host name")
    return text.rstrip(".").lower()


Line = Annotated[str, pydantic.AfterValidator(_line)]
Text = Annotated[str, pydantic.AfterValidator(_text)]
Mail = Annotated[str, pydantic.AfterValidator(_mail)]
Url = Annotated[str, pydantic.AfterValidator(_url)]
Lines = Annotated[list[Line], pydantic.Field(max_length=MAX_LINES)]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Source(_Table):
    """Addresses that probes come from."""

    addresses: Annotated[
        list[Annotated[str, pydantic.AfterValidator(_network)]], pydantic.Field(min_length=1, max_length=MAX_ADDRESSES)
    ]
    name: Annotated[str, pydantic.AfterValidator(_name)] | None = None  #: what reverse DNS calls them

    @property
    def spans(self) -> list[Span]:
        """Addresses and networks, as numbers."""
        return [entry for entry in map(parse_entry, self.addresses) if isinstance(entry, Span)]


class Link(_Table):
    """Where more is said."""

    title: Line
    url: Url


class Notice(_Table):
    """The whole file."""

    organisation: Line
    purpose: Text
    contact: Mail
    phone: Annotated[str, pydantic.AfterValidator(_phone)] | None = None
    languages: Annotated[
        list[Annotated[str, pydantic.AfterValidator(_language)]], pydantic.Field(min_length=1, max_length=MAX_LINES)
    ] = ["en"]  #: that whoever reads the mail understands
    answer_days: Annotated[int, pydantic.Field(ge=1, le=30)] = 2  #: working days
    url: Annotated[str, pydantic.AfterValidator(_page_url)]
    approval: Line | None = None
    since: dt.date
    until: dt.date | None = None
    schedule: Text
    retention: Text
    sent: Annotated[Lines, pydantic.Field(min_length=1)]
    not_sent: Lines = []
    marks: Lines = []  #: how the traffic can be told from others'
    sources: Annotated[list[Source], pydantic.Field(min_length=1, max_length=MAX_SOURCES)]
    links: Annotated[list[Link], pydantic.Field(max_length=MAX_LINES)] = []

    @pydantic.model_validator(mode="after")
    def _not_over_before_it_began(self) -> Notice:
        if self.until is not None and self.until < self.since:
            raise ValueError("until is before since")
        return self

    @property
    def addresses(self) -> list[str]:
        """Every source, in the order of the file."""
        return [address for source in self.sources for address in source.addresses]

    @property
    def networks(self) -> NetSet:
        """The same as a set."""
        return NetSet.of(span for source in self.sources for span in source.spans)


def read(text: str, file: str) -> Notice:
    """The notice that a file says. Raises UsageError with file, line, key and value."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(file, None, f"not TOML: {error}") from None
    try:
        return Notice.model_validate(body)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        # A word that was misspelt is missing too: the word itself is the better answer.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        raise _refused(first["loc"], first["type"], first["msg"], body, text, file) from None


def _refused(
    place: tuple[int | str, ...], kind: str, message: str, body: dict[str, Any], text: str, file: str
) -> UsageError:
    key = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
    line = line_of(text, place)
    where = f"{file}:{line}: {key}" if line else f"{file}: {key}".removesuffix(": ")
    if kind == "missing":
        return UsageError(where, None, "is missing")
    if kind == "extra_forbidden":
        tables: dict[object, type[_Table]] = {"sources": Source, "links": Link}
        table = tables.get(place[0], Notice) if len(place) > 1 else Notice
        return UsageError(where, None, f"no such key{nearest(str(place[-1]), list(table.model_fields))}")
    value: Any = body
    for step in place:
        value = value[step]
    shown = value if isinstance(value, int | float | str) else None
    return UsageError(where, shown[:60] if isinstance(shown, str) else shown, message.removeprefix("Value error, "))


def line_of(text: str, place: Sequence[int | str]) -> int:
    """The line of a key, from 1; of a missing one its table's; 0: not known."""
    names = [step for step in place if isinstance(step, str)]
    nth = next((step for step in place if isinstance(step, int)), 0)
    if not names:
        return 0
    start, end, header = 0, -1, 0
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")]
    heads = [number for number in heads if re.match(r"\s*\[\[?\s*[\w-]+\s*\]\]?\s*(#|$)", lines[number])]
    of_table = [number for number in heads if re.match(rf"\s*\[\[?\s*{re.escape(names[0])}\s*\]", lines[number])]
    if len(of_table) > nth:
        header = of_table[nth] + 1
        start = header
        names = names[1:] or names
    end = next((number for number in heads if number >= start), len(lines))
    found = (
        number
        for number in range(start, end)
        if re.match(rf"\s*[\"']?{re.escape(names[0])}[\"']?\s*[.=]", lines[number])
    )
    return next((number + 1 for number in found), header)
