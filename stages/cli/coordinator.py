"""`longline coordinator`: gives slices of scans to agents, and writes what they find to a log."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import LonglineError, UsageError
from stages.core.netset import NetSet, range_texts
from stages.core.reload import Signature, signature
from stages.fleet.messages import MAX_OPTOUTS

if TYPE_CHECKING:
    from stages.core.lifecycle import Life
    from stages.core.settings import BusSettings, Loaded
    from stages.fleet import ca
    from stages.fleet.https import Handle
    from stages.fleet.logserver import LogServer
    from stages.fleet.metrics import FleetMetrics
    from stages.fleet.state import State

log = logging.getLogger("longline.cli.coordinator")

SECTIONS = ("coordinator", "fleet", "bus", "metrics")

#: Options of the bus that are for readers.
OMIT = ("from_", "to", "group", "member", "dead", "file")

#: The coordinator among the readers of its log.
MEMBER: Final = "coordinator"

#: Seconds between two looks at what time brings: a revoked agent is cut off, an order to stop goes out.
TICK: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    return carry_out(load_settings(args, *SECTIONS))


def carry_out(loaded: Loaded) -> int:
    import asyncio
    import os
    import random
    import time
    from pathlib import Path

    from stages.cli.assembly import started, topics_of, watched
    from stages.cli.heeding import heed_of, orders_of
    from stages.cli.slices import Layout
    from stages.core.bus.urls import open_publisher
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.core.metrics import Metrics
    from stages.core.settings import PIPE, BusSettings, MetricsSettings
    from stages.fleet import ca
    from stages.fleet.coordinator import Coordinator
    from stages.fleet.https import Server
    from stages.fleet.ledger import Ledger
    from stages.fleet.metrics import FleetMetrics
    from stages.fleet.settings import CoordinatorSettings, FleetSettings
    from stages.fleet.state import State

    settings = loaded.get("coordinator", CoordinatorSettings)
    fleet = loaded.get("fleet", FleetSettings)
    bus = loaded.get("bus", BusSettings)
    if bus.sink == PIPE:
        raise UsageError("--bus", None, "where results go: sqlite:FILE or kafka://HOST:PORT")
    set_up(os.environ)
    authority = ca.Authority(Path(fleet.folder))

    async def main(life: Life) -> int:
        state = await asyncio.to_thread(State, fleet.state)
        try:
            if await _ours(state, life):
                return await serve(state, life)
            return 0
        finally:
            await asyncio.to_thread(state.close)

    async def serve(state: State, life: Life) -> int:
        topics, metrics = topics_of(bus), Metrics()
        publisher = open_publisher(bus.sink, bus, main=topics.hits, stage="coordinator")
        ledger = Ledger(timeout=settings.agent_timeout, slice_seconds=settings.slice_seconds, rng=random.Random())
        counted = FleetMetrics(metrics)
        coordinator = Coordinator(
            state, authority, ledger, publisher, topics, layout=Layout, clock=time.time, metrics=counted
        )
        identity = ca.Identity(Path(fleet.folder))
        server = Server(coordinator.handle, identity, *settings.address) if settings.address is not None else None
        heed = heed_of(loaded, metrics, reads=False, more=[orders_of(fleet.state)])
        checks = {"log": lambda: publisher.ready}
        by_log, answering = None, None
        if settings.work is not None:
            by_log = _by_log(settings.work, bus, coordinator.handle, state, identity, authority, counted)
            checks["work"] = lambda: by_log.ready
        try:
            async with watched(loaded.get("metrics", MetricsSettings), metrics, checks):
                if not await started(publisher, life):
                    return 0
                await coordinator.start()
                if not await started(heed, life):
                    return 0
                heed.listen(coordinator.heed)
                if server is not None:
                    log.info("agents are welcome on port %d", await server.start())
                if by_log is not None:
                    answering = asyncio.create_task(by_log.run(), name="answers by the log")
                watching, optouts = Watched(settings.watch, state), Optouts(settings.optout)
                while not life.stopping.is_set():
                    await asyncio.to_thread(watching.look)
                    coordinator.leave_alone(await asyncio.to_thread(optouts.read, heed.standing.networks))
                    gone = await coordinator.tick()
                    if server is not None:
                        server.cut(gone)
                        if server.fault is not None and server.fault.done():
                            server.fault.result()
                    if answering is not None and answering.done():
                        answering.result()
                    try:
                        async with asyncio.timeout(TICK):
                            await life.stopping.wait()
                    except TimeoutError:
                        pass
                return 0
        finally:
            if answering is not None:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
            if server is not None:
                await server.close()
            await heed.close()
            await publisher.close()

    return launch(main)


async def _ours(state: State, life: Life) -> bool:
    """Wait until no other process has the state, and take it; False when told to stop before. Raises Unavailable."""
    import asyncio

    from stages.core.bus import owner

    token, told = owner.take(), False
    while (holder := await asyncio.to_thread(state.own, token, owner.alive)) is not None:
        if not told:
            told = True
            log.info("process %s has the state: standing by", holder.partition("-")[0])
        try:
            async with asyncio.timeout(TICK):
                await life.stopping.wait()
            return False
        except TimeoutError:
            pass
    return True


def _by_log(
    url: str,
    bus: BusSettings,
    handle: Handle,
    state: State,
    identity: ca.Identity,
    authority: ca.Authority,
    metrics: FleetMetrics,
) -> LogServer:
    """Agents come by the log of `url` too. Raises UsageError, HostError, Confined."""
    import time

    from stages.cli import reach
    from stages.core.bus.base import Topics
    from stages.core.bus.urls import open_publisher, open_source
    from stages.fleet.envelope import Signer
    from stages.fleet.logserver import LogServer
    from stages.fleet.logway import place_of

    place, prefix = place_of(url, bus.prefix, "--work")
    reach.check(place)
    topics = Topics(prefix)
    # One process has the state, so under one name: who is killed and begins anew is waited for by nobody (KIP-345).
    ours = bus.model_copy(update={"member": bus.member or MEMBER})
    return LogServer(
        handle,
        open_source(place, (topics.agents, topics.claims), f"{prefix}.{MEMBER}", ours),
        open_publisher(place, ours, main=topics.work, stage=MEMBER),
        topics,
        state,
        Signer(identity),
        authority.pem,
        clock=time.time,
        metrics=metrics,
    )


class Optouts:
    """A list that is read again when its file changes; one that cannot be read leaves the old one in force."""

    def __init__(self, file: str | None) -> None:
        """Raises UsageError for a file that cannot be read now."""
        self._file = file
        self._seen: Signature = None
        self._networks = NetSet()
        self._besides = NetSet()
        if file is not None:
            self._networks = self._read(file)
        self._told = range_texts(self._networks.ranges_v4())

    def read(self, besides: NetSet | None = None) -> list[str]:
        """Those of the file, and of standing orders. Blocks."""
        before = self._networks
        if self._file is not None:
            try:
                seen = signature(self._file)
                if seen != self._seen:
                    self._seen = seen  # what is wrong with it is told once, until it changes
                    self._networks = self._read(self._file)
            except LonglineError as error:
                log.error("%s is not read again, the old list stays in force: %s", self._file, error)
        besides = besides if besides is not None else NetSet()
        if self._networks is not before or besides is not self._besides:
            self._besides = besides
            told = range_texts(self._networks.union(besides).ranges_v4())
            if len(told) > MAX_OPTOUTS:
                log.error("%d networks want to be left alone, agents hear of the first %d", len(told), MAX_OPTOUTS)
            self._told = told[:MAX_OPTOUTS]
        return self._told

    @staticmethod
    def _read(file: str) -> NetSet:
        from pathlib import Path

        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("--optout", file, str(error)) from None
        networks = NetSet.parse(text.splitlines(), file)
        if (number := len(networks.ranges_v4())) > MAX_OPTOUTS:
            raise UsageError("--optout", file, f"{number} networks, at most {MAX_OPTOUTS}")
        return networks


class Watched:
    """A folder whose files are submitted, each once; one that is no scan is told of once, until it changes."""

    def __init__(self, folder: str | None, state: State) -> None:
        self._folder, self._state = folder, state
        self._seen: dict[str, Signature] = {}

    def look(self) -> None:
        """Blocks."""
        if self._folder is None:
            return
        from pathlib import Path

        from stages.cli.submitting import submit

        folder = Path(self._folder)
        for file in sorted((*folder.glob("*.toml"), *folder.glob("*.txt"))):
            seen = signature(str(file))
            if seen is None or self._seen.get(file.name) == seen:
                continue
            self._seen[file.name] = seen
            try:
                for work in submit(self._state, str(file)):
                    log.info("%s: scan %s, %d targets", file, work.scan, work.size)
            except LonglineError as error:
                log.error("%s is not submitted: %s", file, error)
