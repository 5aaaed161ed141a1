"""TLS without sockets: Python's client on the other side of two memory buffers."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.simnet import tlsanswers
from stages.simnet.certificates import make
from stages.simnet.sorts import Sort
from stages.simnet.tlsanswers import Contexts, TlsAnswer, flight
from stages.simnet.truth import Kind

IDENTITIES, _ = make(datetime(2026, 11, 21, tzinfo=UTC), [Sort.VALID, Sort.SELF_SIGNED, Sort.UNPARSABLE])
CONTEXTS = Contexts(IDENTITIES)


class Client:
    """A TLS client and the wire to a `TlsAnswer`, which gets `step` bytes at a time (0: all at once)."""

    def __init__(self, answer: TlsAnswer, step: int = 0) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.answer, self.step, self.over = answer, step, False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="www.simnet.example")

    def exchange(self) -> None:
        data = self.outgoing.read()
        step = self.step or max(1, len(data))
        for at in range(0, len(data), step):
            out, self.over = self.answer.receive(data[at : at + step])
            self.incoming.write(out)

    def handshake(self) -> None:
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.exchange()
            else:
                self.exchange()
                return
        raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("kind", "version"), [(Kind.TLS12, "TLSv1.2"), (Kind.TLS13, "TLSv1.3")])
@pytest.mark.parametrize("number", [0, 1])
def test_a_whole_conversation(kind: Kind, version: str, number: int, step: int) -> None:
    client = Client(CONTEXTS.answer(kind, number, b"hello"), step)
    client.handshake()
    assert client.tls.version() == version
    assert client.tls.getpeercert(binary_form=True) == IDENTITIES[number].chain[0]
    assert client.tls.selected_alpn_protocol() == "http/1.1"
    assert not client.over
    client.tls.write(b"GET / HTTP/1.0\r\n\r\n")
    client.exchange()
    assert client.over
    assert client.tls.read(100) == b"hello"
    assert client.tls.read(100) == b""  # a close_notify


def test_a_client_that_only_looks() -> None:
    client = Client(CONTEXTS.answer(Kind.TLS12, 0, b"hello"))
    client.handshake()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.exchange()
    assert client.over


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"])
def test_no_tls_gets_an_alert(data: bytes) -> None:
    out, over = CONTEXTS.answer(Kind.TLS13, 0, b"").receive(data)
    assert over
    assert out == b"" or out[0] == 21


@pytest.mark.parametrize("step", [0, 1, 7])
def test_the_unparsable_certificate_goes_over_in_clear(step: int) -> None:
    client = Client(CONTEXTS.answer(Kind.TLS_UNPARSABLE, 2, b""), step)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    hello = client.outgoing.read()
    out = b"".join(
        client.answer.receive(hello[at : at + (step or len(hello))])[0]
        for at in range(0, len(hello), step or len(hello))
    )
    assert IDENTITIES[2].chain[0] in out
    client.incoming.write(out)
    with pytest.raises(ssl.SSLError) as caught:
        client.tls.do_handshake()
    assert not isinstance(caught.value, ssl.SSLWantReadError)
    assert client.answer.receive(client.outgoing.read()) == (b"", True)


@given(st.binary(max_size=300))
def test_any_bytes_to_the_unparsable(data: bytes) -> None:
    answer = CONTEXTS.answer(Kind.TLS_UNPARSABLE, 2, b"")
    out, over = answer.receive(data)
    assert over or out or data[:1] in (b"", b"\x16")


@given(st.binary(max_size=100))
def test_a_flight_for_any_hello(hello: bytes) -> None:
    made = flight(hello, [b"der"], bytes(32))
    assert made == b"" or b"der" in made


def test_a_hello_that_never_ends() -> None:
    answer = CONTEXTS.answer(Kind.TLS_UNPARSABLE, 2, b"")
    assert answer.receive(b"\x16\x03\x01\xff\xff" + bytes(100)) == (b"", False)
    assert answer.receive(bytes(tlsanswers._HELLO_BYTES)) == (b"", True)
