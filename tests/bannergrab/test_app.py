from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.bannergrab.app import MAX_DATAGRAM, engine_of, load_payload, reader_of, script_of
from stages.bannergrab.settings import BannergrabSettings
from stages.core.errors import RecordError, UsageError
from stages.core.outcome import Outcome
from stages.core.records import Banner, Hit
from stages.proto.payload import MAX_PAYLOAD_BYTES
from tests.servers import talkers
from tests.servers.talkers import talker


def test_a_payload_file(tmp_path: Path) -> None:
    file = tmp_path / "probe"
    file.write_bytes(b"\0%s")
    assert load_payload(str(file)).render("192.0.2.1") == b"\x00192.0.2.1"


def test_the_payloads_that_come_with_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert b"%s" in load_payload("http-req").template
    assert load_payload("template:sip_options.tpl").fields is not None
    (tmp_path / "http-req").write_bytes(b"mine")
    assert load_payload("http-req").template == b"mine"
    with pytest.raises(UsageError):
        load_payload(str(tmp_path / "sub" / "http-req"))


def test_fields_in_a_payload(tmp_path: Path) -> None:
    file = tmp_path / "probe"
    file.write_bytes(b"${DADDR} %s")
    assert load_payload(str(file)).fields is None
    assert load_payload(f"template:{file}").fields is not None
    file.write_bytes(b"${SADR}")
    with pytest.raises(UsageError, match="no template field 'SADR'"):
        load_payload(f"template:{file}")
    file.write_bytes(b"x" * 65_500 + b"${RAND_BYTE=8}")
    with pytest.raises(UsageError, match="a datagram has at most"):
        script_of(BannergrabSettings(data=f"template:{file}", udp=True))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_what_is_sent_is_rendered_for_the_connection(transport: str, tmp_path: Path) -> None:
    """Both engines know their own address and port when they speak."""
    file = tmp_path / "probe"
    file.write_bytes(b"${SADDR}:${SPORT} ${DADDR}:${DPORT} ${DPORT_N}${SADDR_N}${RAND_DIGIT=9}${UNIXTIME_SEC}")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.settimeout(20)
        if transport == "tcp":
            server.listen()
        argv = ["bannergrab", "-p", str(port), "-d", f"template:{file}", "--transport", transport, "-r", "1"]
        with subprocess.Popen(
            [sys.executable, "-m", "stages.cli.main", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        ) as grab:  # fmt: skip
            assert grab.stdin is not None
            grab.stdin.write(b"127.0.0.1\n")
            grab.stdin.close()
            if transport == "tcp":
                peer, (host, theirs) = server.accept()
                with peer:
                    peer.settimeout(20)
                    data = peer.recv(4096)
            else:
                data, (host, theirs) = server.recvfrom(4096)
    head, rest = data[:-19], data[-19:]
    assert head == f"{host}:{theirs} 127.0.0.1:{port} ".encode()
    assert rest[:2] == port.to_bytes(2, "big")
    assert rest[2:6] == bytes([127, 0, 0, 1])
    assert rest[6:15].isdigit()
    assert abs(int.from_bytes(rest[15:], "big") - time.time()) < 60


@pytest.mark.parametrize("kind", ["missing", "directory", "large"])
def test_a_payload_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "probe"
    if kind == "directory":
        file.mkdir()
    elif kind == "large":
        file.write_bytes(bytes(MAX_PAYLOAD_BYTES + 1))
    with pytest.raises(UsageError) as caught:
        load_payload(str(file))
    assert caught.value.place == "-d/--data"
    assert str(file) in str(caught.value)


def test_the_script_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "probe"
    file.write_bytes(b"hello")
    script = script_of(
        BannergrabSettings(data=str(file), wait=1.5, read_timeout=2.0, idle_timeout=0.5, total_timeout=9.0, until="x+")
    )
    assert script.payload is not None
    assert script.payload.constant == b"hello"
    assert (script.wait, script.first, script.idle, script.total) == (1.5, 2.0, 0.5, 9.0)
    assert script.until is not None
    assert script_of(BannergrabSettings()).payload is None


@pytest.mark.parametrize(("size", "problem"), [(0, "empty"), (MAX_DATAGRAM + 1, "at most")])
def test_what_no_datagram_can_carry(tmp_path: Path, size: int, problem: str) -> None:
    file = tmp_path / "probe"
    file.write_bytes(bytes(size))
    with pytest.raises(UsageError, match=problem):
        script_of(BannergrabSettings(udp=True, data=str(file)))


def test_a_shared_log_holds_records_and_a_pipe_whatever_is_written() -> None:
    settings = BannergrabSettings(port=80)
    shared = reader_of(settings, shared=True, scan="s", vantage="")
    pipe = reader_of(settings, shared=False, scan="s", vantage="v")
    hit = Hit(scan="x", ts=1_700_000_000_000_000, ip="192.0.2.1", port=8080)
    assert shared(hit.dump(), 0) == pipe(hit.dump(), 0) == hit
    got = pipe(b"192.0.2.1", 5)
    assert got is not None
    assert (got.ip, got.port, got.scan, got.vantage, got.ts) == ("192.0.2.1", 80, "s", "v", 5)
    with pytest.raises(RecordError):
        shared(b"192.0.2.1", 5)
    banner = Banner(scan="s", ts=1, ip="192.0.2.1", port=80, outcome=Outcome.OK, phase="read")  # type: ignore[arg-type]
    assert shared(banner.dump(), 0) is None


async def test_the_engine_follows_the_transport() -> None:
    tcp = engine_of(BannergrabSettings())(lambda batch: None)
    udp = engine_of(BannergrabSettings(udp=True, data="x"))(lambda batch: None)
    assert [type(engine).__name__ for engine in (tcp, udp)] == ["Dialer", "UdpDialer"]
    await tcp.close()
    await udp.close()


LIMITED = """
import asyncio, json, logging, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64 if json.loads(sys.argv[2]) else 16, 64))
logging.basicConfig(format="%(message)s", stream=sys.stderr)
from tests.bannergrab.conftest import run_lines
from stages.core.records import parse

host_port, capacity, runner = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
port = host_port.rpartition(":")[2]
lines = [f"127.5.0.{i}:{port}".encode() for i in range(1, 121)]
if runner == "uvloop":
    import uvloop
    run = uvloop.run(run_lines(lines, concurrent=500, capacity=capacity, first_timeout=5.0))
else:
    run = asyncio.run(run_lines(lines, concurrent=500, capacity=capacity, first_timeout=5.0))
print(json.dumps({
    "outcomes": [parse(line).outcome for line in run.lines],
    "targets": len({parse(line).ip for line in run.lines}),
    "dead": len(run.dead), "committed": run.committed, "soft": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
}))
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("capacity", [None, 100])
def test_64_descriptors_are_enough(capacity: int | None, loop: str) -> None:
    """With the concurrency fitted, and with one that does not fit: everything is done and nothing `local` is stored."""
    pytest.importorskip("resource")
    with talker(talkers.say(b"hello"), "0.0.0.0", backlog=1024) as (_, port):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, f"x:{port}", json.dumps(capacity), loop],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["outcomes"] == ["ok"] * 120
    assert (got["targets"], got["dead"], got["committed"]) == (120, 0, 120)
    if capacity is None:
        assert got["soft"] == 64
        assert "500 connections at once do not fit into 64 file descriptors" in done.stderr
