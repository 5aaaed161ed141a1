from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.cli import dnsasking
from stages.cli.dnsasking import Resolver
from stages.core.errors import UsageError
from stages.net.confine import ConfinedError
from tests.servers.nameserver import Table, answer, nameserver

TABLE: Table = {
    ("PTR", "10.2.0.192.in-addr.arpa"): ("Scan1.research.example", "other.example"),
    ("PTR", "11.2.0.192.in-addr.arpa"): ("11.0-15.2.0.192.in-addr.arpa scan2.research.example",),
    ("A", "scan1.research.example"): ("192.0.2.10", "192.0.2.99"),
    ("AAAA", "scan1.research.example"): ("2001:db8::1",),
}


def test_names_and_back() -> None:
    with nameserver(lambda query: [answer(query, TABLE)]) as server:
        resolver = Resolver(server)
        assert resolver.reverse("192.0.2.10") == ("scan1.research.example", "other.example")
        assert resolver.reverse("192.0.2.11") == ("scan2.research.example",)
        assert resolver.reverse("192.0.2.12") == ()
        assert resolver.forward("scan1.research.example", 4) == ("192.0.2.10", "192.0.2.99")
        assert resolver.forward("scan1.research.example", 6) == ("2001:db8::1",)
        assert resolver.forward("none.example", 4) == ()


def test_an_address_of_ipv6_is_asked_for_by_its_nibbles() -> None:
    asked = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
    with nameserver(lambda query: [answer(query, {("PTR", asked): ("six.example",)})]) as server:
        assert Resolver(server).reverse("2001:db8::1") == ("six.example",)


def test_what_is_no_answer_to_it_is_left() -> None:
    """Another id, another question, a query, rubbish: then the true one."""

    def reply(query: bytes) -> Sequence[bytes]:
        good = answer(query, TABLE)
        evil = answer(query, {("PTR", "10.2.0.192.in-addr.arpa"): ("evil.example",)})
        other = bytes([query[0] ^ 1]) + evil[1:]
        wrong = evil.replace(b"\x0210", b"\x0299")
        return [other, wrong, query, b"", b"\xff" * 40, good]

    with nameserver(reply) as server:
        assert Resolver(server).reverse("192.0.2.10")[0] == "scan1.research.example"


def test_a_question_that_is_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsasking, "SECONDS", 0.2)
    heard: list[bytes] = []

    def reply(query: bytes) -> Sequence[bytes]:
        heard.append(query)
        return [answer(query, TABLE)] if len(heard) > 1 else []

    with nameserver(reply) as server:
        assert Resolver(server).reverse("192.0.2.12") == ()
    assert len({query[:2] for query in heard}) == 2


def test_nobody_answers_or_will_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsasking, "SECONDS", 0.05)
    with nameserver(lambda query: []) as server, pytest.raises(OSError, match="does not answer"):
        Resolver(server).reverse("192.0.2.10")
    refused = lambda query: [query[:2] + b"\x81\x85" + query[4:]]  # noqa: E731
    with nameserver(refused) as server, pytest.raises(OSError, match="RCODE 5"):
        Resolver(server).reverse("192.0.2.10")
    with nameserver(refused) as server, pytest.raises(OSError, match="no DNS name"):
        Resolver(server).forward("x" * 64 + ".example", 4)


def test_nothing_leaves_this_host(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# x\nsearch example\nnameserver 192.0.2.53\nnameserver 127.0.0.1\n")
    with pytest.raises(ConfinedError):
        Resolver(conf=conf).reverse("192.0.2.10")


@pytest.mark.parametrize("server", ["", "ns.example", "127.0.0.1:x", "1.2.3.4.5", "[::1"])
def test_no_server(server: str) -> None:
    with pytest.raises(UsageError, match="--resolver"):
        Resolver(server)


@pytest.mark.parametrize(
    ("server", "parted"),
    [("127.0.0.1", ("127.0.0.1", 53)), ("::1", ("::1", 53)), ("[::1]:5353", ("::1", 5353)), ("[::1]", ("::1", 53))],
)
def test_servers(server: str, parted: tuple[str, int]) -> None:
    assert Resolver(server)._server == parted
