"""Rules over records and whole runs: which hold, what else is asked, and what is refused before anything is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import UsageError
from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.tlsgrab.rules import Asking, Judge, judge_of, next_asking, read_rules, seen_of, shipped
from tests.proto.rules.material import key, made
from tests.servers import talkers
from tests.servers.certificates import Identity, server_context
from tests.servers.talkers import nobody, talker
from tests.servers.tls_bytes import flight
from tests.tlsgrab.test_real_servers import s_server
from tests.tlsgrab.test_stage import after_hello, tls

Grab = Callable[..., Any]
Line = Callable[..., bytes]

TOR = made({"CN": "www.mnbvcxzlkj.net"}, {"CN": "www.abcdefgh234.com"}, kind="rsa2048")
OTHER = made({"CN": "www.example.org"}, {"CN": "R3"}, kind="rsa2048", dns=("www.example.org",))

ASKING = """
[[rule]]
name = "usual"
when = ["chain length == 1"]

[[rule]]
name = "likes-57"
when = ["suite == 57", "version == tls1.2"]
[rule.hello]
versions = ["tls1.2"]
suites = ["57"]

[[rule]]
name = "likes-gcm"
when = ["suite == TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
[rule.hello]
versions = ["tls1.2"]
suites = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
"""


def who(der: bytes) -> Identity:
    from cryptography import x509

    return Identity(key("rsa2048"), (x509.load_der_x509_certificate(der),))


async def test_the_relay_of_the_talk_is_marked(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    """One server with the names that a Tor relay makes, one without; both know the suites of the first protocol."""
    options = ("-cipher", "ALL:@SECLEVEL=0")
    with s_server(tmp_path, who(TOR), *options) as relay, s_server(tmp_path, who(OTHER), *options) as web:
        got = await tlsgrab([hit_line(relay), hit_line(web)], rules=("tor", "cpe", "appliances"), handshake_timeout=5.0)
    by = {(record.ip, record.mode): record for record in got.records}
    hello = next(iter(read_rules(["tor"]).hellos))
    assert len(by) == len(got.records) == 4
    assert by[relay[0], "certificate"].rules == ["tor-relay"]
    assert (by[web[0], "certificate"].rules, by[web[0], f"certificate+{hello}"].rules) == ([], [])
    asked = by[relay[0], f"certificate+{hello}"]
    assert (asked.rules, asked.hello) == (["tor-relay-v1"], hello)
    assert asked.cipher_suite == "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"
    assert asked.certificates == [TOR]
    assert len({record.id for record in got.records}) == 4
    assert got.metrics["longline_tlsgrab_rules_matched"].total == 2


async def test_each_hello_once_and_only_to_who_answers(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    (tmp_path / "asking.toml").write_text(ASKING)
    count = [0]
    context = server_context(who(OTHER), ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256")

    def counted(connection: socket.socket) -> None:
        count[0] += 1
        tls(context)(connection)

    plain = after_hello(talkers.say(b"400 speak HTTP\r\n"))
    with talker(counted) as target, talker(plain) as other, nobody() as closed:
        got = await tlsgrab([hit_line(each) for each in (target, other, closed)], rules=(f"{tmp_path}/asking.toml",))
    ours = [record for record in got.records if record.ip == target[0]]
    assert count[0] == 3
    assert [record.rules for record in ours] == [["usual"], [], ["likes-gcm"]]
    assert [record.outcome for record in ours] == [Outcome.OK, Outcome.ALERT, Outcome.OK]
    assert [record.rules for record in got.records if record.ip != target[0]] == [[], []]
    assert got.summary.done == 3


async def test_names_are_followed_beside(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    (tmp_path / "asking.toml").write_text(ASKING)
    with talker(after_hello(talkers.hold(flight([OTHER])))) as target:
        rules = (f"{tmp_path}/asking.toml",)
        got = await tlsgrab([hit_line(target)], rules=rules, follow_names=1, max_connections=1)
    assert sorted((record.name or "", record.rules) for record in got.records) == [
        ("", []), ("", []), ("", ["usual"]), ("www.example.org", []), ("www.example.org", []),
        ("www.example.org", ["usual"]),
    ]  # fmt: skip


async def test_without_rules_nothing_is_judged(tlsgrab: Grab, hit_line: Line) -> None:
    with talker(after_hello(talkers.hold(flight([TOR])))) as target:
        got = await tlsgrab([hit_line(target)])
    assert got.of(target).rules is None


async def test_in_modes_that_show_less(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text(
        '[[rule]]\nname = "has-suite"\nwhen = ["suite == 156"]\n'
        '[[rule]]\nname = "has-none"\nwhen = ["not chain length == 1"]\n'
    )
    with talker(after_hello(talkers.hold(flight([TOR])))) as target:
        got = await tlsgrab([hit_line(target)], rules=(f"{tmp_path}/some.toml",), mode="hello")
    assert got.of(target).rules == ["has-suite"], "the length of a chain that was not read is not known"


@pytest.mark.parametrize("mode", ["full", "jarm"])
def test_a_hello_of_its_own_needs_our_own_client(mode: str) -> None:
    with pytest.raises(UsageError, match=f"tor-relay-v1 has a hello of its own; mode {mode}"):
        judge_of(["tor"], mode)
    assert judge_of(["cpe"], mode) is not None
    assert judge_of([], mode) is None


def test_files_and_sets_that_cannot_be_read(tmp_path: Path) -> None:
    assert list(shipped()) == ["appliances", "cpe", "tor"]
    (tmp_path / "bad.toml").write_text('[[rule]]\nname = "x"\nwhen = ["suite is 4"]\n')
    (tmp_path / "latin.toml").write_bytes(b'# first\n[[rule]]\nname = "\xe4"\n')
    for name, words in {
        "nothing": r"--rules: 'nothing': no such set; shipped are appliances, cpe, tor",
        f"{tmp_path}/none.toml": r"--rules: .*No such file",
        f"{tmp_path}": r"--rules: .*directory",
        f"{tmp_path}/bad.toml": r"bad\.toml:3: 'suite is 4': rule\[1\]\.when\[1\]: 'suite' is compared by",
        f"{tmp_path}/latin.toml": r"latin\.toml:3: not UTF-8",
    }.items():
        with pytest.raises(UsageError, match=words) as caught:
            read_rules([name])
        assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match=r"tor,tor.*two rules are called"):
        read_rules(["tor", "tor"])


def record(**fields: Any) -> Tls:
    usual = {"outcome": Outcome.OK, "phase": Phase.CERTIFICATE}
    return Tls(**({"scan": "s", "ts": 7, "ip": "192.0.2.1", "port": 443} | usual | fields))


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"chain": ["a", "b"]}, 2), ({"chain": []}, 0), ({"chain": [], "phase": Phase.HELLO}, None),
        ({"chain": [], "outcome": Outcome.ALERT}, None), ({"chain": ["a"], "outcome": Outcome.TIMEOUT}, 1),
    ],
)  # fmt: skip
def test_a_chain_that_was_not_read_has_no_length(fields: dict[str, Any], length: int | None) -> None:
    assert seen_of(record(**fields)).chain_length == length


def test_what_a_stored_record_holds_is_not_trusted() -> None:
    hello = {"cipher_suite": "57", "extensions": [1, "x"], "session_id": 5, "compression": True}
    seen = seen_of(record(server_hello=hello, version="TLSv9", chain=["a"]))
    assert (seen.suite, seen.extensions, seen.session_id, seen.compression, seen.version) == (None,) * 5
    assert seen_of(record(version="0x0305")).version == 0x0305
    assert Judge(read_rules(["tor"])).judge(record(outcome=Outcome.ALERT), TOR) == []
    assert Judge(read_rules(["tor"])).judge(record(chain=["a"]), TOR) == ["tor-relay"]


def test_who_is_asked_again() -> None:
    hit = Hit(scan="s", ts=0, ip="192.0.2.1", port=443)
    yes = [record(version="TLSv1.2"), record(outcome=Outcome.ALERT, alert="handshake_failure"),
           record(outcome=Outcome.RESET, phase=Phase.HELLO, connect=0.1)]  # fmt: skip
    refused, silent, reset = Outcome.REFUSED, Outcome.SILENT, Outcome.RESET
    no = [
        record(outcome=refused, phase=Phase.CONNECT),
        record(outcome=silent, phase=Phase.HELLO),
        record(outcome=reset, phase=Phase.CONNECT),
        record(outcome=Outcome.PROTOCOL, phase=Phase.HELLO),
    ]
    for one in yes:
        asking = next_asking(hit, one, ["rule-a", "rule-b"])
        assert isinstance(asking, Asking)
        assert (asking.hello, asking.left, asking.kept) == ("rule-a", ("rule-b",), (one,))
        second = next_asking(asking, no[0], ["rule-a", "rule-b"])
        assert second is not None
        assert (second.hello, second.left, second.kept) == ("rule-b", (), (one, no[0]))
        assert next_asking(second, one, ["rule-a", "rule-b"]) is None
    assert all(next_asking(hit, one, ["rule-a"]) is None for one in no)
    assert next_asking(hit, yes[0], []) is None
