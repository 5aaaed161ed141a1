"""TCP in user space (RFC 9293), for very many short connections that a scanner has opened: what it is made of. Pure.

Theory. A connection is a record of some 200 bytes in an array, found by its addresses and ports; nothing else is
held for it until bytes come, and these go into chunks of a common pool. A batch of packets is one kernel call: packets
in, frames out into rows of an array, and what others must know (a fixed conversation that has ended, bytes for a
dialogue) into arrays too. Time comes in as an argument, in microseconds of a clock that only goes forward. A wheel
of lists holds the deadlines, so that a tick costs what is due and not what is open.

    tcp_table    find, add and remove connections; the memory of those that were closed
    tcp_wheel    deadlines                       tcp_pool     chunks, and what is received out of order
    tcp_output   segments out                    tcp_input    segments in             tcp_icmp    ICMP errors in
    tcp_ending   how a conversation ends         tcp_timers   what is due             tcp_talking opening and saying

A connection begins where the scanner left it: a SYN-ACK has come (SYN-SENT in RFC 9293 3.3.2), so it is ESTABLISHED by
our first segment. The later states are flags, for the two directions end independently: FIN-WAIT-1 is FIN_WANTED,
FIN-WAIT-2 is FIN_WANTED with all acknowledged, CLOSE-WAIT is PEER_FIN, CLOSING and LAST-ACK are both, and TIME-WAIT is
a row among the closed ones.

What is left out, and why nothing breaks: reading SACK options (a loss of what we say, some segments, costs going
back), urgent data (RFC 6093: it stays in line), congestion avoidance beyond slow start (we send a few segments).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.net.ended import ENDED
from stages.net.jit import piece
from stages.net.wide import lent

CONNECTION: Final = np.dtype(
    [
        # 64 bytes that nearly every packet touches: key, and both sides' sequence numbers (RFC 9293 3.3.1)
        ("peer", "u4"), ("ours", "u4"), ("peer_port", "u2"), ("own_port", "u2"),
        ("flags", "u4"),
        ("una", "u4"),  # SND.UNA
        ("nxt", "u4"),  # SND.NXT; goes back when we retransmit
        ("top", "u4"),  # the highest SND.NXT there was
        ("base", "u4"),  # sequence number of the first byte that we say
        ("said", "u4"),  # bytes that we have to say, from `base` on
        ("wnd", "u4"),  # SND.WND, in bytes
        ("wl1", "u4"), ("wl2", "u4"),  # SND.WL1, SND.WL2
        ("rcv", "u4"),  # RCV.NXT
        ("edge", "u4"),  # right edge of the window that we have advertised: RCV.NXT + RCV.WND
        ("irs", "u4"),  # IRS
        ("acked", "u4"),  # Last.ACK.sent (RFC 7323 4.3)
        ("ack_at", "i8"), ("resend_at", "i8"), ("say_at", "i8"), ("total_at", "i8"),  # deadlines, NEVER: none
        ("before", "i4"), ("behind", "i4"), ("bucket", "i4"),  # its place in the wheel
        ("srtt", "i4"), ("rttvar", "i4"), ("rto", "i4"),  # microseconds; srtt < 0: no round trip measured yet
        ("timed_at", "i8"),  # when the segment that ends at `timed` left; NEVER: none is timed
        ("timed", "u4"),
        ("max_wnd", "u4"),  # the largest window that the peer has offered
        ("ts_recent", "u4"),  # TS.Recent
        ("ts_base", "u4"),  # our TSval is this plus our clock, in milliseconds
        ("fin_at", "u4"),  # sequence number of the peer's FIN, where FIN_SEEN
        ("mss", "u2"),  # bytes of data in a segment at most: the peer's MSS less our options
        ("scale", "u1"), ("own_scale", "u1"),  # shift counts: of windows that we read, and that we write
        ("backoff", "u1"), ("repeats", "u1"), ("cwnd", "u1"),  # duplicate ACKs; congestion window in segments
        ("unacked", "u1"),  # segments received and not acknowledged
        ("challenges", "u1"), ("ranges", "u1"),
        ("in_head", "i4"), ("in_here", "i4"),  # chunks of bytes received: the first, and the one that RCV.NXT is in
        ("in_from", "u4"), ("in_at", "u4"),  # where these two begin, counted from the first byte of the peer
        ("out_head", "i4"), ("out_tail", "i4"), ("out_from", "u4"),  # chunks of what a dialogue says
        ("given", "u4"),  # bytes handed to the dialogue, or kept of a fixed conversation
        ("event", "i4"),  # the last event of this turn
        ("icmp_sender", "u4"), ("errno", "u2"), ("icmp_type", "u1"), ("icmp_code", "u1"),
        ("rtt", "i4"),  # of the SYN, microseconds; < 0: not known
        ("first_byte", "i4"),  # microseconds from `began`; < 0: none yet
        ("began", "i8"), ("started", "i8"),  # on our clock; microseconds since the epoch
        ("tag", "u8"),
    ]
)  # fmt: skip

# Flags of a connection.
USED: Final = 1
OBJECT: Final = 2  #: its dialogue is an object outside: bytes are handed over as they come
ACK_NOW: Final = 4
FIN_WANTED: Final = 8  #: what was said is all: FIN behind it
FIN_SEEN: Final = 16  #: the peer's FIN has come, maybe before bytes that are missing
PEER_FIN: Final = 32  #: and all before it
OVER: Final = 64  #: the conversation has ended and was told; only the connection is left
STARVED: Final = 128  #: bytes were refused for want of a chunk
STAMPS: Final = 256  #: timestamps (RFC 7323)
CONTROL: Final = 512  #: the host answers on its control port
LATE: Final = 1024  #: the peer may speak first; the payload waits
LEFT: Final = 2048  #: a frame of this connection has left
SACK: Final = 4096  #: the peer understands selective acknowledgements (RFC 2018)

NEVER: Final = (1 << 63) - 1
NOWHERE: Final = -1

#: Bytes of a chunk: most banners fit into one, and one for each of 200,000 connections is 154 MB.
CHUNK: Final = 768
#: Chunks that a small table has all the same: 12 MiB, some long answers.
LEAST_CHUNKS: Final = 16_384
#: Ranges that a connection holds out of order; a segment that would be one more waits for its retransmission.
RANGES: Final = 4
#: What we offer to receive, bytes: the most without a window scale, and what the SYN offered at most.
WINDOW: Final = 65_535
#: Without the option (RFC 9293 3.7.1), and the least that we use: IPv4's smallest MTU of 68 (RFC 791 3.2) less headers.
MSS_DEFAULT: Final = 536
MSS_LEAST: Final = 28
#: The longest shift count (RFC 7323 2.3).
MAX_SCALE: Final = 14

#: Microseconds of a tick of the wheel: the grain of all deadlines.
TICK: Final = 4096
#: Ticks around the wheel: 8 s. A later deadline goes round again.
BUCKETS: Final = 2048

#: A row for a frame: an Ethernet frame of 1518 bytes fits.
STRIDE: Final = 2048

# What became of a connection, for its dialogue (EVENT, `kind`).
DATA: Final = 1
EOF: Final = 2
RESET: Final = 3  #: the connection is gone
EXPIRED: Final = 4  #: the deadline that was set has passed

EVENT: Final = np.dtype(
    [
        ("slot", "i4"), ("kind", "i4"),
        ("data_at", "i8"), ("size", "i8"),  # DATA: where the bytes are in `Tcp.heard`
        ("when", "i8"),
    ],
    align=True,
)  # fmt: skip

#: A connection that was closed: enough to answer what still comes of it.
CLOSED: Final = np.dtype(
    [
        ("peer", "u4"), ("ours", "u4"), ("peer_port", "u2"), ("own_port", "u2"),
        ("nxt", "u4"), ("rcv", "u4"), ("irs", "u4"), ("how", "u4"),
    ]
)  # fmt: skip
BY_FIN: Final = 1
BY_RESET: Final = 2

# Numbers of a table (`Tcp.now`, i64): first what it stands at, then what it counts.
(
    OPEN, FREE_SLOT, TOP_SLOT, FREE_CHUNK, TOP_CHUNK, CHUNKS_USED, AT_TICK, FRAMES, EVENTS, ENDINGS, KEPT, HEARD,
    OPENED, CLOSED_BY_PEER, CLOSED_BY_US, RESETS_SEEN, EXPIRIES, TRUNCATED, REFUSED, STARVATION, RETRANSMITTED,
    OUT_OF_ORDER, NOT_HELD, DUPLICATES, UNACCEPTABLE, BAD_CHECKSUMS, CHALLENGES, RESETS_SENT, STRAYS, ICMP_HINTS,
    PMTU_LOWERED, CONTROL_SENT, CONTROL_SEEN, SEGMENTS_IN, SEGMENTS_OUT, NOT_SENT,
) = range(36)  # fmt: skip
NUMBERS: Final = 36
#: The names of those that count, from OPENED on.
COUNTED: Final = (
    "opened", "closed_by_peer", "closed_by_us", "resets_seen", "expired", "truncated", "refused", "evicted",
    "retransmitted", "out_of_order", "not_held", "duplicates", "unacceptable", "bad_checksums", "challenges",
    "resets_sent", "strays", "icmp_hints", "pmtu_lowered", "control_sent", "control_seen", "segments_in",
    "segments_out", "not_sent",
)  # fmt: skip

# What all connections have in common (`Tcp.rules`, i64). Times in microseconds.
(
    WAIT, FIRST, IDLE, TOTAL, MAX_BYTES, CLOSE_RESET, OWN_SCALE, MSS_MOST, TTL, IP_AT, KEY, CONTROL_KEY, CONTROL_ON,
) = range(13)  # fmt: skip
RULES: Final = 13


@piece
def due_at(c: Any) -> Any:
    """The earliest deadline of a connection, NEVER."""
    return min(min(c.ack_at, c.resend_at), min(c.say_at, c.total_at))


class Tcp(NamedTuple):
    """A table of connections and all that belongs to it."""

    connections: npt.NDArray[np.void]  #: CONNECTION (capacity,)
    places: npt.NDArray[np.int32]  #: hash -> slot, NOWHERE; a power of two, at most half full
    ranges: npt.NDArray[np.uint32]  #: (capacity, RANGES, 2): received out of order, [first, behind the last)
    pool: npt.NDArray[np.uint8]  #: (chunks, CHUNK)
    links: npt.NDArray[np.int32]  #: chunk -> the next one of its chain, NOWHERE
    wheel: npt.NDArray[np.int32]  #: (BUCKETS,): first slot of each list
    closed: npt.NDArray[np.void]  #: CLOSED, by hash
    hosts: npt.NDArray[np.uint32]  #: hosts that got a control SYN, by hash
    answering: npt.NDArray[np.uint8]  #: whether they answered it
    now: npt.NDArray[np.int64]  #: (NUMBERS,)
    rules: npt.NDArray[np.int64]  #: (RULES,)
    payload: npt.NDArray[np.uint8]  #: what a fixed dialogue says
    frames: npt.NDArray[np.uint8]  #: (rows, STRIDE): out; link headers stand in them already
    lengths: npt.NDArray[np.int64]  #: (rows,): bytes of each, from the start of its row
    events: npt.NDArray[np.void]  #: EVENT
    heard: npt.NDArray[np.uint8]  #: bytes that events point to
    endings: npt.NDArray[np.void]  #: ENDED
    kept: npt.NDArray[np.uint8]  #: bytes that endings point to


@piece
def borrow(t: Any) -> Any:
    """The table for the inside of a kernel: arrays whose owners are not counted with every use."""
    return Tcp(
        lent(t.connections),
        lent(t.places),
        lent(t.ranges),
        lent(t.pool),
        lent(t.links),
        lent(t.wheel),
        lent(t.closed),
        lent(t.hosts),
        lent(t.answering),
        lent(t.now),
        lent(t.rules),
        lent(t.payload),
        lent(t.frames),
        lent(t.lengths),
        lent(t.events),
        lent(t.heard),
        lent(t.endings),
        lent(t.kept),
    )


#: Rows of events and endings in a turn: the caller empties them when a kernel stops for want of room.
EVENT_ROWS: Final = 4096
ENDED_ROWS: Final = 4096
#: Bytes for both, beside what one packet can add: a super-frame of 64 KiB and all that it makes contiguous.
ARENA: Final = 4 << 20
SUPER: Final = 1 << 17


def make(
    capacity: int,
    frames: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    *,
    chunks: int | None = None,
    payload: bytes = b"",
    wait: float = 0.0,
    first: float = 4.0,
    idle: float = 1.0,
    total: float = 30.0,
    max_bytes: int = WINDOW,
    close: str = "rst",
    own_wscale: int = -1,
    mtu: int = 1500,
    ttl: int = 64,
    ip_at: int = 14,
    key: int = 0,
    control: int | None = None,
    now: int = 0,
) -> Tcp:
    """An empty table for `capacity` connections. `frames`, `lengths`: rows for what is sent, IPv4
    from byte `ip_at` on. `key`, `control`: 64 secret bits each. Memory is touched only as it comes into use.

    Raises ValueError for numbers that cannot be.
    """
    if capacity < 1 or max_bytes < 0 or not -1 <= own_wscale <= MAX_SCALE:
        raise ValueError(f"capacity {capacity}, max_bytes {max_bytes}, own_wscale {own_wscale}")
    if min(wait, first, idle, total) < 0:
        raise ValueError(f"wait {wait}, first {first}, idle {idle}, total {total}: none may be negative")
    slots = 1 << (2 * capacity - 1).bit_length()
    rules = np.zeros(RULES, np.int64)
    for at, seconds in ((WAIT, wait), (FIRST, first), (IDLE, idle), (TOTAL, total)):
        rules[at] = min(int(seconds * 1e6), 1 << 50)
    rules[MAX_BYTES], rules[CLOSE_RESET], rules[OWN_SCALE] = max_bytes, close == "rst", own_wscale
    rules[MSS_MOST] = min(max(mtu - 40, MSS_LEAST), frames.shape[1] - ip_at - 52)
    rules[TTL], rules[IP_AT] = ttl, ip_at
    rules[KEY], rules[CONTROL_KEY] = _signed(key), _signed(control or 0)
    rules[CONTROL_ON] = control is not None
    count = max(capacity, LEAST_CHUNKS) if chunks is None else chunks
    numbers = np.zeros(NUMBERS, np.int64)
    numbers[FREE_SLOT] = numbers[FREE_CHUNK] = NOWHERE
    numbers[AT_TICK] = now // TICK
    return Tcp(
        connections=np.zeros(capacity, CONNECTION),
        places=np.full(slots, NOWHERE, np.int32),
        ranges=np.zeros((capacity, RANGES, 2), np.uint32),
        pool=np.zeros((count, CHUNK), np.uint8),
        links=np.zeros(count, np.int32),
        wheel=np.full(BUCKETS, NOWHERE, np.int32),
        closed=np.zeros(slots // 2, CLOSED),
        hosts=np.zeros(slots // 2 if control is not None else 1, np.uint32),
        answering=np.zeros(slots // 2 if control is not None else 1, np.uint8),
        now=numbers,
        rules=rules,
        payload=np.frombuffer(payload, np.uint8).copy(),
        frames=frames,
        lengths=lengths,
        events=np.zeros(EVENT_ROWS, EVENT),
        heard=np.zeros(ARENA, np.uint8),
        endings=np.zeros(ENDED_ROWS, ENDED),
        kept=np.zeros(ARENA + 2 * max_bytes, np.uint8),
    )


def _signed(word: int) -> int:
    return (word & ((1 << 63) - 1)) - (word & (1 << 63))


def counters(table: Tcp) -> dict[str, int]:
    """What was counted, by name."""
    return dict(zip(COUNTED, table.now[OPENED:].tolist(), strict=True))


def memory(table: Tcp) -> int:
    """Bytes of all its arrays, touched or not."""
    return sum(array.nbytes for array in table)
