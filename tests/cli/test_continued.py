"""How a grab stage is told to go on with connections. With packets: tests/integration/test_ways.py."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from stages.cli.continued import check, go_on_of, needs_setup, of_scanner
from stages.cli.sections import SECTIONS
from stages.core.bus.base import Topics
from stages.core.errors import SettingError, UsageError
from stages.core.settings import Loaded, load
from stages.net.dialing import Dialer
from stages.net.onward import Onward
from tests.cli.command import longline


def loaded(**typed: Any) -> Loaded:
    return load(SECTIONS, argv={"continue": typed}, environ={}, file=None)


def test_hits_are_read_where_everybody_reads_them_unless_they_are_continued() -> None:
    topics = Topics()
    assert of_scanner(loaded(), topics) is None
    assert of_scanner(loaded(via="raw", scanner="lab-3"), topics) == "longline.hits.lab-3.v1"
    assert of_scanner(loaded(via="adopt"), topics) == f"longline.hits.{socket.gethostname()}.v1"
    assert of_scanner(loaded(scanner="lab-3"), topics) == "longline.hits.lab-3.v1"  # its one consumer, by connect


def test_capabilities_are_asked_for_where_packets_are() -> None:
    assert not needs_setup(loaded())
    assert needs_setup(loaded(via="raw"))


async def test_an_engine_for_each_way() -> None:
    assert go_on_of(loaded(), None, capacity=10, keep_data=True) is None
    for typed in ({"via": "raw", "control_port": True}, {"via": "adopt"}, {"max_syn_per_target": "2"}):
        go_on = go_on_of(loaded(**typed), None, capacity=10, keep_data=True)
        assert go_on is not None
        engine = go_on(Dialer(lambda ended: None), lambda ended: None, lambda tag: None)
        assert isinstance(engine, Onward)
        assert engine.open == 0
        await engine.close()


@pytest.mark.parametrize(
    ("typed", "how", "words"),
    [
        ({"via": "raw"}, {"udp": True}, "has no connections to go on with"),
        ({"via": "raw"}, {"workers": 2}, "one process"),
        ({"max_syn_per_target": "9"}, {"jarm": True}, "ten connections"),
        ({"control_port": True}, {}, "--via raw"),
    ],
)
def test_what_does_not_go_together(typed: dict[str, Any], how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(loaded(**typed), **how)


@pytest.mark.parametrize(
    "typed",
    [{"scanner": "a b"}, {"held_ports": "9-8"}, {"held_ports": "0-5"}, {"held_ports": "x"}, {"max_syn_per_target": "0"},
     {"max_syn_per_target": "129"}, {"close": "no"}, {"via": "magic"}],
)  # fmt: skip
def test_bad_values(typed: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        loaded(**typed)


def test_without_a_lease_a_pipe_of_hits_is_dialled_and_says_so() -> None:
    """A hit that nobody holds: told once, and in the record; what no SYN-ACK has goes to the dead letters."""
    line = (
        '{"saddr": "127.0.0.1", "sport": 9, "daddr": "127.0.0.1", "dport": 40000, "seqnum": %d, "acknum": 2,'
        ' "window": 1024}\n'
    )
    ran = longline("bannergrab", "--via", "adopt", "-t", "1", stdin=line % 1 * 2 + line % 2**32)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("hits are dialled anew (via connect)") == 1
    assert "tcp.seq is 4294967296" in ran.stderr
    assert ran.stdout.count('"via":"connect"') == 2
    assert ran.stdout.count('"outcome":"refused"') == 2


def test_no_syn_is_left_to_dial_it() -> None:
    line = '{"saddr": "127.0.0.1", "sport": 9, "daddr": "127.0.0.1", "dport": 40000, "seqnum": 1, "acknum": 2}\n'
    ran = longline("bannergrab", "--max-syn-per-target", "1", stdin=line)
    assert ran.returncode == 0, ran.stderr
    assert '"outcome":"expired"' in ran.stdout
