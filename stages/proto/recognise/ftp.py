"""FTP (RFC 959): a greeting that speaks of FTP and not of SMTP. Pure."""

from __future__ import annotations

from stages.proto.recognise.reply import FTP_WORDS, SMTP_WORDS, greeting
from stages.proto.recognise.verdict import Verdict


def recognise(data: bytes) -> Verdict:
    whole = greeting(data)
    if isinstance(whole, Verdict):
        return whole
    return Verdict.YES if FTP_WORDS.search(whole) and not SMTP_WORDS.search(whole) else Verdict.NO
