"""`longline doctor`: whether this host, the log and the store are fit for the work: pass, warn or FAIL, and the mend.

Nothing is sent to a target, nothing is asked of a neighbour, and nothing is changed. With `--notice` the name server
and the pages on our own source addresses are asked. What a packet scan does by itself is proved by `longline scan
--self-test`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings

if TYPE_CHECKING:
    from stages.cli.findings import Finding
    from stages.cli.notice_checks import Asks
    from stages.core.settings import Loaded

SECTIONS = ("bus", "store", "lists")

#: Options of the bus that are for stages.
OMIT = ("from_", "to", "group", "member", "dead", "batch_lines", "max_log_bytes", "exclude", "ignore_blocklist_errors")

#: An address that every default route covers and nobody has (RFC 5737); only the kernel is asked about it.
_SOMEWHERE: Final = 0xC6336401
#: AF_XDP of linux/socket.h.
_AF_XDP: Final = 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i", "--interface", metavar="NAME", help="scan from there; default: where the default route is"
    )
    parser.add_argument(
        "--notice", metavar="FILE", help="look at the names and pages of a notice's source addresses too"
    )
    parser.add_argument(
        "--resolver", metavar="ADDRESS[:PORT]", help="whom to ask for names; default: resolv.conf's first"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    import orjson

    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up

    set_up(os.environ, default="error")
    resolver = None
    if args.notice is not None:
        from stages.cli.dnsasking import Resolver

        resolver = Resolver(args.resolver)

    async def main(_: Life) -> int:
        failed = False
        async for finding in _all(loaded, args, resolver):
            failed |= finding.state == "FAIL"
            if args.json:
                sys.stdout.buffer.write(orjson.dumps(finding.shown(), option=orjson.OPT_APPEND_NEWLINE))
                sys.stdout.buffer.flush()
            else:
                sys.stdout.write(f"{finding.line}\n")
                sys.stdout.flush()
        return int(failed)

    return launch(main)


async def _all(loaded: Loaded, args: argparse.Namespace, resolver: Asks | None) -> AsyncIterator[Finding]:
    checks: list[Callable[[], Iterator[Finding]]] = [
        _privileges, lambda: _network(args.interface), _xdp, _descriptors, _clock, lambda: _lists(loaded),
    ]  # fmt: skip
    for check in checks:
        for finding in check():
            yield finding
    async for finding in _log(loaded):
        yield finding
    async for finding in _store(loaded):
        yield finding
    if resolver is not None:
        from stages.cli.notice_checks import look

        for finding in look(args.notice, loaded, resolver):
            yield finding


def _privileges() -> Iterator[Finding]:
    from stages.cli import findings
    from stages.net.privileges import capabilities

    yield findings.privileges(capabilities())


def _network(interface: str | None) -> Iterator[Finding]:
    from ipaddress import IPv4Address

    from stages.cli.findings import FAIL, GOOD, WARN, Finding
    from stages.net import link as links
    from stages.net import route as routes

    gateway = None
    try:
        if interface is None:
            way = routes.route(_SOMEWHERE)
            interface, gateway = way.interface, way.gateway
        link = links.interface(interface)
        links.check_usable(link)
    except OSError as error:
        yield Finding(
            WARN if interface is None else FAIL, "interface", error.strerror or str(error),
            "bring one up with a default route, or name one: -i",
        )  # fmt: skip
        return
    if link.address is None:
        yield Finding(FAIL, "interface", f"{interface} has no IPv4 address", f"ip address add ... dev {interface}")
        return
    yield Finding(GOOD, "interface", f"{interface}, {IPv4Address(link.address)}, MTU {link.mtu}")
    if gateway is not None:
        known = routes.neighbours(interface).get(gateway)
        where = known.hex(":") if known is not None else "not known yet: a scan asks for it first"
        yield Finding(GOOD, "gateway", f"{IPv4Address(gateway)}, {where}")

    yield _ring(interface)


def _ring(interface: str) -> Finding:
    from stages.cli.findings import GOOD, WARN, Finding
    from stages.net.continuation_link import packet_filter
    from stages.net.ring import Ring

    try:
        Ring(interface, packet_filter((1, 1)), blocks=1).close()
    except OSError as error:
        return Finding(WARN, "ring", error.strerror or str(error), "needs CAP_NET_RAW; --engine connect needs none")
    return Finding(GOOD, "ring", f"the kernel gives one on {interface}")


def _xdp() -> Iterator[Finding]:
    import socket

    from stages.cli.findings import GOOD, WARN, Finding

    try:
        socket.socket(_AF_XDP, socket.SOCK_RAW, 0).close()
    except OSError as error:
        mend = "needs CAP_NET_RAW and a kernel with AF_XDP; --engine packet does without"
        yield Finding(WARN, "xdp", error.strerror or str(error), mend)
    else:
        yield Finding(GOOD, "xdp", "the kernel gives AF_XDP sockets")


def _descriptors() -> Iterator[Finding]:
    from stages.cli import findings
    from stages.core.descriptors import raise_descriptor_limit

    yield findings.descriptors(raise_descriptor_limit()[1])


def _clock() -> Iterator[Finding]:
    from stages.cli import findings

    yield findings.clock(findings.clock_state())


def _lists(loaded: Loaded) -> Iterator[Finding]:
    import time
    from pathlib import Path

    from stages.cli import findings
    from stages.core.settings import ListSettings

    files = loaded.get("lists", ListSettings).blocklist_file
    if not files:
        yield findings.Finding(
            findings.WARN, "blocklist", "none: nobody who opted out is left alone", "-b FILE, or /etc/longline"
        )
    for name in files:
        try:
            age = time.time() - Path(name).stat().st_mtime
        except OSError as error:
            yield findings.Finding(findings.FAIL, "blocklist", f"{name}: {error.strerror}", "scans stop at that")
        else:
            yield findings.blocklist(name, age)


async def _log(loaded: Loaded) -> AsyncIterator[Finding]:
    from stages.cli.findings import FAIL, GOOD, WARN, Finding
    from stages.cli.topics import wanted_of
    from stages.core.bus.topic_plan import plan
    from stages.core.bus.urls import topic_keeper
    from stages.core.errors import LonglineError
    from stages.core.settings import BusSettings, TopicSettings, masked

    bus = loaded.get("bus", BusSettings)
    if not bus.url.startswith("kafka:"):
        yield Finding(GOOD, "log", "a pipe" if bus.url == "-" else str(masked(bus.url)))
        return
    wanted = wanted_of(bus, loaded.get("topics", TopicSettings))
    try:
        found = await topic_keeper(bus.url, bus).found(wanted)
    except LonglineError as error:
        yield Finding(FAIL, "log", str(error), "is the broker up, and are we let in?")
        return
    yield Finding(GOOD, "log", f"{masked(bus.url)} answers")
    steps = list(plan(wanted, found))
    if steps:
        text = f"{len({step.topic for step in steps})} of {len(wanted)} topics are not as they should be"
        yield Finding(WARN, "topics", text, "longline topics plan")
    else:
        yield Finding(GOOD, "topics", f"{len(wanted)} are as they should be")


async def _store(loaded: Loaded) -> AsyncIterator[Finding]:
    from stages.cli.findings import FAIL, GOOD, Finding
    from stages.core.errors import LonglineError
    from stages.core.settings import StoreSettings, masked
    from stages.sink.app import open_store
    from stages.sink.query import reading
    from stages.sink.settings import SinkSettings
    from stages.sink.store import Collection

    settings = loaded.get("store", StoreSettings)
    try:
        async with reading(open_store(settings, loaded.get("sink", SinkSettings), read_only=True)) as store:
            count = await store.count(Collection.SERVICES)
    except LonglineError as error:
        yield Finding(FAIL, "store", str(error), "longline sink --init makes it")
    else:
        yield Finding(GOOD, "store", f"{masked(settings.url)} answers: {count} services")
