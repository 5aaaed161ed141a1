"""Connections that the scan goes on with hear what ordinary ones hear, of servers that talk in every hard way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.continued import Heard, Words, by_connect, by_scan, sysctl, watched
from tests.servers import nasty
from tests.servers.faults import faulty
from tests.servers.nasty import PORTS, SAID
from tests.servers.veth import Veth, veth

#: Where the engine has yet to be compiled, and loss is waited for as TCP waits.
pytestmark = pytest.mark.timeout(900)

#: Four addresses; every server answers at each of them.
TARGETS = "10.50.0.0/30"
HOSTS = [f"10.50.0.{n}" for n in range(4)]

#: A request that is longer than the smallest segment.
REQUEST = b"tell me " * 40 + b"\n"
LISTENING = Words(None)
ASKING = Words(REQUEST)
STUFFING = Words(nasty.pattern(nasty.STUFFING, 3), read=15.0)

#: Who speaks first, who is asked, and who is stuffed.
FIRST = ("drip", "short", "tiny-mss-long", "fin-with-data", "half-close", "keepalive", "late", "empty", "reset")
ASKED = ("tiny-mss", "echo", "at-once", "mute")

#: What the kernel of the far side is set to.
KERNELS = {
    "as it comes": {},
    "no options": {"tcp_window_scaling": 0, "tcp_timestamps": 0, "tcp_sack": 0},
    "huge scale": {"tcp_rmem": "4096 131072 1073741824"},
    "SYN cookies": {"tcp_syncookies": 2},
    "SYN cookies, no timestamps": {"tcp_syncookies": 2, "tcp_timestamps": 0},
}


@contextmanager
def serving(net: Veth) -> Iterator[Veth]:
    with net.program(net.far_pid, sys.executable, "-m", "tests.servers.nasty", ready="ready"):
        yield net


@pytest.fixture(scope="module")
def net() -> Iterator[Veth]:
    with veth() as pair, serving(pair):
        yield pair


def keys(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(host, PORTS[name]) for host in HOSTS for name in names]


def check(heard: Heard, names: tuple[str, ...], words: Words, via: str) -> None:
    """Every record is there, and says the truth."""
    assert heard.records.keys() == set(keys(names)), heard.told
    for host in HOSTS:
        for name in names:
            record, data = heard.records[host, PORTS[name]], heard.data((host, PORTS[name]))
            said = SAID.get(name, b"echo: " + (words.payload or b""))
            told = {key: value for key, value in record.items() if key != "data"}
            pairs = enumerate(zip(data, said, strict=False))
            same = next((n for n, (a, b) in pairs if a != b), min(len(data), len(said)))
            assert data == said[: words.most], f"{name}: {len(data)} bytes, right up to {same}: {told}"
            expected = {"mute": "silent", "empty": "empty", "reset": "reset"}.get(name, "ok")
            assert record["outcome"] == expected, f"{name}: {told}"
            assert record.get("via", "connect") == via, record


def ports(names: tuple[str, ...]) -> list[int]:
    return [PORTS[name] for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("close", ["fin", "rst"])
def test_raw_hears_what_connect_hears(net: Veth, tmp_path: Path, kernel: str, close: str) -> None:
    before = {name: net.far("sysctl", "-n", f"net.ipv4.{name}").stdout.strip() for name in KERNELS[kernel]}
    sysctl(net, KERNELS[kernel])
    try:
        for names, words in ((FIRST, LISTENING), (ASKED, ASKING), (("zero-window",), STUFFING)):
            with watched(net, tmp_path, finished=False) as judged:
                raw = by_scan(net, tmp_path, TARGETS, ports(names), words, "--close", close)
            assert judged.wrong == []
            assert len(judged.flows) == len(keys(names))
            assert [flow for flow in judged.flows.values() if flow.packets < 2] == []
            assert (judged.resets > 0) == (close == "rst") or names == FIRST
            check(raw, names, words, "raw")
            connect = by_connect(net, tmp_path, keys(names), words)
            check(connect, names, words, "connect")
            assert {key: raw.gist(key) for key in raw.records} == {key: connect.gist(key) for key in connect.records}
    finally:
        sysctl(net, before)


@pytest.mark.slow
def test_a_megabyte(net: Veth, tmp_path: Path) -> None:
    """In windows of ours, each of which is respected, and opened again as it is read."""
    words = Words(None, most=700_000)
    with watched(net, tmp_path, finished=False) as judged:
        raw = by_scan(net, tmp_path, TARGETS, [PORTS["megabyte"]], words)
    assert judged.wrong == []
    connect = by_connect(net, tmp_path, keys(("megabyte",)), words)
    for heard in (raw, connect):
        assert heard.records.keys() == set(keys(("megabyte",)))
        for key in heard.records:
            assert heard.data(key) == SAID["megabyte"][: words.most]
            assert heard.records[key]["truncated"]


#: Shares of packets, in both directions. What is late comes behind four or so that were sent after it.
PATHS = {
    "clean": {},
    "loss": {"loss": 0.05},
    "reorder": {"reorder": 0.25, "late": 0.004},
    "duplicate": {"duplicate": 0.3},
    "delay": {"delay": 0.08},
    "corrupt": {"corrupt": 0.05},
    "everything": {"loss": 0.02, "reorder": 0.1, "late": 0.02, "duplicate": 0.1, "corrupt": 0.02, "delay": 0.02},
}


#: What is said on such a path, and to whom. Nothing is given up before TCP would give it up.
SPEECHES = {
    "listening": (("drip", "tiny-mss-long", "fin-with-data", "late"), Words(None, read=20.0, idle=20.0, total=90.0)),
    "asking": (("echo", "tiny-mss", "at-once"), Words(REQUEST, read=20.0, idle=3.0, total=60.0)),
    "stuffing": (("zero-window",), Words(STUFFING.payload, read=40.0, idle=10.0, total=90.0)),
    "a lot": (("megabyte",), Words(None, read=20.0, idle=20.0, total=90.0, most=200_000)),
}


@pytest.mark.slow
@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize("path", PATHS)
def test_a_path_with_faults(tmp_path: Path, path: str, speech: str) -> None:
    """Nothing that TCP promises is broken by a path that keeps none."""
    names, words = SPEECHES[speech]
    with faulty(**PATHS[path]) as pair, serving(pair):
        with watched(pair, tmp_path, finished=True) as judged:
            raw = by_scan(pair, tmp_path, TARGETS, ports(names), words, "--close", "fin", "--retries", "3")
        assert judged.wrong == []
        check(raw, names, words, "raw")


@pytest.mark.slow
def test_another_connection_lives_on(net: Veth, tmp_path: Path) -> None:
    """A session of this host's kernel through the same interface, to a host that is scanned, on a port that is."""
    session = (sys.executable, "-m", "tests.servers.session", HOSTS[0], str(PORTS["hold"]))
    with net.program(net.near_pid, *session, ready="ready", ask=True) as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None

        def echo(word: str) -> None:
            assert talk.stdin is not None
            assert talk.stdout is not None
            talk.stdin.write(word + "\n")
            talk.stdin.flush()
            assert talk.stdout.readline() == word + "\n"

        echo("before")
        with watched(net, tmp_path, finished=False) as judged:
            for turn in range(2):
                words = Words(b"hello\n", read=3.0, total=6.0)
                heard = by_scan(net, tmp_path, TARGETS, [PORTS["hold"], PORTS["short"]], words)
                assert heard.data((HOSTS[0], PORTS["hold"])) == b"hello\n"
                echo(f"after scan {turn}")
        assert judged.wrong == []
        echo("at the end")
