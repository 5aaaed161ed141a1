"""A model peer: a small honest TCP server in Python, which watches that the other side is honest too, and a network
between the two that loses, delays, repeats and so reorders, by a seed. Time is simulated."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Any

from tests.servers.tcp_table import ACK, FIN, OURS, PEER, PSH, RST, START_US, SYN, WALL_US, Hand, Segment, half

_MASK = (1 << 32) - 1


def gap(first: int, second: int) -> int:
    return ((first - second + (1 << 31)) & _MASK) - (1 << 31)


@dataclass
class Plan:
    """What one conversation is like."""

    seed: int
    request: bytes
    answer: bytes
    mss: int = 1460
    our_mss: int = 1460
    window: int = 65_535
    scale: int = 7
    stamps: bool = False
    close: str = "fin"
    peer_closes: bool = True
    loss: float = 0.0
    twice: float = 0.0
    delay: float = 0.02
    repack: bool = False  #: the peer cuts what it sends again differently


class Model:
    """The server's side of one connection. Times in seconds."""

    def __init__(self, plan: Plan, iss: int, theirs: int) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed ^ 0x5EED)
        self.iss, self.base = iss, (iss + 1) & _MASK
        self.una = self.nxt = self.top = self.base
        self.first = self.rcv = theirs
        self.heard = bytearray()
        self.ahead: dict[int, bytes] = {}
        self.window = 65_535  # theirs
        self.edge = (theirs + plan.window) & _MASK  # right edge that we have offered
        self.established = False
        self.saying = b"" if plan.request else plan.answer
        self.fin_at: int | None = None  # theirs
        self.closed = self.was_reset = False
        self.resend_at: float | None = 0.3
        self.tries = 0
        self.stamp = 100

    def syn_ack(self) -> Segment:
        return Segment(PEER, OURS, 80, 40_000, self.iss, self.first, SYN | ACK, self.plan.window, stamp=self._stamp())

    def _stamp(self) -> tuple[int, int] | None:
        return (self.stamp & _MASK, 0) if self.plan.stamps else None

    def _ends(self) -> bool:
        plan = self.plan
        return (
            self.saying == plan.answer
            and len(self.heard) >= len(plan.request)
            and (plan.peer_closes or self.fin_at is not None)
        )

    def _segment(self, seq: int, data: bytes = b"", flags: int = ACK) -> Segment:
        room = self.plan.window if self.plan.window < 1000 else 65_535
        scale = self.plan.scale if self.plan.scale >= 0 else 0
        field = min(-(-room // (1 << scale)), 65_535)
        field = max(field, -(-max(gap(self.edge, self.rcv), 0) // (1 << scale)))
        self.edge = (self.rcv + (field << scale)) & _MASK
        return Segment(PEER, OURS, 80, 40_000, seq, self.rcv, flags, field, data, self._stamp())

    def take(self, s: Segment, now: float) -> list[Segment]:
        """A segment of the other side comes."""
        self.stamp += 1
        if self.closed:
            return [] if s.flags & RST else [Segment(PEER, OURS, 80, 40_000, s.ack, 0, RST, 0)]
        assert s.flags & (ACK | RST), "neither ACK nor RST"
        if s.flags & RST:
            if s.seq == self.rcv:
                self.was_reset = self.closed = True
                return []
            return [self._segment(self.top)] if 0 < gap(s.seq, self.rcv) < gap(self.edge, self.rcv) else []
        assert gap(s.ack, self.top) <= 0, "an ACK of what was never sent"
        assert gap(s.ack, self.iss) > 0
        end = (s.seq + len(s.data) + bool(s.flags & FIN)) & _MASK
        if s.data or s.flags & FIN:
            assert gap(end, self.edge) <= 0, "a byte outside the window that was offered"
        assert len(s.data) + (12 if self.plan.stamps else 0) <= self.plan.mss, "more than our MSS"
        out: list[Segment] = []
        self.established = True
        if gap(s.ack, self.una) > 0:
            self.una = s.ack
            self.nxt = max(self.nxt, s.ack, key=lambda n: gap(n, self.una))
            self.tries, self.resend_at = 0, None
        self.window = s.window << 8 if self.plan.scale >= 0 else s.window
        if s.data and gap(end, self.rcv) > 0:
            self.ahead[s.seq] = max(self.ahead.get(s.seq, b""), s.data, key=len)
        if s.flags & FIN:
            self.fin_at = (s.seq + len(s.data)) & _MASK
        owed = bool(s.data or s.flags & FIN) or gap(s.seq, self.rcv) < 0
        moved = True
        while moved:
            moved = False
            for seq in sorted(self.ahead, key=lambda n: gap(n, self.rcv)):
                data = self.ahead[seq]
                skip = gap(self.rcv, seq)
                if skip < 0:
                    continue
                del self.ahead[seq]
                if skip < len(data):
                    self.heard += data[skip:]
                    self.rcv = (seq + len(data)) & _MASK
                    moved = True
                    break
        if self.fin_at is not None and self.rcv == self.fin_at:
            self.rcv = (self.rcv + 1) & _MASK
            if self.saying != self.plan.answer:
                self.saying = self.plan.answer
        if len(self.heard) >= len(self.plan.request):
            self.saying = self.plan.answer
        out += self.push(now)
        if owed and not out:
            out.append(self._segment(self.top))
        return out

    def push(self, now: float) -> list[Segment]:
        """Send what the window lets."""
        out = []
        end = len(self.saying)
        while True:
            offset = gap(self.nxt, self.base)
            if offset > end:
                break
            size = min(self.plan.our_mss - 12, end - offset, self.window - gap(self.nxt, self.una))
            if self.plan.repack and size > 1:
                size = self.random.randint(1, size)
            fin = self._ends() and offset + size == end and size >= 0
            if size <= 0 and not fin:
                break
            data = self.saying[offset : offset + max(size, 0)]
            out.append(self._segment(self.nxt, data, ACK | PSH | (FIN if fin else 0)))
            self.nxt = (self.nxt + len(data) + fin) & _MASK
            if gap(self.nxt, self.top) > 0:
                self.top = self.nxt
            if fin:
                break
        if self.una != self.top:
            if self.resend_at is None:
                self.resend_at = now + min(0.25 * 2**self.tries, 4)
        else:
            self.resend_at = None
            done = self.fin_at is not None and gap(self.rcv, self.fin_at) > 0
            if done and self._ends() and gap(self.una, self.base) == end + 1:
                self.closed = True
        return out

    def expire(self, now: float) -> list[Segment]:
        """The retransmission timer."""
        self.tries += 1
        self.resend_at = None
        if self.tries > 12:
            self.closed = True
            return []
        if not self.established:
            self.resend_at = now + min(0.25 * 2**self.tries, 4)
            return [self.syn_ack()]
        self.nxt = self.una
        return self.push(now)


def play(plan: Plan, *, deadline: float = 120.0) -> tuple[Any, bytes, Model, Hand]:
    """The whole conversation: the ENDED row, the bytes that the table heard, the model, the hand on the table."""
    chance = random.Random(plan.seed)
    iss, ours = chance.getrandbits(32), chance.getrandbits(32)
    hand = Hand(
        payload=plan.request, close=plan.close, first=30.0, idle=20.0, total=60.0, max_bytes=1 << 20,
        own_wscale=8 if plan.scale >= 0 else -1,
    )  # fmt: skip
    model = Model(plan, iss, ours)
    queue: list[tuple[float, int, bool, Segment]] = []
    serial = 0

    def send(segments: list[Segment], to_us: bool, now: float) -> None:
        nonlocal serial
        for segment in segments:
            if not to_us:
                _check_ours(segment, model)
            for _ in range(2 if chance.random() < plan.twice else 1):
                if chance.random() >= plan.loss:
                    serial += 1
                    heapq.heappush(queue, (now + 0.001 + chance.random() * plan.delay, serial, to_us, segment))

    row = half(
        seq=iss, ack=ours, mss=plan.mss, window=plan.window, wscale=plan.scale, has_ts=plan.stamps, ts_val=100,
        ts_ecr=9, rtt=plan.delay / 2,
    )  # fmt: skip
    now = 0.0
    send(hand.begin(row), False, now)
    steps = 0
    while hand.open and now < deadline:
        steps += 1
        assert steps < 200_000, "it does not end"
        due = [now + 0.05]
        if queue:
            due.append(queue[0][0])
        if model.resend_at is not None and not model.closed:
            due.append(model.resend_at)
        now = max(now, min(due))
        hand.now = START_US + int(now * 1e6)
        send(hand.wait(0), False, now)
        while queue and queue[0][0] <= now:
            _, _, to_us, segment = heapq.heappop(queue)
            send(hand.feed(segment) if to_us else model.take(segment, now), not to_us, now)
        if model.resend_at is not None and not model.closed and model.resend_at <= now:
            send(model.expire(now), True, now)
    assert not hand.open, "a connection is left"
    assert len(hand.ended) == 1
    return *hand.ended[0], model, hand


def _check_ours(s: Segment, model: Model) -> None:
    """What holds of each segment when it leaves, whether or not it arrives."""
    if not s.flags & RST:
        assert gap(s.ack, model.top) <= 0, "an ACK of what was never sent"


__all__ = ["WALL_US", "Model", "Plan", "play"]
