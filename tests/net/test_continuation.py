"""The engine against a real kernel's TCP, in namespaces."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from errno import ECONNRESET
from typing import Any

import pytest

from stages.net import confine, ended
from stages.net.continuation import Continuation, Link
from tests.require import require
from tests.servers.tcp_says import BIG, LINE, MUCH
from tests.servers.veth import Veth, veth

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)

#: Until the lease of `net.firewall`: our kernel does not see what comes to our ports.
QUIET = """
add table inet quiet
add chain inet quiet early { type filter hook prerouting priority raw; }
add rule inet quiet early tcp dport 40000-59999 drop
"""
BASE = 10 << 24
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft"), "needs nftables")
    with veth() as made:
        made.near("nft", "-f", "-", input=QUIET)
        with made.program(made.far_pid, sys.executable, "-m", "tests.servers.tcp_says", ready="ready"):
            yield made


def go_on(pair: Veth, **asked: Any) -> dict[str, Any]:
    # Other addresses each time: the far kernel still knows the connections of the last one (TIME-WAIT).
    asked = {"count": 20, "base": BASE + (next(_numbers) << 16) + 1} | asked
    told: dict[str, Any] = json.loads(
        pair.near(sys.executable, "-m", "tests.servers.continue_once", input=json.dumps(asked), timeout=600).stdout
    )
    assert told["error"] is None
    assert told["finished"]
    assert told["half"] == asked["count"]
    assert told["left"] == 0
    assert sorted(row["tag"] for row in told["told"]) == list(range(told["half"]))
    return told


@pytest.mark.parametrize("close", ["fin", "rst"])
@pytest.mark.parametrize("stamps", [False, True])
def test_a_payload_and_its_answer(pair: Veth, close: str, stamps: bool) -> None:
    told = go_on(pair, port=7001, fixed={"payload": LINE.decode()}, close=close, stamps=stamps)
    for row in told["told"]:
        assert row["text"] == "you said: " + LINE.decode().splitlines(keepends=True)[0]
        assert (row["closed_by"], row["failed"], row["phase"], row["sent"], row["acked"]) == (
            ended.PEER, 0, ended.READ, len(LINE), len(LINE),
        )  # fmt: skip
        assert 0 < row["connected"] <= row["first_byte"] <= row["ended"] < 60
    assert told["counters"]["opened"] == 20


def test_a_server_that_speaks_first_is_heard_and_left(pair: Veth) -> None:
    told = go_on(pair, port=7002, fixed={"idle": 0.2})
    for row in told["told"]:
        assert (row["text"], row["closed_by"], row["timed_out"]) == ("hello\r\n", ended.US, 1)
    assert not pair.far("ss", "-Htn", "state", "established", "( sport = :7002 )").stdout


@pytest.mark.parametrize("options", ["", "020405b4"])
def test_a_mebibyte(pair: Veth, options: str) -> None:
    more = {"options": options} if options else {}
    told = go_on(pair, port=7003, count=4, fixed={"idle": 10, "first": 20, "max_bytes": 1 << 21}, **more)
    for row in told["told"]:
        assert (row["size"], row["sha"]) == (len(BIG), hashlib.sha256(BIG).hexdigest())
        assert row["closed_by"] == ended.PEER


def test_no_more_than_asked_for(pair: Veth) -> None:
    told = go_on(pair, port=7003, count=4, fixed={"max_bytes": 1000})
    for row in told["told"]:
        assert (row["size"], row["truncated"], row["closed_by"]) == (1000, 1, ended.US)
        assert row["sha"] == hashlib.sha256(BIG[:1000]).hexdigest()


def test_byte_by_byte(pair: Veth) -> None:
    for row in go_on(pair, port=7004, fixed={"idle": 10})["told"]:
        assert row["text"] == "".join(chr(65 + i % 26) for i in range(50))


def test_a_reset_in_the_middle_keeps_what_came(pair: Veth) -> None:
    for row in go_on(pair, port=7005, fixed={"payload": LINE.decode()})["told"]:
        assert (row["text"], row["failed"], row["errno"]) == ("partial", 1, ECONNRESET)


def test_silence(pair: Veth) -> None:
    for row in go_on(pair, port=7006, fixed={"payload": "x", "first": 0.5})["told"]:
        assert (row["size"], row["timed_out"], row["phase"], row["acked"]) == (0, 1, ended.READ, 1)


def test_a_window_that_shuts(pair: Veth) -> None:
    told = go_on(pair, port=7007, count=3, fixed={"payload": "m" * MUCH, "first": 40, "total": 60, "idle": 5})
    for row in told["told"]:
        assert row["text"] == hashlib.sha256(b"m" * MUCH).hexdigest()


def test_dialogues_that_are_objects(pair: Veth) -> None:
    told = go_on(pair, port=7001, mode="talk", first=LINE.decode(), count=300)
    for row in told["told"]:
        assert row["text"] == "you said: " + LINE.decode().splitlines(keepends=True)[0]
        assert (row["closed_by"], row["failed"], row["phase"], row["sent"]) == ("peer", False, "read", len(LINE))
        assert row["fault"] is None
        assert row["introduced"][0] == "198.51.100.2"
        assert 0 < row["connected"] <= row["first_byte"] <= row["ended"]


def test_an_object_that_has_enough(pair: Veth) -> None:
    for close in ("fin", "rst"):
        for row in go_on(pair, port=7003, mode="talk", count=4, enough=100_000, close=close)["told"]:
            assert row["closed_by"] == "us"
            assert row["size"] >= 100_000


def test_half_open_connections_are_reset(pair: Veth) -> None:
    asked = {"count": 50, "base": BASE + 1, "port": 7001, "mode": "reset", "fixed": {}}
    pair.near(sys.executable, "-m", "tests.servers.continue_once", input=json.dumps(asked), timeout=600)
    assert not pair.far("ss", "-Htn", "state", "syn-recv").stdout


def test_it_is_confined() -> None:
    with pytest.raises(confine.ConfinedError):
        Continuation(Link("eth9"), (40_000, 40_001))
