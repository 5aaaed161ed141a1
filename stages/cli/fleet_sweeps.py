"""A campaign's sweeps as scans of a fleet's agent (`stages.campaign.sweep.Executor`): the vantage is its alias.

They are asked of the coordinator by its state, as `longline campaign submit` does it, and looked at until they are
complete. A turn that ends early has the scan held back: its slices come back with what they have done. What the agent
itself will not scan is not covered, and the sweep is complete without it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stages.campaign.groups import groups
from stages.campaign.sweep import Another, Covers, Job, Pair, Report, Sample, Stopped
from stages.cli.asked import grabs_of
from stages.cli.slices import work_of
from stages.cli.stored import Stored
from stages.cli.submitting import works
from stages.cli.sweep_pieces import Piece, Pieces
from stages.core.netset import NetSet
from stages.core.settings import Loaded
from stages.fleet.state import State
from stages.fleet.work import Work

#: Seconds between two looks at the coordinator's state.
LOOK: Final = 1.0

#: Seconds until slices that are called back have come, and until a look at the controls is given up.
CALLED_BACK: Final = 60.0
CONTROLS: Final = 120.0

#: What is grabbed -> the section that says how.
_STAGES: Final = {"banner": "bannergrab", "tls": "tlsgrab"}

#: Addresses of a sample, at most: they are handed around one by one.
SAMPLED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Books:
    """What the coordinator's state says of some scans."""

    jobs: dict[str, dict[str, Any]]
    done: dict[str, int]
    parts: list[dict[str, Any]]
    leases: list[dict[str, Any]]

    def over(self, work: Work) -> bool:
        """Complete, or as complete as those who may have it will make it."""
        job = self.jobs.get(work.scan)
        if job is None:
            return False
        parts = [part for part in self.parts if part["scan"] == work.scan and not part["check"]]
        busy = any(lease["scan"] == work.scan and not lease["check"] for lease in self.leases)
        refused = parts and all(set(work.agents) <= set(part["refused"]) for part in parts)
        return bool(job["ended"] and not job["stopped"]) or bool(refused and not busy)


class FleetSweeps:
    """Of one campaign, from one agent."""

    def __init__(self, loaded: Loaded, folder: Path, state: State) -> None:
        self._loaded, self._state = loaded, state
        self._pieces, self._stored = Pieces(loaded, folder), Stored(loaded)

    async def sweep(self, job: Job, stop: asyncio.Event) -> Report:
        pieces = await asyncio.to_thread(self._pieces.of, job)
        grabs = job.plan.grabs if job.plan.agents_grab else ()
        asked = await asyncio.to_thread(self._submit, pieces, job.lane.vantage, grabs)
        names = [work.scan for work in asked]
        while not stop.is_set():
            books = await asyncio.to_thread(self._read, names)
            if stopped := [name for name in names if books.jobs.get(name, {}).get("stopped")]:
                raise Stopped(f"scan {stopped[0]} was stopped: {books.jobs[stopped[0]]['stopped']}")
            if all(books.over(work) for work in asked):
                return _report(books, asked, complete=True)
            await _pause(stop, LOOK)
        await asyncio.to_thread(self._hold, names, "the campaign's turn is over")
        return _report(await self._called_back(names), asked, complete=False)

    async def controls(self, job: Job) -> int:
        pairs = job.plan.pairs if self._pieces.ported else tuple((ip, 0) for ip, _ in job.plan.pairs)
        name = f"{job.name}-controls-{time.time_ns() // 1_000_000}"
        pieces = [
            Piece(
                await asyncio.to_thread(self._pieces.listed, f"{name}-{n}", group.addresses, group.ports),
                self._pieces.live, self._pieces.folder / f"{name}-{n}",
            )
            for n, group in enumerate(groups(pairs))
        ]  # fmt: skip
        try:
            books, asked = await self._short(pieces, job, asyncio.Event())
        finally:
            await asyncio.to_thread(self._pieces.clear, name)
        hits: list[int] = [books.jobs[work.scan]["hits"] for work in asked if work.scan in books.jobs]
        return min(len(pairs), sum(hits))

    async def sample(self, job: Job, report: Report, seed: int, stop: asyncio.Event) -> Sample | None:
        if not report.found or not report.targets:
            return None
        [piece] = await asyncio.to_thread(self._pieces.of, job)
        ports = self._pieces.scanner.ports or (0,)
        wanted = -(-job.plan.sample * report.targets // report.found // len(ports))
        addresses = await asyncio.to_thread(_drawn, piece, min(wanted, SAMPLED), random.Random(seed))
        name = f"{job.name}-sample"
        settings = await asyncio.to_thread(self._pieces.listed, name, addresses, ports)
        again = Piece(settings, piece.lists, self._pieces.folder / name)
        _, [work] = await self._short([again], job, stop, seconds=None)
        if stop.is_set():
            return None
        await self._stored.until_stored([work.scan])
        found = [pair async for some in self._stored.states([work.scan]) for pair, _ in some]
        return Sample(work.size, len(found), await self._stored.found(job.name, found))

    def covers(self, job: Job) -> Covers:
        names = {piece.settings.scan for piece in self._pieces.of(job)}
        covers = self._pieces.covers(job)
        left = [part["only"] for part in self._bodies("parts") if part["scan"] in names and not part["check"]]
        refused = NetSet.parse([text for only in left for text in only or ()], "parts")
        return lambda address, port, transport: (
            covers(address, port, transport) and int.from_bytes(address[-4:], "big") not in refused.v4
        )

    async def seen(self, job: Job) -> AsyncIterator[list[tuple[Pair, str]]]:
        names = [piece.settings.scan or "" for piece in await asyncio.to_thread(self._pieces.of, job)]
        await asyncio.to_thread(self._end, names)
        await self._stored.until_stored(names)
        async for some in self._stored.states(names):
            yield some

    async def end(self, job: Job) -> None:
        await asyncio.to_thread(self._pieces.clear, job.name)

    # --- within

    async def _short(
        self, pieces: Sequence[Piece], job: Job, stop: asyncio.Event, *, seconds: float | None = CONTROLS
    ) -> tuple[Books, list[Work]]:
        """Scans that are waited for, and stopped when they take too long."""
        asked = await asyncio.to_thread(self._submit, pieces, job.lane.vantage)
        names = [work.scan for work in asked]
        end = None if seconds is None else time.monotonic() + seconds
        while not stop.is_set():
            books = await asyncio.to_thread(self._read, names)
            if all(books.over(work) for work in asked):
                return books, asked
            if end is not None and time.monotonic() > end:
                break
            await _pause(stop, LOOK)
        await asyncio.to_thread(self._end, names)
        return await asyncio.to_thread(self._read, names), asked

    def _submit(self, pieces: Sequence[Piece], alias: str, grabs: Sequence[str] = ()) -> list[Work]:
        """Ask for the scans, each once; those that were held back go on. `grabs`: what the agent does with open ports.
        Raises Another, and UsageError for what cannot be asked of an agent."""
        banner, tls = grabs_of(self._loaded, [_STAGES[grab] for grab in grabs])
        known, asked = works(self._state), []
        for piece in pieces:
            before = known.get(piece.settings.scan or "")
            seed = piece.settings.seed if before is None else before.seed
            settings = piece.settings.model_copy(update={"seed": seed, "quiet": False})
            work = work_of(settings, piece.lists, banner, tls).model_copy(update={"agents": (alias,)})
            if before is None:
                self._state.ask("submit", work.model_dump(mode="json"))
            elif before != work.model_copy(update={"operator": before.operator}):
                raise Another(f"scan {work.scan} was another one")
            else:
                self._hold([work.scan], "")
            asked.append(work)
        return asked

    def _hold(self, names: Sequence[str], reason: str) -> None:
        for name in names:
            self._state.ask("hold", {"scan": name, "reason": reason})

    def _end(self, names: Sequence[str]) -> None:
        """What is not complete by now will not be."""
        for name, job in self._read(names).jobs.items():
            if not job["ended"]:
                self._state.ask("stop", {"scan": name, "reason": "the rest is not scanned from this agent"})

    async def _called_back(self, names: Sequence[str]) -> Books:
        end = time.monotonic() + CALLED_BACK
        while True:
            books = await asyncio.to_thread(self._read, names)
            waits = all(books.jobs.get(name, {}).get("waits") for name in names if name in books.jobs)
            if (waits and not books.leases) or time.monotonic() > end:
                return books
            await asyncio.sleep(LOOK)

    def _read(self, names: Sequence[str]) -> Books:
        """Blocks. Raises Unavailable."""
        done = dict.fromkeys(names, 0)
        for body in self._bodies("done"):
            if body["scan"] in done:
                done[body["scan"]] += body["last"] - body["first"]
        jobs = {body["work"]["scan"]: body for body in self._bodies("jobs") if body["work"]["scan"] in done}
        parts = [body for body in self._bodies("parts") if body["scan"] in done]
        return Books(jobs, done, parts, [body for body in self._bodies("leases") if body["scan"] in done])

    def _bodies(self, table: str) -> list[dict[str, Any]]:
        return [change.body for change in self._state.things(table) if change.body is not None]


def _report(books: Books, asked: Sequence[Work], *, complete: bool) -> Report:
    jobs = [books.jobs[work.scan] for work in asked if work.scan in books.jobs]
    return Report(
        complete,
        sum(books.done.values()),
        sum(work.size for work in asked),
        sum(job["sent"] for job in jobs),
        sum(job["hits"] for job in jobs),
    )


def _drawn(piece: Piece, count: int, rng: random.Random) -> list[str]:
    """So many addresses of a scan, at random. Blocks."""
    targets = piece.prepared().targets
    ranges = targets.v4 if targets.listed is None else [(a, a) for a in targets.listed.tolist()]
    sizes = [last - first + 1 for first, last in ranges]
    total, drawn = sum(sizes), []
    ranks = iter(sorted(rng.sample(range(total), min(count, total))))
    rank, before = next(ranks, None), 0
    for (first, _), size in zip(ranges, sizes, strict=True):
        while rank is not None and rank < before + size:
            number = first + rank - before
            drawn.append(".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)))
            rank = next(ranks, None)
        before += size
    return drawn


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
