"""What nft is told and what it says, as text: the listing is one that nft 1.0.6 printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages.net import firewall_rules as rules
from stages.net.firewall_rules import Mark, Rule

MARK = Mark(4711, 148176, "81fbeca1-a2d1-4157-8c1c-eb6fb921fdee", 4026531836)
RULE = Rule(("198.51.100.2", "198.51.100.3"), (40000, 40100), "synack")
NAME = "longline_4711_1"


def match(protocol: str, field: str, right: object, *, mask: object = None) -> dict[str, Any]:
    left: dict[str, Any] = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left if mask is None else {"&": [left, mask]}, "right": right}}


COUNTER = {"counter": {"packets": 3, "bytes": 180}}
MATCHES = [
    match("ip", "daddr", "@addresses"),
    match("tcp", "dport", {"range": [40000, 40100]}),
    match("tcp", "flags", ["syn", "ack"], mask=["syn", "rst", "ack"]),
]
SOCKET = {"match": {"op": "==", "left": {"socket": {"key": "transparent"}}, "right": {"set": [0, 1]}}}


def listing(**changes: Any) -> str:
    """What `nft -j list table ip` prints of RULE; `changes` replace a part, None takes it away."""
    parts: dict[str, Any] = {
        "metainfo": {"version": "1.0.6", "json_schema_version": 1},
        "table": {"family": "ip", "name": NAME, "handle": 1},
        "set": {
            "family": "ip", "name": "addresses", "table": NAME, "type": "ipv4_addr", "flags": ["timeout"],
            "elem": [{"elem": {"val": address, "timeout": 70, "expires": 69}} for address in RULE.addresses],
        },
        "chain": {"family": "ip", "table": NAME, "name": "quiet", "type": "filter", "hook": "prerouting",
                  "prio": -310, "policy": "accept"},
        "spare": {"family": "ip", "table": NAME, "chain": "quiet",
                  "expr": [*MATCHES, SOCKET, COUNTER, {"accept": None}]},
        "rule": {"family": "ip", "table": NAME, "chain": "quiet", "comment": str(MARK),
                 "expr": [*MATCHES, COUNTER, {"drop": None}]},
    }  # fmt: skip
    parts |= changes
    return json.dumps(
        {"nftables": [{"rule" if kind == "spare" else kind: part} for kind, part in parts.items() if part is not None]}
    )


def changed(kind: str, **fields: Any) -> str:
    parts = {next(iter(item)): next(iter(item.values())) for item in json.loads(listing())["nftables"]}
    return listing(**{kind: parts[kind] | fields})


def test_one_transaction_says_all() -> None:
    assert rules.setup(NAME, RULE, MARK, 70, sparing=True).splitlines() == [
        f"create table ip {NAME}",
        f"add set ip {NAME} addresses {{ type ipv4_addr; flags timeout; }}",
        f"add element ip {NAME} addresses {{ 198.51.100.2 timeout 70s, 198.51.100.3 timeout 70s }}",
        f"add chain ip {NAME} quiet {{ type filter hook prerouting priority -310; policy accept; }}",
        f"add rule ip {NAME} quiet ip daddr @addresses tcp dport 40000-40100 "
        "tcp flags & (syn | rst | ack) == (syn | ack) socket transparent { 0, 1 } counter accept",
        f"add rule ip {NAME} quiet ip daddr @addresses tcp dport 40000-40100 "
        f'tcp flags & (syn | rst | ack) == (syn | ack) counter drop comment "{MARK}"',
    ]


def test_every_tcp_packet_and_one_port() -> None:
    text = rules.setup(NAME, Rule(("10.0.0.1",), (7, 7), "tcp"), MARK, 70, sparing=False)
    assert "flags &" not in text
    assert "accept\n" not in text
    assert "tcp dport 7 counter drop" in text


def test_a_renewal_never_leaves_the_set_empty() -> None:
    """Both lines are one transaction."""
    assert rules.renewal(NAME, RULE, 5).splitlines() == [
        f"flush set ip {NAME} addresses",
        f"add element ip {NAME} addresses {{ 198.51.100.2 timeout 5s, 198.51.100.3 timeout 5s }}",
    ]


def test_a_mark_is_read_as_it_was_written() -> None:
    assert Mark.parse(str(MARK)) == MARK
    longest = Mark(2**32 - 1, 2**63, MARK.boot, 2**63)
    assert Mark.parse(str(longest)) == longest
    assert len(str(longest)) <= 128  # nft's limit


@pytest.mark.parametrize("text", ["", "longline", "longline pid=1", f"{MARK} more", str(MARK).replace("=4711", "=-1")])
def test_what_is_no_mark(text: str) -> None:
    assert Mark.parse(text) is None


@pytest.mark.parametrize(
    ("addresses", "ports", "what", "message"),
    [
        ((), (1, 2), "tcp", "0 source addresses"),
        (("10.0.0.1",) * (rules.MAX_ADDRESSES + 1), (1, 2), "tcp", "1025 source addresses"),
        (("10.0.0.1; }",), (1, 2), "tcp", "10.0.0.1; }"),
        (("::1",), (1, 2), "tcp", "::1"),
        (("10.0.0.1",), (0, 2), "tcp", "0-2"),
        (("10.0.0.1",), (3, 2), "tcp", "3-2"),
        (("10.0.0.1",), (3, 65536), "tcp", "3-65536"),
        (("10.0.0.1",), (1, 2), "udp", "'udp' is none of"),
    ],
)
def test_a_rule_that_cannot_be(addresses: Any, ports: Any, what: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(addresses, ports, what)


@pytest.mark.parametrize(
    ("address", "port", "what", "covered"),
    [
        ("198.51.100.2", 40000, "synack", True),
        ("198.51.100.3", 40100, "synack", True),
        ("198.51.100.2", 40101, "synack", False),
        ("198.51.100.2", 39999, "synack", False),
        ("198.51.100.4", 40000, "synack", False),
        ("198.51.100.2", 40000, "tcp", False),
    ],
)
def test_what_is_covered(address: str, port: int, what: Any, covered: bool) -> None:
    assert RULE.covers(address, port, what) is covered


def test_what_was_asked_for_is_there() -> None:
    rules.verify(listing(), RULE, MARK, sparing=True)
    rules.verify(listing(spare=None), RULE, MARK, sparing=False)
    assert rules.mark_of(listing()) == MARK
    assert rules.dropped(listing()) == 3


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (changed("chain", hook="input"), "hooked as"),
        (changed("chain", prio=0), "hooked as"),
        (changed("chain", policy="drop"), "hooked as"),
        (listing(chain=None), "hooked as"),
        (listing(set=None), "addresses are none"),
        (changed("set", elem=["198.51.100.2"]), "addresses are 198.51.100.2"),
        (listing(spare=None), "rules are"),
        (listing(rule=None), "rules are"),
        (changed("rule", expr=[*MATCHES[:2], COUNTER, {"drop": None}]), "a rule matches"),
        (changed("rule", expr=[*MATCHES[1:], COUNTER, {"drop": None}]), "a rule matches"),
        (changed("rule", expr=[MATCHES[0], match("tcp", "dport", 1), MATCHES[2], {"drop": None}]), "a rule matches"),
        (changed("rule", comment="something else"), "the mark is 'something else'"),
        ("", "did not answer in JSON"),
        ("[]", "did not answer in JSON"),
        ('{"nftables": 7}', "did not answer in JSON"),
    ],
)  # fmt: skip
def test_what_differs_is_said(shown: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rules.verify(shown, RULE, MARK, sparing=True)


def test_a_table_without_a_mark_or_with_two_is_not_ours() -> None:
    assert rules.mark_of(changed("rule", comment="longline pid=1")) is None
    assert rules.mark_of(listing(rule=None)) is None
    other = str(MARK).replace("4711", "4712")
    parts = json.loads(listing())
    parts["nftables"].append({"rule": {"comment": other, "expr": [{"drop": None}]}})
    assert rules.mark_of(json.dumps(parts)) is None


def test_only_names_of_our_kind_in_our_family() -> None:
    found = [("ip", "longline_1_1"), ("ip", "longline_1"), ("ip6", "longline_2_1"), ("ip", "xlongline_1_1"),
             ("ip", "filter"), ("ip", "longline_99_12")]  # fmt: skip
    text = json.dumps({"nftables": [{"metainfo": {}}, *({"table": {"family": f, "name": n}} for f, n in found)]})
    assert rules.tables(text) == ["longline_1_1", "longline_99_12"]
