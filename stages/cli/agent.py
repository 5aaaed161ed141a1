"""`longline agent`: scans slices for coordinators, as far as its user likes."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import IO, TYPE_CHECKING, Literal

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import LonglineError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from stages.core.settings import ListSettings, Loaded
    from stages.fleet.messages import Capabilities
    from stages.fleet.policy import LocalPolicy
    from stages.fleet.settings import AgentSettings
    from stages.net.privileges import Setup

log = logging.getLogger("longline.cli.agent")

SECTIONS = ("agent", "lists")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "coordinators", metavar="COORDINATOR", nargs="+", help="https://HOST[:PORT] of each coordinator to work for"
    )
    parser.add_argument("--enrol", action="store_true", help="with --token: enrol with the first coordinator, and end")
    parser.add_argument("--check", action="store_true", help="try the way to each coordinator, and end")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)
    from stages.cli import reach
    from stages.cli.slices import LastingSetup
    from stages.fleet.https import checked

    urls = list(dict.fromkeys(checked(url) for url in args.coordinators))
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
        version=__version__, engine=engine, privileged=privileged, probes=probes, rate=settings.max_rate
    )


def policy_of(settings: AgentSettings, lists: ListSettings, can: Capabilities) -> LocalPolicy:
    """Blocks on list files and names. Raises UsageError, ListError."""
    from stages.core.hours import Hours
    from stages.core.lists import read_lists
    from stages.core.netset import NetSet
    from stages.core.policy import Policy
    from stages.core.resolving import resolver
    from stages.core.routing import parse_ports
    from stages.fleet.policy import LocalPolicy

    policy = Policy.for_scan(read_lists(lists, resolver()), lists, ())
    return LocalPolicy(
        max_rate=settings.max_rate,
        forbidden=NetSet(v4=policy.forbidden_v4),
        probes=frozenset(can.probes),
        ports=None if settings.ports is None else parse_ports(settings.ports),
        syn_per_target=settings.syn_per_target,
        hours=Hours.parse(settings.hours),
    )


def carry_out(loaded: Loaded, urls: list[str], setup: Setup | None) -> int:
    import asyncio
    import datetime as dt
    import os
    import time
    from contextlib import ExitStack
    from pathlib import Path

    from stages.cli.slices import FleetScanner
    from stages.core.bus.base import Topics
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import ListSettings
    from stages.fleet import ca
    from stages.fleet.agent import Agent
    from stages.fleet.https import Client
    from stages.fleet.settings import AgentSettings
    from stages.fleet.spool import Spool

    settings = loaded.get("agent", AgentSettings)
    set_up(os.environ)
    can = capabilities(settings, setup)
    policy = policy_of(settings, loaded.get("lists", ListSettings), can)
    folder = Path(settings.folder)

    async def main(life: Life) -> int:
        if settings.token is not None:
            await _enrol(settings, urls, folder)
        ways = [Client(url, ca.Identity(place(folder, url))) for url in urls]
        aliases = {ca.alias_in(ca.Identity(place(folder, url))) for url in urls}
        if len(aliases) > 1:
            raise UsageError("COORDINATOR", ", ".join(sorted(aliases)), "this agent has another alias at each of them")
        [alias] = aliases
        log.info("agent %s: %s engine, %d probe modules, at most %g/s", alias, can.engine, len(can.probes), can.rate)
        with ExitStack() as stack:
            spool = await asyncio.to_thread(Spool, folder / "spool.db", most=settings.spool_bytes)
            stack.callback(spool.close)
            keep = None if settings.keep is None else stack.enter_context(_kept(settings.keep))
            topics = Topics()
            agent = Agent(
                alias,
                ways,
                FleetScanner(alias, can, topics, setup),
                spool,
                policy,
                can,
                folder=folder,
                hits=topics.hits,
                clock=time.time,
                hour=lambda: dt.datetime.now().astimezone().hour,
                keep=keep,
            )
            await agent.run(life.stopping)
        return 0

    return launch(main)


def place(folder: Path, url: str) -> Path:
    """Where the certificate for one coordinator is: what our own user typed names it, nothing that came from there."""
    return folder / url.removeprefix("https://").replace(":", "_").replace("[", "").replace("]", "")


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
    from stages.fleet.settings import AgentSettings

    settings = loaded.get("agent", AgentSettings)
    if settings.token is None:
        raise UsageError("--enrol", None, "needs --token, of longline fleet enrol")
    set_up(os.environ)
    asyncio.run(_enrol(settings, urls, Path(settings.folder)))
    return 0


async def _enrol(settings: AgentSettings, urls: list[str], folder: Path) -> None:
    """With the first of the coordinators. Raises UsageError, Unavailable, HostError."""
    import asyncio

    from stages.core.errors import HostError
    from stages.fleet import ca, link, messages
    from stages.fleet.https import Client

    assert settings.token is not None
    url = urls[0]
    identity = ca.Identity(place(folder, url))
    wanted = ca.read_token(settings.token)
    if identity.there:
        log.info("%s: enrolled already, the token is not used", url)
        return
    stranger = Client(url, None)
    try:
        status, body = await stranger.post("/v1/authority", b"")
    finally:
        await stranger.close()
    authority = link.heard(url, messages.Enrolled, body).authority.encode() if status == 200 else b""
    try:
        found = ca.fingerprint(authority)
    except ValueError:
        found = ""
    if found != wanted:
        raise HostError(f"{url} is not the coordinator that the token is of (its authority is {found or 'none'})")
    key, request = ca.request(settings.alias or "agent")
    way = Client(url, None, authority=authority)
    try:
        enrolled = await link.enrol(way, settings.token, request)
    finally:
        await way.close()
    await asyncio.to_thread(ca.write_private, identity.key, key)
    await asyncio.to_thread(ca.write_private, identity.authority, authority)
    await asyncio.to_thread(ca.write_private, identity.certificate, enrolled.certificate.encode())
    log.info("%s: enrolled as %s", url, ca.alias_in(identity))


def _check(loaded: Loaded, urls: list[str]) -> int:
    """A line for each step of the way to each coordinator; 1 if one failed."""
    import asyncio
    from pathlib import Path

    from stages.fleet.settings import AgentSettings

    folder = Path(loaded.get("agent", AgentSettings).folder)

    async def one(url: str) -> bool:
        from stages.fleet import ca
        from stages.fleet.https import Client

        stranger = Client(url, None)
        try:
            status, _ = await stranger.post("/v1/authority", b"")
            sys.stdout.write(f"pass  {url}: a coordinator answers ({status})\n")
        except LonglineError as error:
            sys.stdout.write(f"fail  {error}\n")
            return False
        finally:
            await stranger.close()
        try:
            way = Client(url, ca.Identity(place(folder, url)))
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
