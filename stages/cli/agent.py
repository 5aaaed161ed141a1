"""`longline agent`: scans slices for coordinators, as far as its user likes."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import IO, TYPE_CHECKING, Final, Literal, cast

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import LonglineError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from stages.core.lists import Lists
    from stages.core.netset import NetSet
    from stages.core.settings import BusSettings, ListSettings, Loaded
    from stages.fleet.link import Way
    from stages.fleet.messages import Capabilities
    from stages.fleet.policy import LocalPolicy
    from stages.fleet.settings import AgentSettings
    from stages.fleet.work import Grab
    from stages.net.privileges import Setup

log = logging.getLogger("longline.cli.agent")

SECTIONS = ("agent", "lists", "politeness", "orders")

#: Seconds that a coordinator is waited for which does not answer at the enrolment: it may just be starting.
ENROL_SECONDS: Final = 20.0

#: The rate that is typed is that of probes; connections are bounded by their number, and by host and network.
OMIT = ("rate",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "coordinators",
        metavar="COORDINATOR",
        nargs="+",
        help="each coordinator to work for: https://HOST[:PORT], or the log that it reads, kafka://HOST:PORT[/PREFIX]",
    )
    parser.add_argument("--enrol", action="store_true", help="with --token: enrol with the first coordinator, and end")
    parser.add_argument("--check", action="store_true", help="try the way to each coordinator, and end")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)
    from stages.cli import reach
    from stages.cli.slices import LastingSetup
    from stages.cli.ways import checked
    from stages.core.settings import BusSettings

    urls = list(dict.fromkeys(checked(url, loaded.get("bus", BusSettings)) for url in args.coordinators))
    reach.check(*urls)
    if args.check:
        return _check(loaded, urls)
    if args.enrol:
        return _enrol_only(loaded, urls)
    setup = LastingSetup()  # before there are other threads
    try:
        return carry_out(loaded, urls, setup)
    finally:
        setup.end()


def capabilities(settings: AgentSettings, setup: Setup | None) -> Capabilities:
    """What this host can do, by trying. Raises MissingCapability where packets are asked for and cannot be sent."""
    import socket

    from stages import __version__
    from stages.cli.pipeline import parse_grabs
    from stages.core.errors import MissingCapability
    from stages.fleet.messages import Capabilities
    from stages.scanner.prepare import CONNECT_PROBE
    from stages.scanner.probes import NAMES

    def packets() -> bool:
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        except (OSError, AttributeError):
            return False
        return True

    privileged = packets() if setup is None else setup.run(packets, last=False)
    if settings.engine == "packet" and not privileged:
        raise MissingCapability("CAP_NET_RAW", "--engine packet", "--engine connect works without")
    packet = settings.engine == "packet" or (settings.engine == "auto" and privileged)
    engine: Literal["packet", "connect"] = "packet" if packet else "connect"
    probes = tuple(NAMES) if engine == "packet" else (CONNECT_PROBE,)
    if settings.modules is not None:
        wanted = tuple(settings.modules.split(","))
        if unknown := [name for name in wanted if name not in NAMES]:
            raise UsageError("--probe-modules", unknown[0], f"not one of {', '.join(NAMES)}")
        probes = tuple(name for name in probes if name in wanted)
    if not probes:
        raise UsageError("--probe-modules", settings.modules, f"nothing that --engine {engine} can do")
    return Capabilities(
        version=__version__,
        engine=engine,
        privileged=privileged,
        probes=probes,
        rate=settings.max_rate,
        grabs=cast("tuple[Grab, ...]", parse_grabs(settings.grab)),
    )


def forbidden_by(lists: Lists, settings: ListSettings) -> NetSet:
    """Whom an agent with these lists leaves alone."""
    from stages.core.netset import NetSet
    from stages.core.policy import Policy

    return NetSet(v4=Policy.for_scan(lists, settings, ()).forbidden_v4)


def policy_of(settings: AgentSettings, forbidden: NetSet, can: Capabilities) -> LocalPolicy:
    """Raises UsageError."""
    from stages.core.hours import Hours
    from stages.core.routing import parse_ports
    from stages.fleet.policy import LocalPolicy

    return LocalPolicy(
        max_rate=settings.max_rate,
        forbidden=forbidden,
        probes=frozenset(can.probes),
        ports=None if settings.ports is None else parse_ports(settings.ports),
        syn_per_target=settings.syn_per_target,
        hours=Hours.parse(settings.hours),
        grabs=frozenset(can.grabs),
    )


def carry_out(loaded: Loaded, urls: list[str], setup: Setup | None) -> int:
    import asyncio
    import datetime as dt
    import os
    import secrets
    import time
    from contextlib import ExitStack
    from pathlib import Path

    from stages.cli.slicegrabs import Grabbing
    from stages.cli.slices import FleetScanner
    from stages.cli.ways import place, way_to
    from stages.core.bus.base import Topics
    from stages.core.heed import Heed, files_of_host, heeding
    from stages.core.lifecycle import Life, launch
    from stages.core.lists import read_lists
    from stages.core.logs import set_up
    from stages.core.reload import Reloader
    from stages.core.resolving import resolver
    from stages.core.settings import BusSettings, ListSettings, OrdersSettings, PolitenessSettings
    from stages.fleet import ca
    from stages.fleet.agent import Agent
    from stages.fleet.messages import PROCESS_DIGITS
    from stages.fleet.settings import AgentSettings
    from stages.fleet.spool import Spool

    settings = loaded.get("agent", AgentSettings)
    set_up(os.environ)
    can = capabilities(settings, setup)
    lists, resolve = loaded.get("lists", ListSettings), resolver()
    grabbing = Grabbing(settings.concurrent, loaded.get("politeness", PolitenessSettings)) if can.grabs else None
    folder, bus = Path(settings.folder), loaded.get("bus", BusSettings)
    agent: Agent

    def apply(new: Lists) -> None:
        agent.forbid(forbidden_by(new, lists))

    reloader = Reloader(lists, resolve, apply)  # before the lists are read: what changes from here on is seen
    read = read_lists(lists, resolve)
    policy = policy_of(settings, forbidden_by(read, lists), can)

    async def main(life: Life) -> int:
        nonlocal agent
        if settings.token is not None:
            await _enrol(settings, bus, urls, folder)
        ways = [way_to(url, bus, ca.Identity(place(folder, url))) for url in urls]
        aliases = {ca.alias_in(ca.Identity(place(folder, url))) for url in urls}
        if len(aliases) > 1:
            raise UsageError("COORDINATOR", ", ".join(sorted(aliases)), "this agent has another alias at each of them")
        [alias] = aliases
        grabs = ",".join(can.grabs) or "none"
        log.info(
            "agent %s: %s engine, %d probe modules, at most %g/s, grabs: %s",
            alias, can.engine, len(can.probes), can.rate, grabs,
        )  # fmt: skip
        with ExitStack() as stack:
            spool = await asyncio.to_thread(Spool, folder / "spool.db", most=settings.spool_bytes)
            stack.callback(spool.close)
            keep = None if settings.keep is None else stack.enter_context(_kept(settings.keep))
            topics = Topics()
            agent = Agent(
                alias,
                ways,
                FleetScanner(alias, can, topics, setup, grabbing),
                spool,
                policy,
                can,
                folder=folder,
                topics=(topics.hits, topics.banners, topics.tls),
                clock=time.time,
                hour=lambda: dt.datetime.now().astimezone().hour,
                keep=keep,
                process=secrets.token_hex(PROCESS_DIGITS // 2),
            )
            reloader.start(named=read.named)
            try:
                async with heeding(Heed(files_of_host(loaded.get("orders", OrdersSettings).file))) as heed:
                    heed.listen(agent.heed)
                    await agent.run(life.stopping)
            finally:
                await reloader.close()
        return 0

    return launch(main)


def _kept(file: str) -> IO[bytes]:
    from stages.core.errors import HostError

    try:
        return open(file, "ab")
    except OSError as error:
        raise HostError(f"--keep {file}: {error.strerror}") from None


def _enrol_only(loaded: Loaded, urls: list[str]) -> int:
    import asyncio
    import os
    from pathlib import Path

    from stages.core.logs import set_up
    from stages.core.settings import BusSettings
    from stages.fleet.settings import AgentSettings

    settings = loaded.get("agent", AgentSettings)
    if settings.token is None:
        raise UsageError("--enrol", None, "needs --token, of longline fleet enrol")
    set_up(os.environ)
    asyncio.run(_enrol(settings, loaded.get("bus", BusSettings), urls, Path(settings.folder)))
    return 0


async def _enrol(settings: AgentSettings, bus: BusSettings, urls: list[str], folder: Path) -> None:
    """With the first of the coordinators. Raises UsageError, Unavailable, HostError."""
    import asyncio
    import datetime as dt

    from stages.cli.ways import place, way_to
    from stages.core.errors import HostError
    from stages.fleet import ca, link, messages

    assert settings.token is not None
    url = urls[0]
    identity = ca.Identity(place(folder, url))
    wanted = ca.read_token(settings.token)
    if identity.there and not ca.ended(identity, dt.datetime.now(dt.UTC)):
        log.info("%s: enrolled already, the token is not used", url)
        return
    stranger = way_to(url, bus, None)
    try:
        status, body = await _answered(stranger)
    finally:
        await stranger.close()
    authority = link.heard(url, messages.Enrolled, body).authority.encode() if status == 200 else b""
    try:
        found = ca.fingerprint(authority)
    except ValueError:
        found = ""
    if found != wanted:
        raise HostError(f"{url} is not the coordinator that the token is of (its authority is {found or 'none'})")
    key, request = ca.request(settings.alias or ca.ANY_ALIAS)
    way = way_to(url, bus, None, authority=authority)
    try:
        enrolled = await link.enrol(way, settings.token, request)
    finally:
        await way.close()
    await asyncio.to_thread(ca.write_private, identity.key, key)
    await asyncio.to_thread(ca.write_private, identity.authority, authority)
    await asyncio.to_thread(ca.write_private, identity.certificate, enrolled.certificate.encode())
    log.info("%s: enrolled as %s", url, ca.alias_in(identity))


async def _answered(stranger: Way) -> tuple[int, bytes]:
    """Its authority, from a coordinator that may just be starting. Raises Unavailable, HostError."""
    import asyncio

    from stages.core.errors import Unavailable
    from stages.core.pacing import backoff
    from stages.fleet.link import RETRY_CEILING, RETRY_FIRST

    failures, end = 0, asyncio.get_running_loop().time() + ENROL_SECONDS
    while True:
        try:
            return await stranger.post("/v1/authority", b"")
        except Unavailable as error:
            wait = backoff(failures, RETRY_FIRST, RETRY_CEILING)
            if asyncio.get_running_loop().time() + wait > end:
                raise
            if not failures:
                log.warning("out of reach: %s; it is tried again for %.0f s", error, ENROL_SECONDS)
            failures += 1
            await asyncio.sleep(wait)


def _check(loaded: Loaded, urls: list[str]) -> int:
    """A line for each step of the way to each coordinator; 1 if one failed."""
    import asyncio
    from pathlib import Path

    from stages.cli.ways import place, way_to
    from stages.core.settings import BusSettings
    from stages.fleet.settings import AgentSettings

    folder, bus = Path(loaded.get("agent", AgentSettings).folder), loaded.get("bus", BusSettings)

    async def one(url: str) -> bool:
        from stages.fleet import ca

        stranger = way_to(url, bus, None)
        try:
            status, _ = await stranger.post("/v1/authority", b"")
            sys.stdout.write(f"pass  {url}: a coordinator answers ({status})\n")
        except LonglineError as error:
            sys.stdout.write(f"fail  {error}\n")
            return False
        finally:
            await stranger.close()
        try:
            way = way_to(url, bus, ca.Identity(place(folder, url)))
        except LonglineError as error:
            sys.stdout.write(f"fail  {error}\n")
            return False
        try:
            status, body = await way.post("/v1/check", b"")
            if status != 200:
                sys.stdout.write(f"fail  {url}: our certificate is not taken: {body[:500].decode(errors='replace')}\n")
                return False
            sys.stdout.write(f"pass  {url}: our certificate is taken\n")
        except LonglineError as error:
            sys.stdout.write(f"fail  {error}\n")
            return False
        finally:
            await way.close()
        return True

    async def all_() -> list[bool]:
        return [await one(url) for url in urls]

    return 0 if all(asyncio.run(all_())) else 1
