"""`esmtp`."""

from __future__ import annotations

import pytest

from stages.proto.dialogues.esmtp import EHLO, QUIT, begin
from stages.proto.dialogues.facts import LINES
from tests.proto.dialogues.peers import PACE, converse, hear, target

GREETING = b"220-mail.example.com ESMTP\r\n220 Postfix\r\n"
ANSWER = b"250-mail.example.com\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250 SMTPUTF8\r\n"


@pytest.mark.parametrize("size", [1, 7, None])
def test_greeting_and_capabilities(size: int | None) -> None:
    talk = begin(target(25), PACE)
    assert talk.opening() == b""
    converse(talk, [(GREETING, EHLO), (ANSWER, None)], size)
    assert talk.farewell() == QUIT
    assert (talk.service, talk.broken) == ("smtp", None)
    assert talk.facts == {
        "code": 220, "greeting": "mail.example.com ESMTP", "ehlo": 250,
        "capabilities": ["PIPELINING", "SIZE 10240000", "SMTPUTF8"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("turns", "service", "facts"),
    [
        ([(b"554 No SMTP here\r\n", None)], "smtp", {"code": 554, "greeting": "No SMTP here"}),
        ([(b"421 busy\r\n", None)], "smtp-or-ftp", {"code": 421, "greeting": "busy"}),
        ([(b"220 (vsFTPd 3.0.3)\r\n", None)], "ftp", {"code": 220, "greeting": "(vsFTPd 3.0.3)"}),
        ([(b"220 hi\r\n", EHLO), (b"530 Log in\r\n", None)], "ftp", {"code": 220, "greeting": "hi", "ehlo": 530}),
        ([(b"220 hi\r\n", EHLO), (b"550 No\r\n", None)], "smtp-or-ftp", {"code": 220, "greeting": "hi", "ehlo": 550}),
        (
            [(b"220 hi\r\n", EHLO), (b"250 hi\r\n", None)],
            "smtp",
            {"code": 220, "greeting": "hi", "ehlo": 250, "capabilities": []},
        ),
        ([(b"220 SMTP\r\n", EHLO)], "smtp", {"code": 220, "greeting": "SMTP"}),
        ([(b"220-SM", b"")], None, {}),
    ],
)
def test_other_ends(turns: list[tuple[bytes, bytes | None]], service: str | None, facts: dict[str, object]) -> None:
    talk = converse(begin(target(25), PACE), turns)
    assert (talk.service, talk.facts) == (service, facts)


def test_no_answer_at_all_breaks_it() -> None:
    talk = begin(target(25), PACE)
    assert hear(talk, b"SSH-2.0-x\r\n") is None
    assert (talk.broken, talk.farewell()) == ("no answer with a code", b"")


def test_lines_without_end() -> None:
    talk = begin(target(25), PACE)
    assert hear(talk, GREETING) == EHLO
    assert hear(talk, b"250-X\r\n" * 9999) is None
    assert talk.broken is not None
    talk = begin(target(25), PACE)
    assert hear(talk, GREETING) == EHLO
    assert hear(talk, b"250-X\r\n" * 99 + b"250 X\r\n") is None
    assert len(talk.facts["capabilities"]) == LINES
