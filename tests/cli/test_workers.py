"""One stage in several processes."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
from pathlib import Path
from zlib import crc32

import pytest

from stages.cli.sections import SECTIONS
from stages.cli.workers import Dealer, shares
from stages.core.errors import SettingError
from stages.core.intake import LineReader
from stages.core.layers import Loaded
from stages.core.settings import load
from tests.cli.command import argv, longline
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import hold, talker
from tests.tlsgrab.test_stage import tls


def loaded(**sections: dict[str, object]) -> Loaded:
    return load(SECTIONS, argv=sections, environ={}, file=None)


def dealer(workers: int = 4) -> Dealer:
    return Dealer(LineReader(443, ""), workers)


@pytest.mark.parametrize(
    "lines",
    [
        [b"192.0.2.1", b"192.0.2.9:443", b"192.0.2.1,443,a.test", b"192.0.2.255,a.test", b"192.0.2.7 # why"],
        [b"2001:db8::1", b"[2001:db8::2]:443", b"2001:db8::ffff,443,a.test"],
        [b'{"saddr": "192.0.2.1", "sport": 443}', b"192.0.2.1"],
    ],
)
def test_a_network_belongs_to_one(lines: list[bytes]) -> None:
    deal = dealer(64)
    assert len({deal.owner(line) for line in lines}) == 1


def test_networks_are_spread() -> None:
    deal = dealer(4)
    owners = [deal.owner(b"10.0.%d.1" % number) for number in range(256)]
    assert {owners.count(worker) for worker in range(4)} <= set(range(40, 90))
    assert owners[0] == crc32(b"10.0.0") % 4


def test_headers_go_to_everybody_and_nonsense_to_the_first() -> None:
    deal = dealer(64)
    assert deal.owner(b"192.0.2.999999") == 0
    before = deal.owner(b"192.0.2.1")
    assert deal.owner(b"sport,saddr") is None
    assert deal.owner(b"443,192.0.2.1") == before, "under a header the columns stand otherwise"
    assert deal.owner(b"what,is,this") == 0
    assert deal.owner(b"# a comment") is None


def test_what_is_allowed_to_all_is_shared_out() -> None:
    whole = loaded(
        tlsgrab={"concurrent": "500", "workers": "3"}, politeness={"rate": "90", "per_host": "2"},
        metrics={"listen": "127.0.0.1:9000"},
    )  # fmt: skip
    each = [shares(whole, "tlsgrab", number, 3) for number in range(3)]
    assert [one.section("tlsgrab").concurrent for one in each] == [167] * 3
    assert [one.section("tlsgrab").workers for one in each] == [1] * 3
    assert [one.section("politeness").rate for one in each] == [30.0] * 3
    assert [one.section("politeness").per_host for one in each] == [2] * 3
    assert [one.section("metrics").listen for one in each] == [f"127.0.0.1:{port}" for port in (9000, 9001, 9002)]
    of_log = loaded(bus={"url": "kafka://127.0.0.1:9"}, politeness={"rate": "90"})
    assert shares(of_log, "tlsgrab", 0, 3).section("politeness").rate == 90.0, "by its partitions"
    with pytest.raises(SettingError, match="no ports"):
        shares(loaded(metrics={"listen": "127.0.0.1:65535"}), "tlsgrab", 0, 2)


def test_a_log_of_one_process_is_refused(tmp_path: Path) -> None:
    ran = longline("tlsgrab", "--workers", "2", "--bus", f"sqlite:{tmp_path / 'x.db'}")
    assert ran.returncode == 2
    assert "one process a stage" in ran.stderr


@pytest.mark.parametrize("by", ["pipe", "file"])
def test_together_they_do_what_one_does(tmp_path: Path, by: str) -> None:
    """Every line once, under a header, a bad one too; one name for the run."""
    context = server_context(identity(), ssl.TLSVersion.TLSv1_2)
    with talker(tls(context), "0.0.0.0") as (_, port):
        hosts = [f"127.9.{number}.{number % 3 + 1}" for number in range(60)]
        text = "sport,saddr\n" + "".join(f"{port},{host}\n" for host in hosts) + "no,address\n"
        words = ("tlsgrab", "--workers", "3", "--no-default-blocklist", "--per-prefix", "0")
        if by == "pipe":
            ran = longline(*words, stdin=text)
        else:
            (tmp_path / "lines").write_text(text)
            with (tmp_path / "lines").open() as lines:
                done = subprocess.run(
                    argv(*words), stdin=lines, capture_output=True, text=True, timeout=90, check=False,
                    env={**os.environ, "LONGLINE_CONFINE": "1"},
                )  # fmt: skip
            ran = done
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert sorted(record["ip"] for record in records) == sorted(hosts)
    assert {record["outcome"] for record in records} == {"ok"}
    assert len({record["scan"] for record in records}) == 1
    (letter,) = (json.loads(line) for line in ran.stderr.splitlines() if line.startswith('{"kind":"dead"'))
    assert letter["reason"] == "target"


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_them_all(how: signal.Signals) -> None:
    with talker(hold(), "0.0.0.0") as (_, port):
        process = subprocess.Popen(
            argv("tlsgrab", "--workers", "2", "--no-default-blocklist", "-r", "60", "--drain-deadline", "1"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(b"".join(b"127.9.%d.1:%d\n" % (number, port) for number in range(20)))
        process.stdin.flush()
        try:
            end = time.monotonic() + 60
            workers: list[int] = []
            while len(workers) < 2 or not all(sockets_of(pid) for pid in workers):
                assert time.monotonic() < end
                time.sleep(0.05)
                workers = children(process.pid)
            process.send_signal(how)
            process.wait(30)
            assert process.returncode == (128 + how if how is signal.SIGTERM else -how)
            while any(map(alive, workers)):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            process.kill()
            process.communicate()


def sockets_of(pid: int) -> int:
    """How many sockets it has open: more than none when it has begun."""
    count = 0
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            count += os.readlink(entry).startswith("socket:")
    except OSError:
        return 0
    return max(0, count - 2)  # the loop's own pair


def test_a_reader_that_goes_ends_it_quietly() -> None:
    context = server_context(identity(), ssl.TLSVersion.TLSv1_2)
    with talker(tls(context), "0.0.0.0") as (_, port):
        text = "".join(f"127.9.{number}.1:{port}\n" for number in range(100))
        one = subprocess.Popen(
            argv("tlsgrab", "--workers", "2", "--no-default-blocklist"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
        assert one.stdout is not None
        one.stdout.close()
        one.stdout = None
        _, said = one.communicate(text, timeout=90)
    assert one.returncode != 0
    assert "Traceback" not in said


def test_a_worker_that_dies_is_told() -> None:
    with talker(hold(), "0.0.0.0") as (_, port):
        process = subprocess.Popen(
            argv("tlsgrab", "--workers", "2", "--no-default-blocklist", "-r", "2"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "LONGLINE_CONFINE": "1"},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(b"127.9.0.1:%d\n" % port)
        process.stdin.flush()
        try:
            end = time.monotonic() + 60
            workers: list[int] = []
            while len(workers) < 2:
                assert time.monotonic() < end
                time.sleep(0.05)
                workers = children(process.pid)
            os.kill(workers[1], signal.SIGKILL)
            process.stdin.close()
            process.stdin = None
            process.wait(60)
            assert process.returncode == 128 + signal.SIGKILL
        finally:
            process.kill()
            process.communicate()
