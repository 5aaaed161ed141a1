"""`longline coordinator`: gives slices of scans to agents, and writes what they find to a log."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import LonglineError, UsageError
from stages.core.reload import Signature, signature

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.fleet.state import State

log = logging.getLogger("longline.cli.coordinator")

SECTIONS = ("coordinator", "fleet", "bus", "metrics")

#: Options of the bus that are for readers.
OMIT = ("from_", "to", "group", "member", "dead", "file")

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
    from stages.cli.slices import Layout
    from stages.core.bus.urls import open_publisher
    from stages.core.lifecycle import Life, launch
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
        topics, metrics = topics_of(bus), Metrics()
        publisher = open_publisher(bus.sink, bus, main=topics.hits, stage="coordinator")
        ledger = Ledger(timeout=settings.agent_timeout, slice_seconds=settings.slice_seconds, rng=random.Random())
        coordinator = Coordinator(
            state, authority, ledger, publisher, topics, layout=Layout, clock=time.time, metrics=FleetMetrics(metrics)
        )
        server = Server(coordinator.handle, ca.Identity(Path(fleet.folder)), *settings.address)
        checks = {"log": lambda: publisher.ready}
        try:
            async with watched(loaded.get("metrics", MetricsSettings), metrics, checks):
                if not await started(publisher, life):
                    return 0
                await coordinator.start()
                log.info("agents are welcome on port %d", await server.start())
                watching, optouts = Watched(settings.watch, state), Optouts(settings.optout)
                while not life.stopping.is_set():
                    await asyncio.to_thread(watching.look)
                    coordinator.leave_alone(await asyncio.to_thread(optouts.read))
                    server.cut(await coordinator.tick())
                    if server.fault is not None and server.fault.done():
                        server.fault.result()
                    try:
                        async with asyncio.timeout(TICK):
                            await life.stopping.wait()
                    except TimeoutError:
                        pass
                return 0
        finally:
            await server.close()
            await publisher.close()
            await asyncio.to_thread(state.close)

    return launch(main)


class Optouts:
    """A list that is read again when its file changes; one that cannot be read leaves the old one in force."""

    def __init__(self, file: str | None) -> None:
        """Raises UsageError for a file that cannot be read now."""
        self._file = file
        self._seen: Signature = None
        self._networks: list[str] = []
        if file is not None:
            self._networks = self._read(file)

    def read(self) -> list[str]:
        """Blocks."""
        if self._file is not None:
            try:
                seen = signature(self._file)
                if seen != self._seen:
                    self._seen = seen  # what is wrong with it is told once, until it changes
                    self._networks = self._read(self._file)
            except LonglineError as error:
                log.error("%s is not read again, the old list stays in force: %s", self._file, error)
        return self._networks

    @staticmethod
    def _read(file: str) -> list[str]:
        from pathlib import Path

        from stages.core.netset import NetSet, range_texts
        from stages.fleet.messages import MAX_OPTOUTS

        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("--optout", file, str(error)) from None
        networks = range_texts(NetSet.parse(text.splitlines(), file).ranges_v4())
        if len(networks) > MAX_OPTOUTS:
            raise UsageError("--optout", file, f"{len(networks)} networks, at most {MAX_OPTOUTS}")
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
