"""SMTP (RFC 5321): a greeting that says so, or speaks of mail and not of FTP. Pure."""

from __future__ import annotations

from stages.proto.recognise.reply import FTP_WORDS, MAIL_WORDS, SMTP_WORDS, greeting
from stages.proto.recognise.verdict import Verdict


def recognise(data: bytes) -> Verdict:
    whole = greeting(data)
    if isinstance(whole, Verdict):
        return whole
    mail = SMTP_WORDS.search(whole) or (MAIL_WORDS.search(whole) and not FTP_WORDS.search(whole))
    return Verdict.YES if mail else Verdict.NO
