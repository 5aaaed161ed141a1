"""A batch of what has ended: its rows find their bytes."""

from __future__ import annotations

import math

import numpy as np

from stages.net.ended import ENDED, READ, US, Ended, conversation_of, plain
from stages.proto.banner import Script


def test_each_row_has_its_bytes() -> None:
    rows = np.zeros(3, ENDED)
    rows["data_at"], rows["data_size"] = [0, 2, 2], [2, 0, 3]
    batch = Ended(rows, b"abcde")
    assert len(batch) == 3
    assert [batch.body(row) for row in batch.rows] == [b"ab", b"", b"cde"]


def test_what_is_plain() -> None:
    rows = np.zeros(5, ENDED)
    rows["data_size"] = [1, 0, 1, 1, 1]
    rows["failed"][2] = rows["errno"][3] = rows["has_icmp"][4] = 1
    assert plain(rows).tolist() == [True, False, False, False, False]


def test_a_row_as_a_conversation() -> None:
    rows = np.zeros(2, ENDED)
    row = rows[1]
    for name, value in {
        "started": 1_795_245_000_000_001, "connected": 0.25, "first_byte": math.nan, "ended": 0.5, "data_at": 1,
        "data_size": 3, "size": 3, "sent": 18, "peer": 0x0A000107, "peer_port": 80, "phase": READ, "errno": 113,
        "has_icmp": 1, "icmp_type": 3, "icmp_code": 1, "icmp_sender": 0x0A0000FE, "truncated": 1, "timed_out": 1,
        "closed_by": US, "control": 1, "left_host": 1,
    }.items():  # fmt: skip
        row[name] = value
    dialogue = Script().begin("")
    one = conversation_of(Ended(rows, b"abcde"), 1, dialogue, "tag", asked=True)
    assert (one.host, one.port, one.dialogue, one.tag, one.via) == ("10.0.1.7", 80, dialogue, "tag", "raw")
    assert (one.started, one.connected, one.first_byte, one.ended) == (1_795_245_000_000_001, 0.25, None, 0.5)
    assert (one.phase, one.failed, one.errno, one.icmp) == ("read", False, 113, (3, 1, "10.0.0.254"))
    assert (one.body, one.size, one.sent, one.truncated, one.timed_out) == (b"bcd", 3, 18, True, True)
    assert (one.closed_by, one.left_host, one.control) == ("us", True, True)
    row["errno"] = row["icmp_sender"] = row["data_size"] = 0
    bare = conversation_of(Ended(rows, b""), 1, dialogue, None, asked=False)
    assert (bare.errno, bare.icmp, bare.body, bare.data, bare.control) == (None, (3, 1, ""), b"", [], None)
