"""ICMP errors from a real kernel behind a veth pair, as the records tell them."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from tests.require import require
from tests.servers.veth import veth

RULES = """
table inet test {
    chain input {
        type filter hook input priority 0;
        ip daddr 10.1.0.1 reject with icmp type host-unreachable
        ip daddr 10.1.0.3 reject with icmp type port-unreachable
        ip daddr 10.1.0.13 reject with icmp type admin-prohibited
        ip daddr 10.1.1.1 reject with tcp reset
        ip daddr 10.1.1.2 drop
        ip daddr 10.1.1.3 tcp flags & psh == psh reject with icmp type host-unreachable
    }
}
"""

PORT = "4443"

EXPECTED = {
    "10.1.0.1": ("unreachable", "connect", "EHOSTUNREACH", (3, 1)),
    "10.1.0.3": ("unreachable", "connect", "ECONNREFUSED", (3, 3)),
    "10.1.0.13": ("unreachable", "connect", "EHOSTUNREACH", (3, 13)),
    "10.1.1.1": ("refused", "connect", "ECONNREFUSED", None),
    "10.1.1.2": ("timeout", "connect", None, None),
    "10.1.1.3": ("unreachable", "hello", "EHOSTUNREACH", None),
    "10.1.1.4": ("silent", "hello", None, None),
}


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, object]]:
    require(shutil.which("nft") is not None, "needs nftables")
    with veth() as made:
        made.far("nft", "-f", "-", input=RULES)
        with made.program(made.far_pid, sys.executable, "tests/servers/listener.py", PORT, ready="ready"):
            done = made.near(sys.executable, "-m", "tests.servers.tls_once", PORT, *EXPECTED)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {record["ip"]: record for record in records}


@pytest.mark.parametrize("host", EXPECTED)
def test_each_is_told_as_the_kernel_told_it(told: dict[str, dict[str, object]], host: str) -> None:
    outcome, phase, errno, icmp = EXPECTED[host]
    record = told[host]
    assert (record["outcome"], record["phase"], record["errno"]) == (outcome, phase, errno)
    found = record["icmp"]
    assert (None if found is None else (found["type"], found["code"])) == icmp  # type: ignore[index]
