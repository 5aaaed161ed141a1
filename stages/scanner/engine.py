"""The engine that sends packets: a plan, sender threads, one receive thread.

    open    find the way out, make sockets, ring and filter, load the kernels: everything that can fail, before a packet
    start   begin to send and to receive
    join    sending has ended, the cooldown is over, the answers are delivered

Answers come in batches to `on_answers`, on the receive thread. What the engine raises are OSErrors with a text for
people (from `stages.net`); the app maps them.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from stages.net import confine, firewall, headers, link, neighbours, ownports, path, siphash
from stages.net.continuation import Link
from stages.net.ring import Ring
from stages.net.spans import Spans
from stages.scanner import order as orders
from stages.scanner import setup_lines
from stages.scanner.answered import Silent
from stages.scanner.answers import ANSWER, ECHOREPLY, ICMP, KIND_NAMES, RST, SUCCESSES, SYNACK, AnswerArray
from stages.scanner.claims import Claims
from stages.scanner.continuing import Continuing, own_wscale
from stages.scanner.dedup import Method, Seen
from stages.scanner.drops import MAX_RECEIVE_THREADS
from stages.scanner.frames import FrameBuilder
from stages.scanner.mixed import MixedFrames, Module, frame_bytes
from stages.scanner.nexthop import NextHops
from stages.scanner.pcap import ETHERNET, RAW, Pcap, Recorded
from stages.scanner.permutation import Permutation
from stages.scanner.probes.base import ProbeModule
from stages.scanner.rate import batch_size
from stages.scanner.receiver import Receiver
from stages.scanner.receiving import Receivers
from stages.scanner.resets import Mode as ResetMode
from stages.scanner.resets import Resets, is_syn
from stages.scanner.sender import Rows, Sender
from stages.scanner.sharding import MAX_SHARDS, own_positions
from stages.scanner.space import Space, U64Array
from stages.scanner.wires import ENGINES, Outlets, open_outlets

__all__ = [
    "ANSWER", "ECHOREPLY", "ICMP", "KIND_NAMES", "RST", "SUCCESSES", "SYNACK",
    "Counters", "PacketEngine", "Plan",
]  # fmt: skip

#: `attempt` of an answer is a u8.
MAX_PROBES: Final = 255
#: 4,095 is reserved (IEEE 802.1Q 9.6).
MAX_VLAN: Final = 4094
#: Sender threads beyond this only wait for each other.
MAX_THREADS: Final = 64
#: At the end so long is waited for the last RSTs: they take milliseconds, a decision about the kernel half a second.
_RESETS_S: Final = 5.0
#: The rate shown is that of about the last second.
_RATE_SPAN_S: Final = 1.0
#: How often it is looked whether the last conversation has ended.
_LOOK_S: Final = 0.02
log = logging.getLogger("longline.scanner.engine")

#: Seconds between two renewals of the lease on the kernel's silence (`stages.net.firewall.EXPIRY` is a minute).
_RENEW_S: Final = 5.0

#: Makes what goes on with the connections of a scan: (the way out, source ports, window scale that the SYNs offer).
GoOn = Callable[[Link, tuple[int, int], int], Continuing]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Raises ValueError for numbers that cannot be."""

    space: Space
    permutation: Permutation  #: of space.size elements
    probe: ProbeModule  #: stages.scanner.probes.get(name, args)
    secret: bytes  #: 16 bytes
    source_ips: tuple[int, ...] | None = None  #: None: the route's preferred source
    source_ports: tuple[int, int] = (32768, 61000)  #: inclusive
    interface: str | None = None  #: None: the route's
    gateway_mac: bytes | None = None  #: None: the route's gateway, from the neighbour table, then by ARP
    source_mac: bytes | None = None
    vlan: int | None = None  #: 802.1Q tag
    rate: float = 10_000.0  #: packets a second; 0: unlimited
    probes: int = 1  #: to each target, from consecutive source ports
    retries: int = 0  #: so many times more to a target that stays silent
    retry_interval: float = 1.0  #: seconds from one of these probes to the next
    ttl: int = 64
    first: int = 0  #: positions [first, last) of the shard
    last: int | None = None  #: None: the end of the space
    shard: int = 0  #: of `shards`
    shards: int = 1
    max_runtime: float | None = None  #: seconds of sending
    cooldown: float = 8.0  #: seconds of receiving after the last probe
    engine: str = "packet"  #: one of stages.scanner.wires.ENGINES, or auto: the best that works
    threads: int = 1
    dedup: Method = "full"
    window: int = 1_000_000  #: answers that dedup "window" remembers at least
    max_sendto_failures: int = -1  #: -1: no limit
    receive_threads: int = 1
    modules: tuple[Module, ...] = ()  #: of a mixed scan, whose space is of slots; `probe` is `mixed.joined` of them
    pcap_sent: bool = False  #: the probes too are written to the engine's pcap
    send_rst: ResetMode = "auto"  #: whether we reset what answers with a SYN-ACK (`stages.scanner.resets`)
    hold: bool = False  #: leave what answers to another process: the kernel is kept from resetting it, nobody does

    def __post_init__(self) -> None:
        low, high = self.source_ports
        checks = (
            (len(self.secret) == siphash.KEY_BYTES, f"a secret of {len(self.secret)} bytes"),
            (self.space.size > 0, "no targets"),
            (self.permutation.n == self.space.size, "the permutation is not of the space's size"),
            (0 <= low <= high <= 0xFFFF, f"source ports {low}-{high}"),
            (self.source_ips is None or len(self.source_ips) > 0, "no source address"),
            (self.probes >= 1 and self.retries >= 0, f"{self.probes} probes and {self.retries} retries"),
            (self.attempts <= MAX_PROBES, f"{self.attempts} probes a target: {MAX_PROBES} at most"),
            (self.attempts <= high - low + 1, f"{self.attempts} probes from {high - low + 1} source ports"),
            (self.retry_interval >= 0, f"a retry interval of {self.retry_interval}"),
            (1 <= self.ttl <= 255, f"time to live {self.ttl}"),
            (0 <= self.shard < self.shards <= MAX_SHARDS, f"shard {self.shard} of {self.shards}"),
            (0 <= self.first <= self.end <= self.size, f"positions {self.first} to {self.end}"),
            (self.rate >= 0, f"rate {self.rate}"),
            (self.cooldown >= 0, f"cooldown {self.cooldown}"),
            (self.vlan is None or 0 <= self.vlan <= MAX_VLAN, f"VLAN {self.vlan}"),
            (self.engine in (*ENGINES, "auto"), f"engine {self.engine!r}"),
            (1 <= self.threads <= MAX_THREADS, f"{self.threads} sender threads: 1 to {MAX_THREADS}"),
            (1 <= self.receive_threads <= MAX_RECEIVE_THREADS, f"{self.receive_threads} receive threads"),
        )
        for right, problem in checks:
            if not right:
                raise ValueError(problem)

    @property
    def attempts(self) -> int:
        """Packets that a silent target is sent in all."""
        return self.probes * (self.retries + 1)

    @property
    def opens(self) -> bool:
        """Whether probes open connections."""
        return any(is_syn(probe.template) for probe in (self.probe, *(module.probe for module in self.modules)))

    @property
    def size(self) -> int:
        """Positions that the shard has."""
        return own_positions(self.space.size, self.shard, self.shards)

    @property
    def end(self) -> int:
        return self.size if self.last is None else self.last


@dataclass(frozen=True, slots=True)
class Counters:
    """What happened so far. `sent` counts packets handed to the kernel, `send_failures` calls that failed and were
    retried, `received` packets that passed the kernel filter, `invalid` those of them that were no answer."""

    sent: int = 0
    send_failures: int = 0
    received: int = 0
    validated: int = 0
    invalid: int = 0
    duplicates: int = 0
    ring_drops: int = 0
    rate: float = 0.0  #: packets a second over about the last second
    not_sent: int = 0  #: probes to targets on the link that answered no ARP, or that the kernel would not send


class PacketEngine:
    """See the module's docstring. `open`, `start`, `join` and `close` belong to one thread; the rest is for any."""

    def __init__(
        self,
        plan: Plan,
        on_answers: Callable[[AnswerArray], None],
        *,
        mask: Callable[[FrameBuilder], Rows] = lambda rows: rows,
        pcap: Pcap | None = None,
        go_on: GoOn | None = None,
    ) -> None:
        """`mask` stands between the frames that are built and the sender (`stages.scanner.mask`). `pcap`: what passed
        the filter is written there; the engine closes it. `go_on`: go on with what was opened, where the kernel can be
        kept quiet; `continuing` is None after `open` where it cannot, and `not_quiet` says why."""
        self.plan = plan
        self._on_answers = on_answers
        self._mask = mask
        self._pcap = pcap
        self._path: path.Path | None = None
        self._outlets: Outlets | None = None
        self._neighbours: dict[int, bytes] | None = None
        self._hops: list[NextHops] = []
        self._senders: list[Sender] = []
        self._receiver: Receivers | None = None
        self._claims: Claims | None = None
        self._seen = Seen(plan.dedup, plan.window)
        self._resets: Resets | None = None
        self._go_on = go_on
        self.continuing: Continuing | None = None
        self.lease: firewall.Lease | None = None  #: on the silence of this host's kernel
        self.not_quiet: str | None = None  #: why there is none although it was wished for
        self._renew_at = 0.0
        self._order = orders.build(plan.permutation, plan.space, plan.shard, plan.shards)
        self._closing = threading.Event()
        self._enough = False
        self._sending_ended: float | None = None
        self._last_answer = math.inf  # no answer comes after it (seconds since the epoch)
        self._rate_mark = (0.0, 0)
        self._rate = 0.0

    def open(self) -> None:
        """Find the way, make sockets and ring, load the kernels.

        Raises NoRawAccess (no CAP_NET_RAW), InterfaceError, NoRoute, OnLink, OwnAddress, NoNeighbour, ConfinedError, or
        another OSError; all are OSErrors. Nothing stays open then. No probe has been sent.
        """
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        plan = self.plan
        for source in plan.source_ips or ():
            path.check_source(source)
        way = self._path = path.find(
            Spans(plan.space.starts, plan.space.ends),
            interface=plan.interface,
            source=None if plan.source_ips is None else plan.source_ips[0],
            source_mac=plan.source_mac,
            gateway_mac=plan.gateway_mac,
            vlan=plan.vlan,
            macs=plan.engine != "ip",
        )
        longest = max(len(plan.probe.template), plan.probe.max_length) - headers.ETHERNET_BYTES
        if longest > way.mtu:
            raise path.TooLong(
                errno.EMSGSIZE, f"a packet of {longest} bytes is more than {way.interface} carries (MTU {way.mtu})"
            )
        confine.check_packets(way.interface)
        batch = max(batch_size(plan.rate) // plan.probes, 1)

        def rows(**more: Any) -> FrameBuilder:
            kind: Callable[..., FrameBuilder] = FrameBuilder
            what: tuple[Any, ...] = (plan.space, plan.permutation, plan.probe, plan.secret)
            if plan.modules:
                kind, what = MixedFrames, (plan.modules, plan.space, plan.permutation, plan.secret)
            return kind(
                *what, source_ips=plan.source_ips or (way.source,), source_ports=plan.source_ports,
                source_mac=way.source_mac, gateway_mac=way.target_mac or headers.NO_MAC, vlan=plan.vlan, ttl=plan.ttl,
                probes=plan.probes, retries=plan.retries, batch=batch, order=self._order, **more,
            )  # fmt: skip

        self._outlets = outlets = open_outlets(plan.engine, way, plan.threads, rows)
        if way.near and outlets.name != "ip":
            self._neighbours = neighbours.resolve_all(
                link.interface(way.interface), way.source, way.near, vlan=plan.vlan
            )
        outlets.rows[0].fill(plan.first if plan.first < plan.size else 0, 1)
        self._claims = claims = Claims(
            plan.first, plan.end, batch, plan.probes, plan.rate, retries=plan.retries, interval=plan.retry_interval
        )

        def receiver(ring: Ring, *, lock: threading.Lock) -> Receiver:
            return Receiver(
                ring, plan.probe, self._order, outlets.rows[0].constants, claims, self._seen, self._deliver,
                cooling=lambda: not self.sending, over=self._over,
                until=lambda: 0.0 if self._closing.is_set() else self._last_answer, lock=lock,
                tap=None if self._pcap is None else self._pcap.block,
                readings=mixed.readings() if isinstance(mixed := outlets.rows[0], MixedFrames) else (),
            )  # fmt: skip

        def ring() -> Ring:
            return Ring(way.interface, plan.probe.filter(plan.source_ports), vlan=plan.vlan, link_header=way.ethernet)

        self._receiver = Receivers(plan.receive_threads, ring, receiver)
        self._receiver.warm_up()
        if self._pcap is not None:
            self._pcap.begin(ETHERNET if way.ethernet else RAW)
        by_kernel = outlets.name == "ip" or bool(way.near)
        if self._go_on is not None:
            out = Link(
                way.interface, way.source_mac, None if by_kernel else way.target_mac, plan.vlan, way.ethernet, plan.ttl,
                way.mtu,
            )  # fmt: skip
            self.continuing = self._go_on(out, plan.source_ports, own_wscale(plan.probe.template))
            claims.heed(self.continuing.behind)
        if plan.hold or self._go_on is not None:  # last: it has to be renewed from now on
            self._keep_quiet(plan.source_ips or (way.source,))
        if self.continuing is not None:
            pass  # it resets what it does not take
        elif plan.send_rst != "never" and plan.opens and not (plan.hold and self.lease is not None):
            self._resets = Resets(
                plan.send_rst, way.interface, source_mac=way.source_mac,
                gateway_mac=None if by_kernel else way.target_mac, source_ports=plan.source_ports, vlan=plan.vlan,
                link_header=way.ethernet, ttl=plan.ttl,
            )  # fmt: skip

        self._say(way, batch)

    def _say(self, way: path.Path, batch: int) -> None:
        plan = self.plan
        log.debug("%s", setup_lines.of_way(way, given=plan.interface is not None))
        log.debug("%s", setup_lines.of_order(plan.permutation, plan.space, plan.first, plan.shard, plan.shards))
        size = frame_bytes(plan.modules) if plan.modules else float(len(plan.probe.template))
        sources = plan.source_ips or (way.source,)
        log.debug("%s", setup_lines.of_sending(sources, plan.source_ports, plan.rate, size, batch))

    def _keep_quiet(self, sources: tuple[int, ...]) -> None:
        """Take the lease. Raises what is no want of privilege or program (ConfinedError, a rule that does not hold)."""
        addresses = [_text(source) for source in sources]
        try:
            # The rules would cut off whoever has one of these ports.
            warning = ownports.check(addresses, self.plan.source_ports)
            if warning is not None:
                log.warning("%s", warning)
            self.lease = firewall.Lease.take(
                addresses, self.plan.source_ports, what="synack" if self.plan.hold else "tcp"
            )
        except (firewall.Forbidden, firewall.Missing, ownports.PortsInUse) as error:
            self.not_quiet = error.strerror or str(error)
            if self.continuing is not None:
                self.continuing.close()
                self.continuing = None

    def renew(self) -> None:
        """The kernel goes on being quiet; called often. Raises firewall.Lost."""
        now = time.monotonic()
        if self.lease is not None and now >= self._renew_at:
            self._renew_at = now + _RENEW_S
            self.lease.renew()

    def _deliver(self, answers: AnswerArray) -> None:
        """On the receive thread."""
        if self.continuing is not None:
            self.continuing.put(answers)
        if self._resets is not None:
            self._resets.put(answers)
        self._on_answers(answers)

    def remember(self, batches: Iterable[U64Array]) -> None:
        """Answers that the scan has had already (keys of `stages.scanner.dedup`): they are repeats now."""
        for keys in batches:
            self._seen.mark(keys)

    def start(self) -> None:
        """Receive, and begin to send. After `open`."""
        assert self._claims is not None
        assert self._receiver is not None
        assert self._path is not None
        assert self._outlets is not None
        self._claims.begin(self.plan.max_runtime)
        self._rate_mark = (time.monotonic(), 0)
        if self._resets is not None:
            self._resets.start()
        if self.continuing is not None:
            self.continuing.start()
        self._receiver.start()
        program = self.plan.probe.filter(self.plan.source_ports)
        log.debug("%s", setup_lines.of_receiving(self.plan.receive_threads, len(program)))
        for number, (rows, wire) in enumerate(zip(self._outlets.rows, self._outlets.wires, strict=True)):
            if self._pcap is not None and self.plan.pcap_sent:
                wire = Recorded(wire, rows, self._pcap)
            limit, source = self.plan.max_sendto_failures, self._mask(rows)
            if self._claims.answered is not None:
                source = Silent(source, rows, self._claims.answered)
            if self._neighbours is not None:
                source = NextHops(source, rows, self._path.near, self._neighbours, self._path.target_mac)
                self._hops.append(source)
            self._senders.append(Sender(number, self._claims, source, wire, self._path.interface, limit))
        for sender in self._senders:
            sender.start()

    def pause(self) -> None:
        """Stop sending for now, after the batches under way; go on receiving."""
        if self._claims is not None:
            self._claims.pause()

    def resume(self) -> None:
        """Go on sending; the pause is not made up for."""
        if self._claims is not None:
            self._claims.resume()

    def stop_sending(self) -> None:
        """Send nothing more; the cooldown begins."""
        if self._claims is not None:
            self._claims.stop()

    def cut_short(self) -> None:
        """Enough is known: no cooldown either. Conversations under way come to their end."""
        self.stop_sending()
        self._enough = True

    def halt(self) -> None:
        """Send nothing more, and reset what is talked with; the cooldown is for what comes back."""
        self.stop_sending()
        if self.continuing is not None:
            self.continuing.abort()

    def change_rate(self, factor: float) -> float:
        """Multiply the rate; returns the new one. 0: there is no limit to change."""
        return self.plan.rate if self._claims is None else self._claims.change_rate(factor)

    @property
    def sending(self) -> bool:
        """Whether a sender thread still runs (a paused one does), or has yet to begin: the receive thread looks too,
        and would count the cooldown from before the first probe."""
        return any(sender.ident is None or sender.is_alive() for sender in self._senders)

    @property
    def position(self) -> int:
        """All positions before it have been sent (or belong to an earlier part of the scan)."""
        return self.plan.first if self._claims is None else self._claims.position

    def position_before(self, monotonic_time: float) -> int:
        """The newest position all of whose predecessors were sent before that moment (monotonic): for a checkpoint."""
        return self.plan.first if self._claims is None else self._claims.position_before(monotonic_time)

    @property
    def counters(self) -> Counters:
        sent = sum(sender.sent for sender in self._senders)
        sent -= self._refused()
        now = time.monotonic()
        marked, before = self._rate_mark
        if self._senders and now - marked >= _RATE_SPAN_S:
            self._rate = (sent - before) / (now - marked)
            self._rate_mark = (now, sent)
        if self._receiver is None:
            return Counters()
        tally = self._receiver.tally
        return Counters(
            sent=sent,
            send_failures=sum(sender.failures for sender in self._senders),
            received=tally.received,
            validated=tally.validated,
            invalid=max(tally.received - tally.validated, 0),
            duplicates=tally.duplicates,
            ring_drops=tally.drops,
            not_sent=sum(hops.left_out for hops in self._hops) + self._refused(),
            rate=self._rate,
        )

    def _refused(self) -> int:
        return 0 if self._outlets is None else sum(wire.refused for wire in self._outlets.wires)

    @property
    def error(self) -> BaseException | None:
        """What ended a thread before its time; `join` raises it."""
        threads: list[Sender | Receivers] = [*self._senders]
        if self._receiver is not None:
            threads.append(self._receiver)
        if self.continuing is not None and self.continuing.error is not None:
            return self.continuing.error
        return next((thread.error for thread in threads if thread.error is not None), None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until everything is sent, cooled down and delivered; False if `timeout` seconds passed before that.

        Raises what ended a thread before its time (SendFailed, another OSError, what `on_answers` raised).
        """
        end = None if timeout is None else time.monotonic() + timeout
        for thread in [*self._senders, self._receiver]:
            if thread is not None and thread.ident is not None:
                thread.join(None if end is None else max(end - time.monotonic(), 0.0))
                if thread.is_alive():
                    return False
        if self.continuing is not None:
            self.continuing.finish()
            while self.continuing.alive:
                if end is not None and time.monotonic() >= end:
                    return False
                self._closing.wait(_LOOK_S)
        if self._resets is not None and self._resets.ident is not None:
            self._resets.finish()
            self._resets.join(None if end is None else max(end - time.monotonic(), 0.0))
            if self._resets.is_alive():
                return False
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        """End the threads at once and close everything. Idempotent."""
        self._closing.set()
        if self._claims is not None:
            self._claims.stop()
        for thread in [*self._senders, self._receiver]:
            if thread is not None and thread.ident is not None:
                thread.join()
        if self._resets is not None:
            self._resets.close(_RESETS_S)
        if self.continuing is not None:
            self.continuing.close(_RESETS_S)
        if self.lease is not None:
            self.lease.release()
        if self._outlets is not None:
            self._outlets.close()
        if self._receiver is not None:
            self._receiver.close()
        if self._pcap is not None:
            self._pcap.close()

    @property
    def name(self) -> str:
        """Which way the packets go out; after `open`."""
        assert self._outlets is not None
        return self._outlets.name

    @property
    def passed_over(self) -> dict[str, str]:
        """What else was tried, and why it is not that."""
        assert self._outlets is not None
        return self._outlets.passed_over

    def describe(self) -> dict[str, object]:
        """What one log line says about the engine, once it is open."""
        assert self._path is not None
        assert self._outlets is not None
        sources = self.plan.source_ips or (self._path.source,)
        about: dict[str, object] = {
            "engine": self._outlets.name,
            "interface": self._path.interface,
            "source_ip": ",".join(_text(address) for address in sources),
            "source_ports": "{}-{}".format(*self.plan.source_ports),
            "threads": len(self._outlets.rows),
        }
        if self._outlets.name != "ip":
            about["source_mac"] = self._path.source_mac.hex(":")
            if self._path.target_mac is not None:
                about["gateway_mac"] = self._path.target_mac.hex(":")
        if self._path.vlan is not None:
            about["vlan"] = self._path.vlan
        if self._neighbours is not None:
            asked = self._path.near.addresses
            about["on_link"] = f"{len(self._neighbours)} of {asked} have a MAC"
        return about

    def _over(self) -> bool:
        """On the receive thread: whether it may end."""
        if self._closing.is_set() or any(sender.error is not None for sender in self._senders):
            return True
        if self.sending or not self._senders:
            return False
        if self._enough:
            return True
        now = time.monotonic()
        if self._sending_ended is None:
            self._sending_ended = now
            self._last_answer = time.time() + self.plan.cooldown
        return now - self._sending_ended >= self.plan.cooldown


def _text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))
