"""Answers made of lines with a three-digit code (RFC 5321 section 4.2.1, RFC 959 section 4.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

#: Bytes of one line: RFC 5321 (4.5.3.1.5) has 512, some servers do not keep to it.
MAX_LINE: Final = 4096
#: Lines and bytes of one answer: forty extensions are many.
MAX_LINES: Final = 256
MAX_BYTES: Final = 64 * 1024

_FIRST: Final = re.compile(rb"(\d{3})(?:([ -])|$)")


class ReplyFormatError(ValueError):
    """The peer's bytes are no such answer, or beyond our bounds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    code: int
    lines: tuple[bytes, ...]  #: without the code where a line has it, and without ends


class ReplyReader:
    """Bytes in any pieces in, whole answers out."""

    __slots__ = ("_code", "_held", "_lines", "_size")

    def __init__(self) -> None:
        self._held = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Answers that are whole now. Raises ReplyFormatError when it is that one's turn."""
        held, at = self._held + data, 0
        while (end := held.find(b"\n", at, at + MAX_LINE)) >= 0:
            line = held[at:end].removesuffix(b"\r")
            at = end + 1
            self._held = held[at:]
            if (reply := self._line(line)) is not None:
                yield reply
        self._held = held[at:]
        if len(self._held) >= MAX_LINE:
            raise ReplyFormatError(f"a line of more than {MAX_LINE} bytes")
        if not self._code and (head := self._held[:4]) and not _could_begin(head):
            raise ReplyFormatError("no answer with a code")

    def _line(self, line: bytes) -> Reply | None:
        found = _FIRST.match(line)
        if not self._code:
            if found is None:
                raise ReplyFormatError("no answer with a code")
            self._code, self._lines, self._size = found[1], [], 0
        own = found is not None and found[1] == self._code  # FTP has free lines in between
        self._lines.append(line[4:] if own else line)
        self._size += len(line)
        if len(self._lines) > MAX_LINES or self._size > MAX_BYTES:
            raise ReplyFormatError(f"an answer of more than {MAX_LINES} lines or {MAX_BYTES} bytes")
        if found is None or not own or found[2] == b"-":
            return None
        reply = Reply(int(self._code), tuple(self._lines))
        self._code = b""
        return reply


def _could_begin(head: bytes) -> bool:
    return head[:3].isdigit() and head[3:] in (b"", b" ", b"-", b"\r")
