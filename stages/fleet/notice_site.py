"""What is answered to each request for the notice page: routes, signing in, the form. Pure.

Who was invited has a link with a secret in it. Opening it changes nothing (mail scanners and previews open links);
its button spends it and starts a session: 160 random bits in a cookie, of which the desk keeps the hash. What comes
with the form proves that the form was ours by a word derived from those bits, which no other site can know. A session
lives only where the connection is encrypted.

Any Host is answered: pages are the same on every source address, and no answer repeats what it was called.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from hmac import compare_digest
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import parse_qsl

from stages.core.errors import LonglineError
from stages.core.netset import NetSet
from stages.fleet import optout_pages as pages
from stages.fleet.asking import MAX_REQUESTS, MAX_WAITING, Asked, Refused, check
from stages.fleet.notice import Notice
from stages.fleet.notice_html import POLICY
from stages.fleet.notice_pages import HTML, OPTOUT, PLAIN, files
from stages.fleet.optout_pages import LEAVE, Filed, Typed

log = logging.getLogger("longline.fleet.notice")

INVITE: Final = "/invite/"
METHODS: Final = ("GET", "HEAD", "POST")

#: Bytes of a form: three fields, each character at most twelve bytes on the wire (four of UTF-8, each as %XX).
MAX_BODY: Final = 96 * 1024
#: Fields of a form: ours has four.
MAX_FIELDS: Final = 8

#: Seconds that somebody stays signed in.
SESSION_SECONDS: Final = 1_800

#: Seconds that a browser insists on HTTPS: a certificate that lapsed must not keep people from a notice for long.
HSTS_SECONDS: Final = 7 * 86_400

#: Seconds that a page may be kept by a browser or a proxy.
KEEP_SECONDS: Final = 300

#: With the prefix a browser takes it only over HTTPS, from this host alone (RFC 6265bis section 4.1.3.2).
COOKIE: Final = "__Host-notice"
#: A secret that we made: 160 bits in base32.
_SECRET: Final = re.compile(r"[A-Z2-7]{32}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as far as it matters."""

    method: str
    path: str  #: as it came, without the query
    headers: Mapping[str, str] = field(default_factory=dict)  #: names in small letters
    body: bytes = b""
    secure: bool = False  #: over TLS


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. The body of an answer to HEAD is for its length only."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Desk(Protocol):
    """Where invitations, sessions and requests are kept. Hashes are `hash_of` secrets. All block, and raise
    HostError or Unavailable."""

    def invited(self, hashed: str, now: float) -> str | None:
        """Whose invitation it is, unspent."""

    def sign_in(self, hashed: str, session: str, now: float, ends: float) -> str | None:
        """Spend an invitation on a session; whose it was."""

    def session(self, hashed: str, now: float) -> str | None:
        """Whose session it is."""

    def sign_out(self, hashed: str) -> None:
        """The session ends."""

    def file(self, account: str, asked: Asked, now: float) -> int | None:
        """Keep a request for review: its number, after it is on disk; None where the account has too many."""

    def of(self, account: str) -> Sequence[Filed]:
        """The account's requests, newest first."""


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode()).hexdigest()


def csrf_of(session: str) -> str:
    """What the session's forms carry."""
    return sha256(b"form of " + session.encode()).hexdigest()


class Site:
    """Answers. `fresh` makes a secret; `left_alone` is the opt-out list as it is now; without a desk there is no
    form."""

    def __init__(
        self, notice: Notice, desk: Desk | None, left_alone: Callable[[], NetSet], fresh: Callable[[], str]
    ) -> None:
        self._notice, self._desk = notice, desk
        self._left_alone, self._fresh = left_alone, fresh
        self._files: dict[str, tuple[str, bytes]] = {}
        self._made: dt.date | None = None
        self._told = False

    def needs_the_desk(self, path: str) -> bool:
        """Whether answering may block."""
        return self._desk is not None and (path in (OPTOUT, LEAVE) or path.startswith(INVITE))

    def answer(self, request: Request, now: float) -> Response:
        """Never raises."""
        response = self._answered(request, now)
        if not request.secure:
            return response
        return replace(response, headers={**response.headers, "Strict-Transport-Security": f"max-age={HSTS_SECONDS}"})

    def _answered(self, request: Request, now: float) -> Response:
        if request.method not in METHODS:
            return self._problem(405, "No such method", "This page knows GET, HEAD and POST.", allow=METHODS)
        if self.needs_the_desk(request.path):
            try:
                answer = self._of_the_form(request, now)
                self._told = False
                return answer
            except LonglineError as error:
                if not self._told:  # once, until it works again: strangers may ask as often as they like
                    log.error("the form cannot be used: %s", error)
                    self._told = True
                return self._problem(503, "Not now", "The form cannot be used at the moment. Nothing was kept.")
        found = self._page(request.path, now)
        if found is None:
            return self._problem(404, "No such page", "There is nothing at this address.")
        if request.method == "POST":
            return self._problem(405, "No such method", "This page can only be read.", allow=METHODS[:2])
        kind, body = found
        return _response(200, kind, body, {"Cache-Control": f"public, max-age={KEEP_SECONDS}"})

    def _page(self, path: str, now: float) -> tuple[str, bytes] | None:
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        if self._made != moment.date():  # security.txt carries a date
            made = files(self._notice, moment, form=self._desk is not None)
            self._files = {name: (kind, text.encode()) for name, (kind, text) in made.items()}
            self._files["/index.html"] = self._files["/"]
            self._files["/security.txt"] = self._files["/.well-known/security.txt"]
            self._made = moment.date()
        return self._files.get(path)

    # --- the form

    def _of_the_form(self, request: Request, now: float) -> Response:
        if not request.secure:
            return self._html(403, pages.only_encrypted(self._notice))
        if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") not in (
            "same-origin",
            "none",
        ):
            return self._problem(403, "Not from here", "Another site has sent this form.")
        if request.path.startswith(INVITE):
            return self._invited(request, now)
        session = self._session(request)
        account = None if session is None else self._the_desk.session(hash_of(session), now)
        if session is None or account is None:
            words = "The form is for those who were sent a link to it; a link is good once, and for a short time."
            return self._problem(403, "Not signed in", words)
        if request.method != "POST":
            if request.path != OPTOUT:
                return self._problem(405, "No such method", "This can only be sent.", allow=("POST",))
            return self._html(200, pages.form(account, csrf_of(session), self._the_desk.of(account)))
        fields = _fields(request)
        if fields is None:
            return self._problem(400, "Not the form", "This is not what the form sends.")
        if not compare_digest(fields.get("csrf", "").encode(), csrf_of(session).encode()):
            return self._problem(403, "Not from here", "The form was too old, or not ours. Open it again.")
        if request.path == LEAVE:
            self._the_desk.sign_out(hash_of(session))
            return self._go("/", _cookie("", 0))
        return self._asked(account, session, fields, now)

    def _asked(self, account: str, session: str, fields: Mapping[str, str], now: float) -> Response:
        typed = Typed(fields.get("networks", ""), fields.get("reason", ""), fields.get("contact", ""))
        asked = check(typed.networks, typed.reason, typed.contact, self._left_alone())
        if isinstance(asked, Refused):
            shown = pages.form(account, csrf_of(session), self._the_desk.of(account), typed, asked.problems)
            return self._html(422, shown)
        if not asked.networks:
            return self._html(200, pages.received(asked, None))
        number = self._the_desk.file(account, asked, now)
        if number is None:
            words = f"An account has at most {MAX_WAITING} requests that wait, and {MAX_REQUESTS} in all."
            return self._problem(429, "Too many requests", words)
        return self._html(200, pages.received(asked, number))

    def _invited(self, request: Request, now: float) -> Response:
        secret = request.path.removeprefix(INVITE)
        gone = "This link was used already, or has expired. Ask for another one."
        if _SECRET(secret) is None:
            return self._problem(403, "No such link", gone)
        if request.method != "POST":
            account = self._the_desk.invited(hash_of(secret), now)
            if account is None:
                return self._problem(403, "No such link", gone)
            return self._html(200, pages.invited(request.path, account))
        session = self._fresh()
        if self._the_desk.sign_in(hash_of(secret), hash_of(session), now, now + SESSION_SECONDS) is None:
            return self._problem(403, "No such link", gone)
        return self._go(OPTOUT, _cookie(session, SESSION_SECONDS))

    @property
    def _the_desk(self) -> Desk:
        assert self._desk is not None
        return self._desk

    @staticmethod
    def _session(request: Request) -> str | None:
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and _SECRET(value):
                return value
        return None

    # --- answers

    def _problem(self, status: int, title: str, words: str, *, allow: Sequence[str] = ()) -> Response:
        body = pages.problem(title, words, self._notice)
        return self._html(status, body, {"Allow": ", ".join(allow)} if allow else {})

    @staticmethod
    def _html(status: int, body: str, more: Mapping[str, str] = MappingProxyType({})) -> Response:
        return _response(status, HTML, body.encode("utf-8", "replace"), more)

    @staticmethod
    def _go(path: str, cookie: str) -> Response:
        """To another page, by GET (RFC 9110 section 15.4.4)."""
        return _response(303, PLAIN, b"", {"Location": path, "Set-Cookie": cookie})


def _response(status: int, kind: str, body: bytes, more: Mapping[str, str]) -> Response:
    headers = {
        "Content-Type": kind, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store", "Server": "longline", **more,
    }  # fmt: skip
    return Response(status, body, headers)


def _cookie(value: str, seconds: int) -> str:
    return f"{COOKIE}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"


def _fields(request: Request) -> dict[str, str] | None:
    """The fields of a form, each once; None where it is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or len(request.body) > MAX_BODY:
        return None
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None
