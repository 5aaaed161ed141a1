"""Where an answer of HTTP/1 ends (RFC 9112 section 6.3): by its length, by chunks, or with the connection. Pure.

The body is counted and not kept.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from stages.proto.recognise import http
from stages.proto.recognise.verdict import Verdict

#: Bytes of one line, and of all lines before a body: Apache and nginx send 8 KiB at most, browsers take 256 KiB.
MAX_LINE: Final = 16 * 1024
MAX_HEAD: Final = 64 * 1024
#: Interim answers (RFC 9110 section 15.2) before the one that counts.
MAX_INTERIM: Final = 8
#: Bytes of an answer after which it is let be.
MAX_ANSWER: Final = 1 << 20
#: Digits of a length: 2^64 has 20, and 16 in hex.
MAX_DIGITS: Final = 20

_STATUS: Final = re.compile(rb"HTTP/(\d(?:\.\d)?) (\d{3})(?!\d)")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;|$)")
_NO_BODY: Final = (204, 304)
_SWITCHING: Final = 101


class HttpFormatError(ValueError):
    """The peer's bytes are no HTTP answer, or beyond our bounds."""


class _At(Enum):
    STATUS = 0
    FIELDS = 1
    BODY = 2
    CHUNK = 3
    CHUNK_END = 4
    TRAILER = 5
    CLOSE = 6


class Answer:
    """One answer; those before it that are interim are passed over."""

    __slots__ = (
        "_at",
        "_chunked",
        "_head",
        "_held",
        "_interim",
        "_left",
        "body",
        "fields",
        "size",
        "status",
        "version",
        "whole",
    )

    def __init__(self) -> None:
        self._at = _At.STATUS
        self._held = b""
        self._head = 0
        self._interim = 0
        self._left: int | None = None  # of the body or the chunk
        self._chunked = False
        self.version = ""
        self.status = 0
        self.fields: dict[bytes, bytes] = {}  #: name in small letters -> value; the first of each
        self.body = 0  #: bytes
        self.size = 0  #: bytes of everything
        self.whole = False

    def feed(self, data: bytes) -> bool:
        """Whether enough came: the whole answer, or MAX_ANSWER bytes. Raises HttpFormatError."""
        self.size += len(data)
        held, at = self._held + data, 0
        if self._at is _At.STATUS and not self._interim and not self._head:
            self._begins(held)
        while not self.whole and at < len(held):
            if self._at is _At.CLOSE:
                self.body += len(held) - at
                at = len(held)
            elif self._at is _At.BODY:
                assert self._left is not None
                taken = min(self._left, len(held) - at)
                self.body += taken
                self._left -= taken
                at += taken
                if not self._left:
                    self._part_is_over()
            else:
                end = held.find(b"\n", at, at + MAX_LINE)
                if end < 0:
                    if len(held) - at >= MAX_LINE:
                        raise HttpFormatError(f"a line of more than {MAX_LINE} bytes")
                    break
                line = held[at:end].removesuffix(b"\r")
                self._head += end + 1 - at
                if self._head > MAX_HEAD:
                    raise HttpFormatError(f"more than {MAX_HEAD} bytes of head")
                at = end + 1
                self._line(line)
        self._held = held[at:]
        return self.whole or self.size >= MAX_ANSWER

    def closed(self) -> None:
        """The peer has closed."""
        if self._at is _At.CLOSE:
            self.whole = True

    def _begins(self, held: bytes) -> None:
        if held.startswith(b"HTTP/"):
            return  # the status line will tell
        said = http.recognise(held)
        if said is Verdict.NO:
            raise HttpFormatError("no HTTP answer")
        if said is Verdict.YES:
            self.version = "0.9"  # the body alone
            self._at = _At.CLOSE

    def _line(self, line: bytes) -> None:
        match self._at:
            case _At.STATUS:
                found = _STATUS.match(line)
                if found is None:
                    raise HttpFormatError("no status line")
                self.version, self.status = found[1].decode("ascii"), int(found[2])
                self._at = _At.FIELDS
            case _At.FIELDS if line:
                name, colon, value = line.partition(b":")
                if colon:  # a line without is nonsense that browsers overlook
                    self.fields.setdefault(name.strip().lower(), value.strip())
            case _At.FIELDS:
                self._body_begins()
            case _At.CHUNK:
                found = _CHUNK.match(line)
                if found is None:
                    raise HttpFormatError("no chunk size")
                self._left = int(found[1], 16)
                self._at = _At.BODY if self._left else _At.TRAILER
            case _At.CHUNK_END:
                if line:
                    raise HttpFormatError("a chunk is longer than it says")
                self._head = 0
                self._at = _At.CHUNK
            case _At.TRAILER if not line:
                self.whole = True

    def _body_begins(self) -> None:
        if 100 <= self.status < 200 and self.status != _SWITCHING:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise HttpFormatError(f"more than {MAX_INTERIM} interim answers")
            self.fields.clear()
            self._at = _At.STATUS
            return
        length = self.fields.get(b"content-length")
        if self.status in _NO_BODY or self.status == _SWITCHING:
            self.whole = True
        elif self.fields.get(b"transfer-encoding", b"").lower().split(b",")[-1].strip() == b"chunked":
            self._chunked = True
            self._head = 0
            self._at = _At.CHUNK
        elif length is not None:
            if not length.isdigit() or len(length) > MAX_DIGITS:
                raise HttpFormatError("no Content-Length")
            self._left = int(length)
            self._at = _At.BODY
            self.whole = not self._left
        else:
            self._at = _At.CLOSE

    def _part_is_over(self) -> None:
        if self._chunked:
            self._at = _At.CHUNK_END
        else:
            self.whole = True
