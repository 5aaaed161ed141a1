"""`esmtp`: wait for the greeting, EHLO, read the whole answer, QUIT (RFC 5321 section 3.1 and 3.2). Pure.

FTP greets with the same codes; where its words do not tell, the answer to EHLO does: no SMTP server of this century
does not know it.
"""

from __future__ import annotations

from typing import Final

from stages.proto.dialogues.base import Pace, Target, Told
from stages.proto.dialogues.facts import LINE, LINES, text, texts
from stages.proto.dialogues.replies import Reply, ReplyFormatError, ReplyReader
from stages.proto.recognise.registry import name_of

EHLO: Final = b"EHLO longline\r\n"
QUIT: Final = b"QUIT\r\n"

_READY: Final = 220
_OK: Final = 250
#: How FTP says that it does not know a command, or wants a user first (RFC 959 section 4.2.2).
_NOT_KNOWN: Final = frozenset({500, 502, 503, 530})


class Esmtp(Told):
    """Greeting and capabilities."""

    __slots__ = ("_asked", "_reader")

    def __init__(self, target: Target, pace: Pace) -> None:
        super().__init__(target, pace)
        self._reader = ReplyReader()
        self._asked = False

    def receive(self, data: bytes) -> bytes | None:
        said = b""
        try:
            for reply in self._reader.feed(data):
                if self._asked:
                    self._answered(reply)
                    return None
                if not self._greeted(reply):
                    return None
                self._asked = True
                said = EHLO
        except ReplyFormatError as error:
            self.breaks(str(error))
            return None
        return said

    def _greeted(self, reply: Reply) -> bool:
        """Whether to go on."""
        self.facts |= {"code": reply.code, "greeting": text(reply.lines[0])}
        words = b"".join(b"%d-%s\r\n" % (reply.code, line) for line in reply.lines[:-1])
        named = name_of(b"%s%d %s\r\n" % (words, reply.code, reply.lines[-1]), ended=True)
        self.service = named if isinstance(named, str) else "smtp-or-ftp"
        return reply.code == _READY and self.service != "ftp"

    def _answered(self, reply: Reply) -> None:
        self.facts["ehlo"] = reply.code
        if reply.code == _OK:
            self.service = "smtp"
            self.facts["capabilities"] = texts(reply.lines[1:], LINES, LINE)
        elif self.service != "smtp" and reply.code in _NOT_KNOWN:
            self.service = "ftp"

    def farewell(self) -> bytes:
        return QUIT if self.broken is None else b""


begin: Final = Esmtp
