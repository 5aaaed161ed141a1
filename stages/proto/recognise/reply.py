"""Greetings with a three-digit code (RFC 959 section 4.2, RFC 5321 section 4.2): FTP and SMTP say them alike. Pure.

The words of the whole greeting tell which of the two it is; where they do not, it is `smtp-or-ftp`, and only what the
server answers can tell (`stages.proto.dialogues.esmtp` asks).
"""

from __future__ import annotations

import re
from typing import Final

from stages.proto.recognise.verdict import LOOK, Verdict

SMTP_WORDS: Final = re.compile(rb"\bE?SMTP\b", re.IGNORECASE)
FTP_WORDS: Final = re.compile(rb"ftp|filezilla|serv-u|file transfer|wu-\d|user and pass|user logged", re.IGNORECASE)
MAIL_WORDS: Final = re.compile(rb"\bmail|mailer|postfix|\bexim|sendmail|\bmx\d*\b|\bMTA\b", re.IGNORECASE)

#: Codes with which a server greets, or refuses to: FTP has 120 and 530, SMTP 554 and 521 (RFC 7504), both the others.
CODES: Final = (b"220", b"421", b"120", b"530", b"554", b"521", b"550", b"450")


def greeting(data: bytes) -> bytes | Verdict:
    """The whole greeting, cut at LOOK; MORE: it is not whole; NO: it is none."""
    head = data[:3]
    if not any(code.startswith(head) for code in CODES):
        return Verdict.NO
    if len(data) > 3 and data[3] not in b" -\r\n":
        return Verdict.NO
    at = 0
    code = head
    while (end := data.find(b"\n", at, LOOK)) >= 0:
        one = data[at:end]
        # Lines between may be free text in FTP; the last one has the code and a blank.
        if one[:3] == code and one[3:4] != b"-":
            return data[:end]
        at = end + 1
    return data[:LOOK] if len(data) >= LOOK else Verdict.MORE


def recognise(data: bytes) -> Verdict:
    """Any such greeting, whoever says it."""
    whole = greeting(data)
    return whole if isinstance(whole, Verdict) else Verdict.YES
