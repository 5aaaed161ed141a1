"""The life of an agent: asks its coordinators for slices, scans one after the other, hands over what it finds.

Coordinators are asked in turn, and whatever they ask for, one slice sends at a time, at no more than the agent's own
rate; the next one begins when it has sent all and only listens. While a coordinator is away the scan goes on, and what
it finds waits in the spool. A lease that was lost ends its scan; what is left of it in the spool is dropped, because
whoever has the slice now finds it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, Protocol

from stages.core.bus.base import Publisher
from stages.core.errors import HostError, LonglineError, Unavailable
from stages.core.netset import NetSet
from stages.core.orders import Standing
from stages.core.routing import parse_ports
from stages.fleet import messages
from stages.fleet.link import Gone, Link, Way, why
from stages.fleet.messages import Capabilities, Slice
from stages.fleet.policy import LocalPolicy
from stages.fleet.spool import Spool, Spooling
from stages.fleet.work import Work, proof

log = logging.getLogger("longline.fleet.agent")

#: Seconds between two signs of life of a slice, which also bring the order to stop.
BEAT: Final = 2.0

#: Slices that have sent all and only listen, at most, while the next one sends. A cooldown is shorter than the shortest
#: slice as a rule; each of them has a ring of its own.
LISTENING: Final = 2

#: Seconds between two looks whether a slice still sends.
LOOK: Final = 0.1

#: Seconds at the end to hand over what waits.
FLUSH: Final = 10.0

#: Seconds without work after a slice that this host could not do.
PAUSE: Final = 10.0


class SliceScan(Protocol):
    """One slice being scanned."""

    async def run(self) -> None:
        """To its end, or until it is stopped. Raises LonglineError."""

    def stop(self) -> None:
        """Begin nothing more, soon."""

    def halt(self) -> None:
        """Send nothing more at all, at once."""

    def leave_alone(self, networks: NetSet) -> None:
        """These besides, from now on."""

    @property
    def position(self) -> int:
        """All before it is done, and its results are published."""

    @property
    def sending(self) -> bool:
        """Probes are still to be sent."""

    @property
    def sent(self) -> int: ...
    @property
    def rate(self) -> float: ...


class Scanner(Protocol):
    """What scans; it knows nothing of coordinators."""

    def digest(self, work: Work) -> str:
        """Of the layout that this host would scan. Blocks. Raises UsageError for work that it cannot lay out."""

    def scan(
        self, slice: Slice, *, rate: float, leave_alone: NetSet, publisher: Publisher, checkpoint: Path
    ) -> SliceScan: ...


class Agent:
    """`run` it once."""

    def __init__(
        self,
        alias: str,
        ways: Sequence[Way],
        scanner: Scanner,
        spool: Spool,
        policy: LocalPolicy,
        can: Capabilities,
        *,
        folder: Path,
        topics: Collection[str],
        clock: Callable[[], float],
        hour: Callable[[], int],
        keep: IO[bytes] | None = None,
        process: str = "",
    ) -> None:
        """`folder`: for the checkpoints of slices. `topics`: of what is handed over. `clock`: seconds since the epoch.
        `hour`: the local hour of the day. `process`: random hex digits, PROCESS_DIGITS of them."""
        self.alias = alias
        self.links = [Link(way, spool, can, clock, process) for way in ways]
        self.slices = 0
        self._slices: dict[asyncio.Task[bool], _UnderWay] = {}
        self._standing = Standing()
        self._unwanted: dict[Link, set[str]] = {}  #: scans that were given to us, and orders of our user's stop
        for link in self.links:
            link.on_optouts = self._heed
            link.on_stopped = self._heed
        self._scanner, self._spool, self._policy = scanner, spool, policy
        self._folder, self._topics, self._keep, self._hour = folder, topics, keep, hour
        self._turn = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop. Raises HostError when no coordinator wants this agent any more."""
        uploads = {asyncio.create_task(self._upload(link), name=f"upload {link.url}") for link in self.links}
        try:
            while not stopping.is_set():
                if all(link.gone for link in self.links):
                    raise HostError("; ".join(f"{link.url}: {link.gone}" for link in self.links))
                given = await self._ask(stopping)
                if given is not None:
                    await self._do(*given, stopping)
            while self._slices:
                await self._ended(None)
            await self._flush()
        finally:
            for task in (under_way := uploads | self._slices.keys()):
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            for link in self.links:
                await link.close()

    async def _upload(self, link: Link) -> None:
        try:
            await link.upload()
        except (Gone, LonglineError) as error:
            self._give_up(link, error)

    def _give_up(self, link: Link, error: Exception) -> None:
        if not link.gone:
            link.gone = str(error)
            log.error("%s wants us no more: %s", link.url, error)

    async def _ask(self, stopping: asyncio.Event) -> tuple[Link, Slice] | None:
        """Ask the coordinators in turn, once; wait a little when none has anything."""
        loop = asyncio.get_running_loop()
        open_ = [link for link in self.links if not link.gone]
        asleep = not self._policy.hours.contain(self._hour()) or self._standing.everything is not None
        for _ in range(len(open_)):
            self._turn += 1
            link = open_[self._turn % len(open_)]
            if asleep or link.wait_until > loop.time():
                continue
            try:
                given = await link.lease(self._without(link))
            except (Gone, HostError) as error:
                self._give_up(link, error)
                continue
            except Unavailable as error:
                link.wait_until = loop.time() + link.away(error)
                continue
            if isinstance(given, Slice):
                return link, given
            link.wait_until = loop.time() + given
        wait = min((link.wait_until - loop.time() for link in open_ if not link.gone), default=0.0)
        await _until(stopping, PAUSE if asleep else max(0.05, wait))
        return None

    def _without(self, link: Link) -> list[str]:
        """Scans that it need not give us now. It hears of those alone that it has once given."""
        still = {scan for scan in self._unwanted.pop(link, ()) if self._standing.against(scan) is not None}
        if still:
            self._unwanted[link] = still
        return sorted(still)

    # --- one slice

    async def _do(self, link: Link, slice: Slice, stopping: asyncio.Event) -> None:
        work, policy = slice.work, self._policy
        order = self._standing.against(work.scan)
        if order is not None:  # not refused: it may be ours again when it is lifted
            log.info("%s: slice %d of %s goes back: %s", link.url, slice.token, work.scan, order.text())
            self._unwanted.setdefault(link, set()).add(work.scan)
            await self._shown(link, slice, slice.first, finished=True)
            return
        try:
            refusal = policy.refusal(work, parse_ports(work.ports, "ports") if work.ports else ())
            digest = "" if refusal else await asyncio.to_thread(self._scanner.digest, work)
            skipped = policy.skipped(work, slice.only)
        except (ValueError, LonglineError) as error:
            refusal = str(error)
        try:
            if refusal:
                log.info("%s: slice %d of %s is refused: %s", link.url, slice.token, work.scan, refusal)
                await link.say("/v1/refuse", messages.Refuse(token=slice.token, reason=refusal[:500]))
                return
            begin = messages.Begin(token=slice.token, digest=digest, skipped=skipped)
            status, body = await link.insist("/v1/begin", begin)
        except Unavailable as error:  # the lease runs out by itself
            log.warning("%s: slice %d is not begun: %s", link.url, slice.token, error)
            return
        except (Gone, HostError) as error:
            self._give_up(link, error)
            return
        if status != 200:
            log.warning("%s: slice %d is not begun: %s", link.url, slice.token, why(body))
            return
        await self._scan(link, slice, policy, stopping)

    async def _scan(self, link: Link, slice: Slice, policy: LocalPolicy, stopping: asyncio.Event) -> None:
        """Until it has sent all. `policy`: what was in force when it was said what is left out."""
        work, token = slice.work, slice.token
        rate = policy.rate(slice.rate)
        checkpoint = self._folder / f"slice-{token}.checkpoint"
        checkpoint.unlink(missing_ok=True)
        log.info("%s: slice %d of %s: %d-%d at %g/s", link.url, token, work.scan, slice.first, slice.last, rate)
        try:
            scan = self._scanner.scan(
                slice,
                rate=rate,
                leave_alone=policy.masked(work, slice.only),
                publisher=Spooling(self._spool, link.url, token, self._topics, self._keep),
                checkpoint=checkpoint,
            )
        except LonglineError as error:
            log.error("slice %d of %s: %s", token, work.scan, error)
            await self._shown(link, slice, slice.first, finished=True)
            await _until(stopping, PAUSE)
            return
        under_way = _UnderWay(link, slice, policy, scan)
        task = asyncio.create_task(self._watch(link, under_way, stopping), name=f"slice {token}")
        self._slices[task] = under_way
        self._heed()
        failed = False
        while task in self._slices and (scan.sending or len(self._slices) > LISTENING):
            failed = await self._ended(LOOK)
        if failed:
            await _until(stopping, PAUSE)

    async def _ended(self, seconds: float | None) -> bool:
        """Wait until a slice has ended, so long at most. Returns whether one of those that have ended failed."""
        done, _ = await asyncio.wait(self._slices, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._slices[task]
        return any([task.result() for task in done])

    async def _watch(self, link: Link, under_way: _UnderWay, stopping: asyncio.Event) -> bool:
        """One slice, from its first probe to its last word. Returns whether it failed."""
        scan, token = under_way.scan, under_way.slice.token
        task = asyncio.create_task(scan.run(), name=f"scan of slice {token}")
        failed = False
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=BEAT)
                ours = token not in link.lost and token not in link.stopped and not link.gone
                if stopping.is_set() or not ours or not self._policy.hours.contain(self._hour()):
                    scan.stop()
                if token not in link.lost and not task.done():
                    await self._show(link, under_way, finished=False)
            try:
                task.result()
            except LonglineError as error:
                failed = True
                log.error("slice %d of %s: %s", token, under_way.slice.work.scan, error)
            if token in link.lost:
                await self._spool.drop(link.url, token)
            else:
                await self._show(link, under_way, finished=True)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            for left in self._folder.glob(f"slice-{token}.checkpoint*"):
                with suppress(OSError):
                    left.unlink()
        link.stopped.discard(token)
        self.slices += 1
        return failed

    def forbid(self, networks: NetSet) -> None:
        """The agent's own lists have changed: these are left alone from now on, by the slices under way too."""
        self._policy = replace(self._policy, forbidden=networks)
        self._heed()

    def heed(self, standing: Standing) -> None:
        """Orders of this host's user."""
        self._standing = standing
        self._heed()

    def _heed(self) -> None:
        """Who told one coordinator to be left alone is left alone by us, whoever asks, and so is whom our own lists
        name; an order to stop ends what it is about."""
        alone = self._policy.forbidden.union(self._standing.networks)
        for link in self.links:
            alone = alone.union(link.optouts)
        for under_way in self._slices.values():
            under_way.leave_alone(alone, self._policy)
            slice = under_way.slice
            ordered = self._standing.against(slice.work.scan) is not None
            if ordered:
                self._unwanted.setdefault(under_way.link, set()).add(slice.work.scan)
            if ordered or slice.token in under_way.link.stopped:
                under_way.scan.halt()

    async def _show(self, link: Link, under_way: _UnderWay, *, finished: bool) -> None:
        scan = under_way.scan
        await self._shown(
            link,
            under_way.slice,
            under_way.position,
            sent=scan.sent,
            rate=0.0 if finished else scan.rate,
            finished=finished,
        )

    async def _shown(
        self, link: Link, slice: Slice, position: int, *, finished: bool, sent: int = 0, rate: float = 0.0
    ) -> None:
        progress = messages.Progress(
            token=slice.token,
            position=position,
            proof=proof(slice.work.digest, slice.first, position, slice.only),
            sent=sent,
            rate=rate,
            pending=self._spool.bytes,
            finished=finished,
        )
        await self._spool.put(link.url, slice.token, "progress", messages.dump(progress))

    async def _flush(self) -> None:
        """Give what waits a little time to be handed over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                for link in self.links:
                    if not link.gone:
                        await self._spool.emptied(link.url)


class _UnderWay:
    """A slice that is scanned now."""

    def __init__(self, link: Link, slice: Slice, policy: LocalPolicy, scan: SliceScan) -> None:
        self.link, self.slice, self.scan = link, slice, scan
        self._policy = policy  #: in force when it was said what is left out
        self._end = slice.last

    @property
    def position(self) -> int:
        """All before it is done."""
        return max(self.slice.first, min(self.scan.position, self._end))

    def leave_alone(self, networks: NetSet, policy: LocalPolicy) -> None:
        """From now on. What the agent's own lists forbid besides, others may do: of what is left of the slice nobody
        was told that it is left out, so it ends where it was before, and the rest goes back."""
        work, only = self.slice.work, self.slice.only
        wanted = work.networks() if only is None else NetSet.parse(only, "only")
        if wanted.intersect(policy.forbidden.minus(self._policy.forbidden)):
            self._end = self.position
            self.scan.stop()
        self.scan.leave_alone(networks)


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
