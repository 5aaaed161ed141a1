"""The stage inside the real runner, against real servers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.bannergrab.app import make_stage
from stages.bannergrab.settings import BannergrabSettings
from stages.core.bus.base import Topics
from stages.core.errors import Confined, RecordError
from stages.core.outcome import DeadReason, Outcome
from stages.core.records import Banner, Hit, parse
from stages.net import confine
from stages.proto.dialogues.base import Target
from stages.proto.dialogues.http import request
from tests.servers import talkers
from tests.servers.talkers import fresh_address, nobody, talker

Grab = Callable[..., Any]


def banners(lines: list[bytes]) -> dict[tuple[str, int], Banner]:
    records = [parse(line) for line in lines]
    assert all(isinstance(record, Banner) for record in records)
    return {(record.ip, record.port): record for record in records}  # type: ignore[union-attr,misc]


def line(target: tuple[str, int]) -> bytes:
    return f"{target[0]}:{target[1]}".encode()


async def test_every_outcome_is_told_apart(grab: Grab) -> None:
    with (
        talker(talkers.hold(b"220 ok\r\n")) as ok,
        talker(talkers.say()) as empty,
        talker(talkers.hold()) as silent,
        talker(talkers.reset) as reset,
        talker(talkers.say_then_reset(b"bye")) as late_reset,
        talker(talkers.half_close(b"half")) as half,
        talker(talkers.flood) as flood,
        nobody() as refused,
        talkers.full() as slow,
    ):
        targets = [ok, empty, silent, reset, late_reset, half, flood, refused, slow]
        run = await grab([line(target) for target in targets], conn_timeout=0.5, conn_timeout_min=0.5)
    got = banners(run.lines)
    expected = {
        ok: ("ok", "read"),
        empty: ("empty", "read"),
        silent: ("silent", "read"),
        reset: ("reset", "read"),
        late_reset: ("reset", "read"),
        half: ("ok", "read"),
        flood: ("ok", "read"),
        refused: ("refused", "connect"),
        slow: ("timeout", "connect"),
    }
    assert {target: (got[target].outcome, got[target].phase) for target in targets} == expected
    assert got[ok].data == b"220 ok\r\n"
    assert got[late_reset].data == b"bye"
    assert got[late_reset].errno == "ECONNRESET"
    assert got[refused].errno == "ECONNREFUSED"
    assert (got[flood].truncated, len(got[flood].data)) == (True, 65_536)
    assert got[half].data == b"half"
    assert run.summary.done == len(targets)
    assert run.committed == len(targets)
    assert run.dead == []


async def test_the_payload_names_the_target(grab: Grab, tmp_path: Path) -> None:
    payload = tmp_path / "http-req"
    payload.write_bytes(b"GET /%% HTTP/1.1\r\nHost: %s\r\nX: \0%s\r\n\r\n")
    with talker(talkers.answer(b"")) as target, talker(talkers.answer(b""), "::1") as six:
        run = await grab([line(target), b"[::1]:%d" % six[1]], data=str(payload))
    got = banners(run.lines)
    host = target[0].encode()
    assert got[target].data == b"GET /% HTTP/1.1\r\nHost: " + host + b"\r\nX: \0" + host + b"\r\n\r\n"
    assert got[target].sent == len(got[target].data)
    assert got[six].data == b"GET /% HTTP/1.1\r\nHost: ::1\r\nX: \0::1\r\n\r\n"
    assert got[target].probe.startswith("send:")


async def test_wait_then_send_and_until(grab: Grab, tmp_path: Path) -> None:
    payload = tmp_path / "probe"
    payload.write_bytes(b"HELP\r\n\r\n")
    with talker(talkers.hold(b"220 first\r\n")) as speaks, talker(talkers.answer(b"214 ")) as waits:
        run = await grab(
            [line(speaks), line(waits)],
            data=str(payload),
            wait=0.2,
            first_timeout=3.0,
            idle_timeout=5.0,
            until=r"\r\n$",
        )
    got = banners(run.lines)
    assert (got[speaks].data, got[speaks].sent) == (b"220 first\r\n", 0)
    assert (got[waits].data, got[waits].sent) == (b"214 HELP\r\n\r\n", 8)
    assert all(record.ended is not None and record.ended < 3.0 for record in got.values())


async def test_blocked_at_intake_is_never_dialled(grab: Grab) -> None:
    dialled: list[object] = []
    with talker(dialled.append) as target:
        run = await grab([line(target)], blocked=lambda ip: True)
    record = banners(run.lines)[target]
    assert (record.outcome, record.phase) == (Outcome.BLOCKED, "connect")
    assert dialled == []
    assert run.summary.answered == 1


async def test_blocked_between_intake_and_dial_is_never_dialled(grab: Grab) -> None:
    dialled: list[object] = []
    answers = itertools.chain([False], itertools.repeat(True))
    with talker(dialled.append) as target:
        run = await grab([line(target)], blocked=lambda ip: next(answers))
    record = banners(run.lines)[target]
    assert record.outcome is Outcome.BLOCKED
    assert dialled == []
    assert run.summary.done == 1


@pytest.mark.parametrize("name", ["hex", "ascii", "base64"])
async def test_lines_as_banner_grab_printed_them(grab: Grab, name: str) -> None:
    with talker(talkers.hold(b"hi\n")) as ok, talker(talkers.hold()) as silent, nobody() as refused:
        run = await grab([ok[0].encode(), line(silent), line(refused)], port=ok[1], format=name)
        blocked = await grab([line(ok)], blocked=lambda ip: True, format=name)
    text = {"hex": b"68690a", "ascii": b"hi\\n", "base64": b"aGkK"}[name]
    assert sorted(run.lines) == sorted([ok[0].encode() + b" " + text, line(silent) + b" X"])
    assert run.committed == 3
    assert blocked.lines == []


async def test_bad_lines_are_dead_and_the_rest_goes_on(grab: Grab) -> None:
    with talker(talkers.say(b"fine")) as target:
        run = await grab([b"not an address", line(target), b"192.0.2.1", b"192.0.2.1:0", b"# a comment", b"ip,port"])
    assert [record.data for record in banners(run.lines).values()] == [b"fine"]
    assert [output.value for output in run.dead] == [b"not an address", b"192.0.2.1", b"192.0.2.1:0"]
    assert run.committed == 6


def stage(**settings: Any) -> Any:
    shared = settings.pop("shared", True)
    return make_stage(
        BannergrabSettings(**settings), topics=Topics(), shared=shared, blocked=lambda ip: False, scan="pipe"
    )


def hit(**fields: Any) -> Hit:
    return Hit(**{"scan": "s", "ts": 1_700_000_000_000_000, "ip": "192.0.2.1", "port": 80, **fields})


def test_what_is_ours_on_a_shared_log() -> None:
    ours = stage()
    assert ours.decode(hit().dump()) == hit()
    for other in (
        hit(port=443),
        hit(success=False),
        hit(repeat=True),
        hit(transport="udp"),
        hit(transport="icmp", port=0),
        Banner(scan="s", ts=1, ip="192.0.2.1", port=80, outcome=Outcome.OK, phase="read"),  # type: ignore[arg-type]
    ):
        assert ours.decode(other.dump()) is None
    assert stage(ports="443").decode(hit(port=443).dump()) == hit(port=443)
    assert stage(ports="443").decode(hit(port=80).dump()) is None
    assert ours.target(hit()) == "192.0.2.1"


def test_a_pipe_is_taken_whole() -> None:
    ours = stage(shared=False, port=443)
    assert ours.decode(b"192.0.2.1").port == 443
    assert ours.decode(b"192.0.2.1").scan == "pipe"
    assert stage(shared=False, port=80, ports="80").decode(b"192.0.2.1:443") is None


def test_port_0_cannot_be_dialled() -> None:
    with pytest.raises(RecordError) as caught:
        stage().decode(hit(port=0).dump())
    assert caught.value.reason is DeadReason.TARGET


async def test_confined_is_our_own_fault_and_never_a_record(grab: Grab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    with pytest.raises(Confined, match=confine.VARIABLE):
        await grab([b"192.0.2.1:80"])


async def test_cancel_drops_what_is_in_flight() -> None:
    ours = stage(shared=False, port=80, first_timeout=60.0)

    class Job:
        record = hit(ip=fresh_address())
        finished = False

        def done(self, *anything: object) -> None:
            self.finished = True

        dead = local = later = done

    with talker(talkers.hold()) as target:
        job = Job()
        job.record = hit(ip=target[0], port=target[1])
        await ours.start()
        ours.take([job])
        await asyncio.sleep(0.05)
        assert ours._metrics.open.value == 1
        ours.cancel()
        assert ours._metrics.open.value == 0
        await asyncio.sleep(0.05)
        assert not job.finished
        await ours.close()
        await ours.close()


async def test_named_dialogues(grab: Grab) -> None:
    greeting = b"220 mail.example ESMTP\r\n"
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    with (
        talker(talkers.hold(page)) as http,
        talker(talkers.hold(greeting)) as smtp,
        talker(talkers.hold(b"SSH-2.0-x\r\n\xff\xff\xff\xff")) as broken,
        talker(talkers.flood) as flood,
        talker(talkers.say()) as empty,
        nobody() as refused,
    ):
        targets = [http, smtp, broken, flood, empty, refused]
        run = await grab([line(target) for target in targets], talk="identify")
    got = banners(run.lines)
    assert {target: (got[target].outcome, got[target].service) for target in targets} == {
        http: (Outcome.OK, "http"),
        smtp: (Outcome.OK, "smtp"),
        broken: (Outcome.PROTOCOL, "ssh"),
        flood: (Outcome.OK, None),
        empty: (Outcome.EMPTY, None),
        refused: (Outcome.REFUSED, None),
    }
    assert {record.probe for record in got.values()} == {"identify"}
    assert got[http].facts == {"said_first": True, "version": "1.1", "status": 200, "body": 2, "whole": True}
    assert got[http].data == page
    smtp_facts = got[smtp].facts
    assert smtp_facts is not None
    assert smtp_facts["greeting"] == "mail.example ESMTP"
    assert got[flood].truncated
    assert got[empty].facts is None


async def test_the_target_s_name_is_asked_for(grab: Grab) -> None:
    with talker(talkers.answer(b"HTTP/1.0 204 No Content\r\n\r\n")) as target:
        run = await grab([b"%s,%d,a.example" % (target[0].encode(), target[1])], talk="http")
    (record,) = banners(run.lines).values()
    assert (record.name, record.outcome, record.probe) == ("a.example", Outcome.OK, "http")
    assert record.sent == len(request(Target(target[0], target[1], "a.example")))
