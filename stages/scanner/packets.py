"""The engine that sends packets behind the interface that all engines have for the app.

`PacketEngine` has threads of its own and blocks in `open`, `join` and `close`; here those calls go to a thread, its
exceptions become ours, and its end becomes `done`.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Final

from stages.core.errors import Confined, HostError, LonglineError, MissingCapability, UsageError
from stages.net.confine import ConfinedError
from stages.net.headers import VLAN_TAG_BYTES
from stages.net.link import InterfaceError, NoNeighbour
from stages.net.path import NotOurs, OnLink, OwnAddress, TooLong
from stages.net.privileges import Setup
from stages.scanner import probes
from stages.scanner.answers import AnswerArray
from stages.scanner.engine import GoOn, PacketEngine, Plan
from stages.scanner.engines import NotByPackets
from stages.scanner.mask import Mask
from stages.scanner.mixed import Module, frame_bytes, joined
from stages.scanner.parts import Part
from stages.scanner.pcap import Pcap
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared, Slice
from stages.scanner.probes.base import ProbeModule
from stages.scanner.quantities import packets_per_second, parse_mac, parse_source_ips
from stages.scanner.settings import ScannerSettings
from stages.scanner.summary import EngineCounters
from stages.scanner.templates import TemplateError

#: Seconds from the kernel's receiving a packet to our having it, at most: a block of the ring is handed over when it
#: is full or after some milliseconds; the rest is for a machine that is busy.
RING_DELAY: Final = 1.0

#: What raw sockets need (capabilities(7)).
CAPABILITY: Final = "CAP_NET_RAW"


class Packets:
    """One slice of a scan by raw packets."""

    def __init__(self, engine: PacketEngine, plan: Plan) -> None:
        self._engine = engine
        self._plan = plan
        self.name = engine.name  #: which way the packets go out
        self.passed_over = engine.passed_over  #: what else was tried, and why it is not that
        self.rate = plan.rate
        self.continuing = engine.continuing  #: who goes on with what is opened, if somebody does
        self.not_quiet = engine.not_quiet  #: why nobody can

    @classmethod
    async def open(
        cls,
        prepared: Prepared,
        part: Slice,
        on_answers: Callable[[AnswerArray], None],
        setup: Setup | None = None,
        *,
        hold: bool = False,
        go_on: GoOn | None = None,
        packets: Callable[[bytes], object] | None = None,
    ) -> Packets:
        """Find the way out and open the sockets; nothing is sent but ARP. `on_answers` is called in another thread.
        `setup` has the capabilities for it; None: this process has. `hold`, `go_on`: see Plan and PacketEngine.
        `packets`: also gets what --pcap would.

        Raises UsageError, MissingCapability, NotByPackets, Confined, HostError.
        """
        plan = plan_of(prepared, part, hold=hold)
        targets = prepared.targets
        engine = PacketEngine(
            plan,
            on_answers,
            mask=lambda rows: Mask(rows, targets.policy, targets.generation),
            pcap=_pcap(prepared.settings.pcap, packets),
            go_on=go_on,
        )
        try:
            if prepared.known is not None:
                await asyncio.to_thread(engine.remember, prepared.known.batches())
            await asyncio.to_thread(setup.run if setup is not None else _plainly, engine.open)
        except OSError as error:
            raise _mapped(error, prepared.settings) from None
        return cls(engine, plan)

    def start(self) -> None:
        self._engine.start()

    def pause(self) -> None:
        self._engine.pause()

    def resume(self) -> None:
        self._engine.resume()

    def stop_sending(self) -> None:
        self._engine.stop_sending()

    def cut_short(self) -> None:
        self._engine.cut_short()

    def halt(self) -> None:
        self._engine.halt()

    def change_rate(self, factor: float) -> None:
        self.rate = self._engine.change_rate(factor)

    @property
    def sending(self) -> bool:
        return self._engine.sending

    @property
    def done(self) -> bool:
        """Sending has ended, the cooldown is over and so is the last conversation, or the engine has failed."""
        return self._engine.error is not None or self._engine.join(0)

    @property
    def failure(self) -> HostError | None:
        """Why the engine gave up. A bug of ours is raised as it is."""
        error = self._engine.error
        if error is None:
            return None
        if not isinstance(error, OSError):
            raise error
        return HostError(f"the scan stopped: {error.strerror or error}")

    @property
    def position(self) -> int:
        return self._engine.position

    def settled(self, now: float, wait: float) -> int:
        """The newest position before which every answer is in that comes within `wait` seconds."""
        return self._engine.position_before(now - wait - RING_DELAY)

    def renew(self) -> None:
        """The kernel goes on being quiet. Raises HostError: it is not any more."""
        try:
            self._engine.renew()
        except OSError as error:
            raise HostError(error.strerror or str(error)) from None

    @property
    def counters(self) -> EngineCounters:
        return self._engine.counters

    def describe(self) -> dict[str, object]:
        return {**self._engine.describe(), "engine": self.name}

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.close)


def _pcap(name: str | None, also: Callable[[bytes], object] | None) -> Pcap | None:
    try:
        return Pcap.of(name, also)
    except OSError as error:
        raise UsageError("--pcap", name, f"cannot be written: {error.strerror}") from None


def _plainly(work: Callable[[], None]) -> None:
    work()


def plan_of(prepared: Prepared, part: Slice, *, hold: bool = False) -> Plan:
    """The engine's plan for a slice. Raises UsageError for what only the probe module can judge."""
    settings = prepared.settings
    modules = modules_of(prepared)
    probe = modules[0].probe if len(modules) == 1 else joined(modules)
    rate = settings.rate
    if settings.bandwidth is not None:
        frame = frame_bytes(modules)
        rate = packets_per_second(settings.bandwidth, frame + (0 if settings.vlan is None else VLAN_TAG_BYTES))
    space = prepared.targets.space(prepared.ports)
    try:
        return Plan(
            space=space,
            permutation=Permutation(space.size, prepared.spec.seed),
            probe=probe,
            secret=prepared.checkpoint.secret,
            source_ips=None if settings.source_ip is None else parse_source_ips(settings.source_ip),
            source_ports=settings.source_ports,
            interface=settings.interface,
            gateway_mac=None if settings.gateway_mac is None else parse_mac(settings.gateway_mac),
            source_mac=None if settings.source_mac is None else parse_mac(settings.source_mac),
            rate=rate,
            probes=settings.probes,
            retries=settings.retries,
            retry_interval=settings.retry_interval,
            ttl=settings.probe_ttl,
            first=part.first,
            last=part.last,
            shard=part.shard,
            shards=part.shards,
            max_runtime=settings.max_runtime,
            cooldown=settings.cooldown_time,
            engine=settings.engine,
            threads=settings.sender_threads,
            vlan=settings.vlan,
            dedup=settings.dedup_method,
            window=settings.dedup_window_size,
            max_sendto_failures=settings.max_sendto_failures,
            send_rst=settings.send_rst,
            hold=hold,
            receive_threads=settings.receive_threads,
            pcap_sent=settings.pcap_sent,
            modules=modules if len(modules) > 1 else (),
        )
    except ValueError as error:
        raise UsageError("scan", None, str(error)) from None


def modules_of(prepared: Prepared) -> tuple[Module, ...]:
    """The probe modules of a scan with their arguments: one, but for a mixed scan. Raises UsageError, HostError."""
    return tuple(Module(_module(part, mixed=len(prepared.parts) > 1), part.ports) for part in prepared.parts)


def _module(part: Part, *, mixed: bool) -> ProbeModule:
    place, value = ("--probe", part.text()) if mixed else ("--probe-args", part.args or None)
    try:
        return probes.get(part.probe, part.args)
    except TemplateError as error:
        raise HostError(str(error)) from None
    except ValueError as error:
        raise UsageError(place, value, str(error)) from None
    except OSError as error:  # a file that the arguments name
        raise UsageError(place, value, error.strerror or str(error)) from None


def _mapped(error: OSError, settings: ScannerSettings) -> LonglineError:
    if isinstance(error, ConfinedError):
        return Confined(error.strerror or str(error))
    if isinstance(error, PermissionError):
        instead = "run it as root, or use --engine connect, which needs no privilege"
        return MissingCapability(CAPABILITY, "sending packets", instead)
    text = error.strerror or str(error)
    if isinstance(error, OnLink | OwnAddress) or error.errno == errno.EPFNOSUPPORT:
        return NotByPackets(text)
    if isinstance(error, NotOurs):
        return UsageError("--source-ip", settings.source_ip, text)
    if isinstance(error, TooLong):
        return UsageError("--probe-args", settings.probe_args, text)
    if isinstance(error, InterfaceError):
        return UsageError("--interface", settings.interface, text)
    if isinstance(error, NoNeighbour):
        return UsageError("--gateway-mac", None, text)
    return HostError(text)
