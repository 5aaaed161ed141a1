"""`identify`: what speaks there is recognised, and its own dialogue goes on on the same connection. Pure.

    wait a moment -> the server speaks          -> recognise -> go on
                  -> it does not: the port's
                     likely first word          -> recognise -> go on

What is heard is held up to LOOK bytes until it has a name. Then SSH, HTTP, SMTP and TLS go on with their dialogues, as
if they had heard it themselves; a service that says a line is left after it; of the others what they say is read until
they are silent. A word that does not fit is no loss: the answer is read by all recognisers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stages.proto.dialogues import esmtp, http, ssh
from stages.proto.dialogues.base import Begin, Pace, Target, Told
from stages.proto.dialogues.facts import text
from stages.proto.dialogues.first_words import NOTHING, POSTGRES, TLS, first_word
from stages.proto.dialogues.tls import Tls
from stages.proto.recognise.postgres import answer as answers_ssl
from stages.proto.recognise.registry import name_of
from stages.proto.recognise.verdict import LOOK, printable

#: Seconds in which a server may speak first: one round trip, and what slow servers need to begin.
MOMENT: Final = 1.0

#: Who goes on. TLS only where we have said hello.
GOES_ON: Final[Mapping[str, Begin]] = {
    "ssh": ssh.begin,
    "http": http.begin,
    "smtp": esmtp.begin,
    "smtp-or-ftp": esmtp.begin,
}

#: Services that have said all when a line is at its end.
_LINE: Final = frozenset({"ftp", "imap", "pop3", "nntp", "vnc", "rsync", "redis", "memcached"})

#: Where the version stands that MySQL greets with: behind a header of four bytes and the protocol.
_MYSQL_VERSION: Final = slice(5, 128)
_MYSQL_HANDSHAKE: Final = 10


class Identify(Told):
    """One connection."""

    __slots__ = ("_asked", "_head", "_inner", "_tls")

    def __init__(self, target: Target, pace: Pace) -> None:
        super().__init__(target, pace)
        self._asked: str | None = None  # name of the first word, once it was said
        self._head = b""
        self._inner: Told | None = None
        self._tls: Tls | None = None  # its hello is out

    @property
    def idle(self) -> float:
        return self._inner.idle if self._inner is not None else self.pace.idle

    def wait(self) -> float:
        return self.pace.first if self._asked is not None else min(MOMENT, self.pace.first)

    def silence(self) -> bytes | None:
        if self._asked is not None:
            return None
        word = first_word(self.target.port)
        self._asked = word.name
        return self._hello() if word.name == TLS else word.say(self.target) or NOTHING

    def _hello(self) -> bytes:
        self._tls = Tls(self.target, self.pace)
        return self._tls.opening()

    def receive(self, data: bytes) -> bytes | None:
        if self._inner is not None:
            said = self._inner.receive(data)
            return self._and_ours(said, data)
        if self.service is not None:
            return self._listen(data)
        if len(self._head) == LOOK:  # nobody knows it
            return b""
        heard = self._head + data
        self._head = heard[:LOOK]
        if self._asked == POSTGRES and answers_ssl(heard):
            return self._ssl()
        named = name_of(heard)
        return self._named(named, heard) if isinstance(named, str) else b""

    def _named(self, name: str, heard: bytes) -> bytes | None:
        """The service is known: who goes on?"""
        self.service = name
        self._note()
        inner: Told | None = None
        said = b""
        if name == "tls" and self._tls is not None:
            inner = self._tls
        elif name in GOES_ON:
            inner = GOES_ON[name](self.target, self.pace)
            if name == "ssh":
                said = inner.opening()
        if inner is None:
            self._greeting()
            return self._listen(b"")
        self._inner = inner
        more = inner.receive(heard)
        self._take()
        return None if more is None else said + more

    def _ssl(self) -> bytes | None:
        """PostgreSQL has answered our SSLRequest with one byte."""
        answer, self._head = self._head, b""
        self.service = "postgres"
        self._note()
        self.facts["ssl"] = answer.decode("ascii")
        if answer == b"N":
            return None
        said = self._hello()
        self._inner = self._tls
        return said

    def _and_ours(self, said: bytes | None, data: bytes) -> bytes | None:
        """What the inner dialogue says is ours; but an S before something else was none of PostgreSQL's."""
        inner = self._inner
        if "ssl" in self.facts and isinstance(inner, Tls) and inner.client.server_hello is None:
            self._head += data[: LOOK - 1 - len(self._head)]
            named = name_of(b"S" + self._head)
            if isinstance(named, str):
                del self.facts["ssl"]
                self._inner, self._tls, self._head = None, None, b"S" + self._head
                self.service = named
                self._greeting()
                return None
        if said is None:
            self._take()
        return said

    def _listen(self, data: bytes) -> bytes | None:
        """Those with no dialogue of their own: until they are silent, or a line has ended."""
        self._head += data[: LOOK - len(self._head)]
        return None if self.service in _LINE and self._head.endswith(b"\n") else b""

    def _note(self) -> None:
        if self._asked is None:
            self.facts["said_first"] = True
        else:
            self.facts["asked"] = self._asked

    def _greeting(self) -> None:
        head = self._head
        if self.service == "mysql" and head[4:5] == bytes((_MYSQL_HANDSHAKE,)):
            self.facts["version"] = text(head[_MYSQL_VERSION].partition(b"\0")[0])
        elif printable(line := head.partition(b"\n")[0].rstrip(b"\r")) and line:
            self.facts["greeting"] = text(line)

    def _take(self) -> None:
        """What the inner dialogue knows."""
        inner = self._inner
        assert inner is not None
        self.facts |= inner.facts
        self.broken = inner.broken
        if inner.service is not None and self.service != POSTGRES:
            self.service = inner.service

    def farewell(self) -> bytes:
        return self._inner.farewell() if self._inner is not None else b""

    def eof(self) -> bytes | None:
        said = self._inner.eof() if self._inner is not None else None
        self.over()
        return said

    def over(self) -> None:
        if self._inner is not None:
            self._inner.over()
            self._take()
        elif self.service is None and self._head:
            self._note()
            named = name_of(self._head, ended=True)
            if isinstance(named, str):
                self.service = named
            self._greeting()


begin: Final = Identify
