"""Which engine does a slice of the scan: packets where it can be, ordinary connections otherwise.

How packets leave is chosen where they are sent from (`stages.scanner.wires`). `auto` falls back to connections only
from what cannot be done by packets at all (no privilege, no AF_PACKET, no numba; targets that are this host itself, or
too many neighbours), and says so in one line; never from what the user asked for by name: with `-i` or `-S` a scan that
left by another way would be a wrong answer, and a probe that is no TCP SYN has no form without packets.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from stages.core.descriptors import fit_concurrency, raise_descriptor_limit
from stages.core.errors import Confined, MissingCapability, UsageError
from stages.net.confine import ConfinedError, check_address
from stages.net.privileges import Setup
from stages.scanner.connect import ConnectEngine, ConnectPlan, Ipv4Targets, Ipv6Targets, Targeted
from stages.scanner.engines import Engine, NotByPackets
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import CONNECT_PROBE, Prepared, Slice
from stages.scanner.quantities import packets_per_second

if TYPE_CHECKING:
    from stages.scanner.engine import GoOn
    from stages.scanner.packets import Packets

log = logging.getLogger("longline.scanner.engine")

#: Bytes of the SYN that a Linux kernel sends: Ethernet 14, IPv4 20, TCP 20, options 20. For --bandwidth.
KERNEL_SYN_BYTES: Final = 74


async def open_engine(
    prepared: Prepared,
    part: Slice,
    on_answers: Callable[[Any], None],
    setup: Setup | None = None,
    *,
    hold: bool = False,
    go_on: GoOn | None = None,
    syns: int | None = None,
    packets: Callable[[bytes], object] | None = None,
) -> Engine:
    """The engine for a slice, opened. `on_answers` takes batches, possibly in another thread. `setup` has the
    capabilities that packets need; None: this process has. `hold`, `go_on`: what becomes of the connections that
    packets open (`stages.scanner.engine`). `syns`: that an ordinary connection may take. `packets`: also gets what
    --pcap would.

    Raises UsageError, MissingCapability, Confined, HostError.
    """
    settings = prepared.settings
    if settings.engine != "connect" and part.version == 4:
        try:
            return _told(await _open_packets(prepared, part, on_answers, setup, hold, go_on, packets))
        except (MissingCapability, NotByPackets) as error:
            wish = _only_packets(prepared)
            if settings.engine != "auto" or wish is not None:
                raise
            log.warning("ordinary connections (--engine connect): %s", error)
    wish = _only_packets(prepared)
    if settings.engine == "connect" and wish is not None:
        raise UsageError("--engine", "connect", f"{wish} needs packets; ordinary connections have nothing like it")
    return _connect(prepared, part, on_answers, syns)


async def _open_packets(
    prepared: Prepared,
    part: Slice,
    on_answers: Callable[[Any], None],
    setup: Setup | None,
    hold: bool,
    go_on: GoOn | None,
    packets: Callable[[bytes], object] | None,
) -> Packets:
    if not hasattr(socket, "AF_PACKET"):
        raise MissingCapability("AF_PACKET", "sending packets", "this system has none; use --engine connect")
    try:
        from stages.scanner.packets import Packets

        return await Packets.open(prepared, part, on_answers, setup, hold=hold, go_on=go_on, packets=packets)
    except ImportError as error:
        raise MissingCapability(f"the library {error.name}", "sending packets", "use --engine connect") from None


def _told(engine: Packets) -> Packets:
    """One line on what was passed over."""
    if engine.passed_over:
        reasons = "; ".join(f"not {name}: {why}" for name, why in engine.passed_over.items())
        log.info("%s engine; %s", engine.name, reasons)
    return engine


def _connect(prepared: Prepared, part: Slice, on_answers: Callable[[Any], None], syns: int | None) -> Engine:
    settings = prepared.settings
    targets: Targeted
    if part.version == 4:
        targets = Ipv4Targets(prepared.targets.space(prepared.ports))
    else:
        targets = Ipv6Targets(prepared.targets.v6)
    # Each address is checked when it is dialled; one is checked now, before a file is touched.
    _, host, _ = targets.look_up([0])[0]
    try:
        check_address(host)
    except ConfinedError as error:
        raise Confined(error.strerror or str(error)) from None
    rate = settings.rate
    if settings.bandwidth is not None:
        rate = packets_per_second(settings.bandwidth, KERNEL_SYN_BYTES)
    plan = ConnectPlan(
        targets=targets,
        permutation=Permutation(targets.size, prepared.spec.seed),
        rate=rate,
        connections=fit_concurrency(settings.connections, raise_descriptor_limit()[0]),
        timeout=settings.connect_timeout,
        syns=syns,
        first=part.first,
        last=part.last,
        max_runtime=settings.max_runtime,
        retries=settings.retries,
        retry_interval=settings.retry_interval,
        shard=part.shard,
        shards=part.shards,
    )
    return ConnectEngine(plan, on_answers, blocked=prepared.targets.policy.blocked)


def _only_packets(prepared: Prepared) -> str | None:
    """What the user asked for that only packets can give."""
    settings = prepared.settings
    if prepared.spec.probe != CONNECT_PROBE:
        return prepared.spec.probe
    asked = (
        ("-i", settings.interface),
        ("-S", settings.source_ip),
        ("-G", settings.gateway_mac),
        ("--source-mac", settings.source_mac),
        ("--vlan", settings.vlan),
    )
    return next((flag for flag, value in asked if value is not None), None)
