from __future__ import annotations

import pytest

from stages.scanner import answers, probes
from stages.scanner.fields import fields_of
from stages.scanner.probes import upnp
from tests.servers.answering import Reader
from tests.servers.answers import datagram
from tests.servers.udp_answers import Asked

asked = Asked(upnp.SENT, 1900)
reader = Reader("upnp", ports=(1900,))
ANSWER = b"HTTP/1.1 200 OK\r\nSERVER: x\r\nUSN: y\r\n\r\n"


@pytest.mark.parametrize(("data", "kind"), [
    (ANSWER, answers.UDP),
    (b"NOTIFY * HTTP/1.1\r\n\r\n", answers.UDP_OTHER),
    (b"HTTP/1.1 200 O", answers.UDP_OTHER),
    (b"", answers.UDP_OTHER),
])  # fmt: skip
def test_only_an_answer_to_a_search_is_a_success(data: bytes, kind: int) -> None:
    row = reader.read(asked.answer(data))
    assert row is not None
    assert row["kind"] == kind


def test_the_fields() -> None:
    fields = {field.name: field.get for field in fields_of("upnp")}
    answer = datagram(ANSWER)
    assert [fields[name](answer) for name in ("classification", "server", "usn", "st")] == ["upnp", "x", "y", None]
    assert fields["classification"](datagram(b"", kind=answers.UDP_OTHER)) == "no-http-header"


def test_no_arguments() -> None:
    with pytest.raises(ValueError, match="upnp takes no arguments, not 'x'"):
        probes.get("upnp", "x")
