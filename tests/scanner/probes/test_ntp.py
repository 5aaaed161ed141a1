from __future__ import annotations

import pytest
from scapy.layers.ntp import NTP, NTPHeader

from stages.scanner import answers, probes
from stages.scanner.probes import ntp
from tests.servers.answering import Reader
from tests.servers.udp_answers import Asked

asked = Asked(ntp.SENT, 123)
reader = Reader("ntp", ports=(123,))


def test_an_answer_returns_our_timestamp() -> None:
    sent = asked.payload()
    assert (NTP(sent).mode, NTP(sent).version) == (3, 4)
    good = bytes(NTPHeader(mode=4, version=4, stratum=1))[:24] + sent[40:48] + bytes(16)
    row = reader.read(asked.answer(good))
    assert row is not None
    assert (row["kind"], row["bound"], row["bits"]) == (answers.UDP, answers.BY_PORT | answers.BY_COOKIE, 9 + 64)
    assert reader.read(asked.answer(good[:24] + bytes(8) + good[32:])) is None
    assert reader.read(asked.answer(good[:31])) is None


def test_no_arguments() -> None:
    with pytest.raises(ValueError, match="ntp takes no arguments, not 'x'"):
        probes.get("ntp", "x")
