"""`http`: GET / of HTTP/1.1 (RFC 9112), and the answer to its end, which is not waited for. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.dialogues.base import Pace, Target, Told
from stages.proto.dialogues.facts import text
from stages.proto.dialogues.http_answer import Answer, HttpFormatError

_REQUEST: Final = (
    "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: longline/0.1\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)
#: The port that Host does not name (RFC 9110 section 4.2.1).
_PORT: Final = 80

#: Field -> key.
_FIELDS: Final = {b"server": "server", b"location": "location", b"content-type": "content_type"}


def request(target: Target) -> bytes:
    """GET with the target's name, or its address where it has none."""
    host = target.host if target.port in (0, _PORT) else f"{target.host}:{target.port}"
    return _REQUEST.format(host=host).encode("ascii", "replace").replace(b"\0", b"?")


class Http(Told):
    """One request, one answer."""

    __slots__ = ("_answer",)

    def __init__(self, target: Target, pace: Pace) -> None:
        super().__init__(target, pace)
        self._answer = Answer()

    def opening(self) -> bytes:
        return request(self.target)

    def receive(self, data: bytes) -> bytes | None:
        try:
            whole = self._answer.feed(data)
        except HttpFormatError as error:
            self.breaks(str(error))
            self.over()
            return None
        if whole:
            self.over()
            return None
        return b""

    def eof(self) -> bytes | None:
        self._answer.closed()
        return super().eof()

    def over(self) -> None:
        answer = self._answer
        if not answer.version:
            return
        self.service = "http"
        self.facts |= {"version": answer.version, "body": answer.body, "whole": answer.whole}
        if answer.status:
            self.facts["status"] = answer.status
        for name, key in _FIELDS.items():
            if name in answer.fields:
                self.facts[key] = text(answer.fields[name])


begin: Final = Http
