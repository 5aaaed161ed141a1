"""Lines made from rows are those that the record class dumps of the same conversations."""

from __future__ import annotations

import dataclasses
import errno
import math
import socket
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.bannergrab.endings import banner_of, outcome_of
from stages.bannergrab.lines import BannerLines, Common
from stages.core import records
from stages.core.outcome import Outcome
from stages.core.records import Banner, Hit, prefix_key
from stages.net.conversation import Conversation
from stages.net.ended import ENDED, PEER, PHASES, READ, US, WRITE, Ended
from stages.net.linebatch import LineBatch
from stages.proto.banner import Script

COMMON = Common("a scan", 'Zürich "1"', "tcp_synscan", "send:535c22c37c25", asked=True)
STARTED = 1_795_245_000_000_001
PEER_ADDRESS = 0x0A000107


def batch(*rows: tuple[dict[str, Any], bytes]) -> Ended:
    """Rows of ENDED that read 10.0.1.7:80, with the fields given instead, and their bytes."""
    made, data = np.zeros(len(rows), ENDED), b""
    usual = {
        "started": STARTED, "connected": 0.25, "first_byte": 0.5, "ended": 0.75, "sent": 20, "acked": 20,
        "peer": PEER_ADDRESS, "peer_port": 80, "ours": 0xC6336402, "own_port": 40_000, "phase": READ, "left_host": 1,
        "closed_by": PEER,
    }  # fmt: skip
    for row, (fields, body) in zip(made, rows, strict=True):
        for name, value in {**usual, **fields}.items():
            row[name] = value
        row["data_at"], row["data_size"], row["size"] = len(data), len(body), len(body)
        data += body
    return Ended(made, data)


def by_the_record(ended: Ended, common: Common = COMMON) -> list[tuple[Outcome, Banner]]:
    """The same conversations by way of bannergrab's endings."""
    made = []
    for row in ended.rows:
        ip = socket.inet_ntoa(int(row["peer"]).to_bytes(4, "big"))
        conversation = Conversation(ip, int(row["peer_port"]), Script().begin(ip), None, 0.0, 100)
        conversation.via = "raw"
        conversation.started = int(row["started"])
        for name in ("connected", "first_byte", "ended"):
            setattr(conversation, name, None if math.isnan(row[name]) else float(row[name]))
        body = ended.body(row)
        conversation.data = [body] if body else []
        conversation.size, conversation.sent = len(body), int(row["sent"])
        conversation.phase = PHASES[int(row["phase"])]  # type: ignore[assignment]
        conversation.errno = int(row["errno"]) or None
        conversation.failed, conversation.timed_out = bool(row["failed"]), bool(row["timed_out"])
        conversation.truncated, conversation.left_host = bool(row["truncated"]), bool(row["left_host"])
        if row["has_icmp"]:
            sender = int(row["icmp_sender"])
            text = socket.inet_ntoa(sender.to_bytes(4, "big")) if sender else ""
            conversation.icmp = (int(row["icmp_type"]), int(row["icmp_code"]), text)
        conversation.control = bool(row["control"]) if common.asked else None
        hit = Hit(common.scan, 0, ip, int(row["peer_port"]), vantage=common.vantage, probe=common.hit_probe)
        outcome = outcome_of(conversation)
        made.append((outcome, banner_of(conversation, hit, outcome, common.probe, "tcp")))
    return made


def check(ended: Ended, common: Common = COMMON) -> list[Outcome]:
    keyed, outcomes = BannerLines(common).lines(ended)
    wanted = by_the_record(ended, common)
    told = [(outcome, banner) for outcome, banner in wanted if outcome is not Outcome.LOCAL]
    assert [records.parse(line) for _, line in keyed] == [banner for _, banner in told]
    for (key, line), (_, banner) in zip(keyed, told, strict=True):
        assert key == prefix_key(banner.ip)
        assert orjson.loads(line) == orjson.loads(banner.dump())
        assert list(orjson.loads(line)) == list(orjson.loads(banner.dump()))  # and in its order
    for outcome in Outcome:
        assert outcomes.get(outcome, 0) == sum(each is outcome for each, _ in wanted)
    return [outcome for outcome, _ in wanted]


@pytest.mark.parametrize(
    ("fields", "body", "outcome"),
    [
        ({}, b"SSH-2.0-x\r\n", Outcome.OK),
        ({"truncated": 1, "closed_by": US}, b"x" * 1000, Outcome.OK),
        ({"timed_out": 1, "closed_by": US}, b"x", Outcome.OK),
        ({"first_byte": math.nan}, b"", Outcome.EMPTY),
        ({"first_byte": math.nan, "timed_out": 1}, b"", Outcome.SILENT),
        ({"first_byte": math.nan, "timed_out": 1, "phase": WRITE, "acked": 0}, b"", Outcome.SILENT),
        ({"failed": 1, "errno": errno.ECONNRESET, "first_byte": math.nan}, b"", Outcome.RESET),
        ({"failed": 1, "errno": errno.ECONNRESET}, b"half a ban", Outcome.RESET),
        ({"failed": 1, "errno": errno.ENOBUFS, "left_host": 0}, b"", Outcome.LOCAL),
        (
            {"timed_out": 1, "errno": errno.EHOSTUNREACH, "has_icmp": 1, "icmp_type": 3, "icmp_code": 1,
             "icmp_sender": 0x0A0000FE, "first_byte": math.nan}, b"", Outcome.UNREACHABLE,
        ),
        (
            {"timed_out": 1, "errno": errno.EHOSTUNREACH, "has_icmp": 1, "icmp_type": 3, "icmp_code": 1}, b"x",
            Outcome.OK,
        ),
        ({"control": 1}, b"x", Outcome.OK),
    ],
)  # fmt: skip
def test_each_ending(fields: dict[str, Any], body: bytes, outcome: Outcome) -> None:
    assert check(batch((fields, body))) == [outcome]


def test_many_at_once_each_with_its_own_bytes() -> None:
    ended = batch(*(({"peer": PEER_ADDRESS + 256 * i, "peer_port": 1 + i}, b"<%d>" % i) for i in range(300)))
    assert check(ended) == [Outcome.OK] * 300


def test_some_plain_and_some_not() -> None:
    ended = batch(({}, b"one"), ({"first_byte": math.nan}, b""), ({"truncated": 1}, b"three"), ({}, b""))
    keyed, outcomes = BannerLines(COMMON).lines(ended)
    plainly, otherwise = (Ended(ended.rows[at], ended.data) for at in ([0, 2], [1, 3]))
    assert list(keyed) == [line for part in (plainly, otherwise) for line in BannerLines(COMMON).lines(part)[0]]
    assert outcomes == {Outcome.OK: 2, Outcome.EMPTY: 2}
    assert check(plainly) + check(otherwise) == [Outcome.OK] * 2 + [Outcome.EMPTY] * 2


def test_no_conversations() -> None:
    keyed, outcomes = BannerLines(COMMON).lines(batch())
    assert (list(keyed), dict(outcomes)) == ([], {Outcome.OK: 0})


@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries(
                {
                    "started": st.integers(0, 4_000_000_000_000_000),
                    **{
                        name: st.integers(0, 10**9).map(lambda us: us / 1e6)
                        for name in ("connected", "first_byte", "ended")
                    },
                    "peer": st.integers(0, 2**32 - 1),
                    "peer_port": st.integers(0, 65_535),
                    "sent": st.integers(0, 2**32 - 1),
                    "phase": st.sampled_from([READ, WRITE]),
                    "truncated": st.integers(0, 1),
                    "control": st.integers(0, 1),
                    "timed_out": st.integers(0, 1),
                }
            ),
            st.binary(min_size=1, max_size=200),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["s", "x" * 95, "y" * 300]),
    st.booleans(),
)
@settings(deadline=None)
@pytest.mark.timeout(600)  # the first test on a machine compiles the kernel
def test_any_plain_ones(given_rows: list[tuple[dict[str, Any], bytes]], scan: str, asked: bool) -> None:
    ended = batch(*given_rows)
    lines = BannerLines(dataclasses.replace(COMMON, scan=scan, asked=asked))
    keyed, _ = lines.lines(ended)
    assert isinstance(keyed, LineBatch)
    assert list(keyed) == lines._each(ended)[0]


def test_nobody_was_asked_about_control_ports() -> None:
    common = Common("s", "", "tcp_synscan", "wait")
    check(batch(({"control": 1}, b"x")), common)
    ((_, line),) = BannerLines(common).lines(batch(({}, b"x")))[0]
    assert orjson.loads(line)["control"] is None


flags = st.integers(0, 1)


@given(
    st.fixed_dictionaries({
        "started": st.integers(0, 2**51), "connected": st.floats(0, 60).map(lambda value: round(value, 6)),
        "first_byte": st.just(math.nan) | st.floats(0, 60).map(lambda value: round(value, 6)),
        "ended": st.floats(0, 60).map(lambda value: round(value, 6)), "sent": st.integers(0, 2**31),
        "peer": st.integers(0, 2**32 - 1), "peer_port": st.integers(1, 65535), "phase": st.sampled_from([READ, WRITE]),
        "failed": flags, "errno": st.sampled_from([0, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENOBUFS]),
        "has_icmp": flags, "icmp_type": st.integers(0, 255), "icmp_code": st.integers(0, 255),
        "icmp_sender": st.integers(0, 2**32 - 1), "truncated": flags, "timed_out": flags, "control": flags,
        "left_host": flags,
    }),
    st.binary(max_size=40),
)  # fmt: skip
def test_whatever_the_engine_says(fields: dict[str, Any], body: bytes) -> None:
    check(batch((fields, body)))
