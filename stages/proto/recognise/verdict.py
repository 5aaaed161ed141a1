"""What a recogniser says of the first bytes of a peer, and the shapes that most recognisers are made of. Pure.

A recogniser is a function of the bytes so far. It never raises, looks at LOOK bytes at most, and is monotone: once YES
or NO was said, more bytes do not change it. So what is recognised does not depend on how TCP cut the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

#: Bytes that are looked at: a greeting of many lines fits, and so does the header of everything else.
LOOK: Final = 4096

#: Bytes of a first line that are waited for: RFC 5321 (4.5.3.1.5) and RFC 1459 (2.3) have 512; the rest is for those
#: who do not keep to it.
LINE: Final = 1024


class Verdict(Enum):
    """Is it this protocol?"""

    NO = "no"
    MORE = "more"  #: it may be: more bytes are needed
    YES = "yes"


Recogniser = Callable[[bytes], Verdict]

_DIGITS: Final = frozenset(b"0123456789")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_ANY: Final = frozenset(range(256))


def shape(template: str) -> Recogniser:
    """Bytes one by one: `#` a digit, `%` a hex digit, `?` any byte, everything else itself (latin-1), case included."""
    classes = {"#": _DIGITS, "%": _HEX, "?": _ANY}
    allowed = tuple(classes.get(character) or frozenset(character.encode("latin-1")) for character in template)

    def recognise(data: bytes) -> Verdict:
        for byte, known in zip(data, allowed, strict=False):
            if byte not in known:
                return Verdict.NO
        return Verdict.YES if len(data) >= len(allowed) else Verdict.MORE

    return recognise


def either(*recognisers: Recogniser) -> Recogniser:
    """Any of them; YES as soon as one says so, NO when all do."""

    def recognise(data: bytes) -> Verdict:
        said = {one(data) for one in recognisers}
        return next(verdict for verdict in (Verdict.YES, Verdict.MORE, Verdict.NO) if verdict in said)

    return recognise


def starts(*words: bytes) -> Recogniser:
    """Begins with one of the words; upper and lower case are the same."""
    lowered = tuple(word.lower() for word in words)

    def recognise(data: bytes) -> Verdict:
        head = data[:LINE].lower()
        if head.startswith(lowered):
            return Verdict.YES
        return Verdict.MORE if any(word.startswith(head) for word in lowered) else Verdict.NO

    return recognise


def line(start: Recogniser, pattern: str) -> Recogniser:
    """A first line that `start` recognises and in which the pattern is found (bytes, upper and lower case the same);
    of a line longer than LINE, in its first LINE bytes."""
    search = re.compile(pattern.encode("ascii"), re.IGNORECASE).search

    def recognise(data: bytes) -> Verdict:
        begun = start(data)
        if begun is not Verdict.YES:
            return begun
        end = data.find(b"\n", 0, LINE)
        if end < 0 and len(data) < LINE:
            return Verdict.MORE
        return Verdict.YES if search(data[: end if end >= 0 else LINE]) else Verdict.NO

    return recognise


def printable(data: bytes) -> bool:
    """Text of any 8-bit or UTF-8 encoding: no control characters but line ends and tabs."""
    return not any((byte < 32 and byte not in b"\t\r\n") or byte == 127 for byte in data)
