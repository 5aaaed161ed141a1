"""The job behind `longline certs reprocess`: what is stored is read, sighted and judged anew, without a scan.

Each part saves where it is after every batch, so a run that was stopped or killed goes on there:

    readings    certificates that an older reader has read are read again (all of them by `--restart`); what it has
                done shows in the documents themselves
    sightings   by the time of the observations. Records arrive late, so a new run begins OVERLAP before the latest
                one that was seen; folding one twice changes nothing.
    verdicts    by SHA-256. The time they are judged for and the root stores stay those of the run that was
                interrupted; others begin a new one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stages.derive.paths import Issuers, Node, signed
from stages.derive.roots import RootStore
from stages.derive.shelf import Document, Judged, Shelf
from stages.derive.sightings import fold, leaf_of
from stages.derive.verdicts import judge
from stages.proto.x509.certificate import READER, document, read
from stages.proto.x509.verdict import Verdict

log = logging.getLogger("longline.derive.reprocess")

SIGHTINGS: Final = "sightings"
VERDICTS: Final = "verdicts"
READINGS: Final = "readings"

#: Observations that come later than this after a newer one are sighted only by `--restart`: a day is longer than any
#: outage that a log between the stages bridges unnoticed. Microseconds.
OVERLAP: Final = 86_400 * 1_000_000

#: Observations folded, and certificates judged, between two saves.
OBSERVATIONS: Final = 2_000
CERTIFICATES: Final = 500

#: Authorities of one name that are looked at. Forged ones may have any name, real ones have a handful of siblings.
MAX_AUTHORITIES: Final = 16

#: Names of authorities, and answers to "did this key sign that certificate" between authorities, that are remembered.
REMEMBERED: Final = 20_000

#: Seconds between two lines of progress.
PROGRESS_SECONDS: Final = 5.0


@dataclass(slots=True)
class Summary:
    """What a run did."""

    sighted: int = 0  #: observations gone over
    read: int = 0  #: certificates read again
    judged: int = 0
    of: int = 0  #: certificates stored
    failed: int = 0  #: that cannot be read in part or whole
    at: int = 0  #: the time judged for, microseconds
    resumed: bool = False
    stopped: bool = False
    verdicts: dict[str, int] = field(default_factory=dict)  #: how many each verdict holds of


class Pool:
    """The authorities of a store, by name, as far as they were asked for."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._known: OrderedDict[str, tuple[Sequence[Node], bool]] = OrderedDict()
        self._signed: OrderedDict[tuple[str, str], Verdict] = OrderedDict()

    async def gather(self, nodes: Sequence[Node], roots: Sequence[RootStore]) -> dict[str, tuple[Sequence[Node], bool]]:
        """All authorities that a path from these could lead through."""
        needed: dict[str, tuple[Sequence[Node], bool]] = {}
        waiting = {node.issuer for node in nodes if node.issuer}
        while waiting:
            name = waiting.pop()
            found = needed[name] = await self._authorities(name)
            waiting |= {node.issuer for node in found[0] if node.issuer} - needed.keys()
        return needed

    async def _authorities(self, name: str) -> tuple[Sequence[Node], bool]:
        known = self._known.get(name)
        if known is None:
            ders = await self._shelf.authorities(name, MAX_AUTHORITIES + 1)
            nodes = [Node.of(read(der)) for der in ders[:MAX_AUTHORITIES]]
            known = self._known[name] = (nodes, len(ders) > MAX_AUTHORITIES)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return known

    def check(self, child: Node, parent: Node) -> Verdict:
        """`signed`, remembered where the child is an authority: its signature is met again and again."""
        if child.certificate.ca is not True:
            return signed(child, parent)
        key = (child.digest, parent.digest)
        verdict = self._signed.get(key)
        if verdict is None:
            verdict = self._signed[key] = signed(child, parent)
            if len(self._signed) > REMEMBERED:
                self._signed.popitem(last=False)
        return verdict


class Reprocess:
    """One run. `stop()` says whether to end at the next batch."""

    def __init__(
        self,
        shelf: Shelf,
        roots: Sequence[RootStore],
        at: int,
        *,
        restart: bool = False,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.summary = Summary()
        self._shelf = shelf
        self._roots = roots
        self._at = at
        self._restart = restart
        self._stop = stop
        self._clock = clock
        self._shown = clock()
        self._pool = Pool(shelf)

    async def run(self) -> Summary:
        self.summary.of = await self._shelf.count_certificates()
        self.summary.at = self._at
        await self._read_all()
        for kind in ("tls", "banner"):
            if not self.summary.stopped:
                await self._sight(kind)
        if not self.summary.stopped:
            await self._judge_all()
        return self.summary

    # --- readings

    async def _read_all(self) -> None:
        job = READINGS
        state = await self._shelf.state(job)
        again = self._restart or (state is not None and not state["done"])  # a `--restart` that was interrupted
        after = str(state["after"]) if again and not self._restart and state is not None else ""
        reader = None if again else READER
        while documents := await self._shelf.after(after, CERTIFICATES, reader=reader):
            judged = await asyncio.to_thread(
                lambda part: [Judged(d["_id"], fields=document(read(d["raw"]))) for d in part], documents
            )
            await self._shelf.judge(judged)
            after = judged[-1].sha256
            self.summary.read += len(judged)
            if again:
                await self._shelf.save(job, {"after": after, "done": False})
            self._progress("readings: %d of %d certificates", self.summary.read, self.summary.of)
            if self._stop():
                self.summary.stopped = True
                return
        if again:
            await self._shelf.save(job, {"after": after, "done": True})

    def _progress(self, text: str, *values: object) -> None:
        now = self._clock()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            log.info(text, *values)

    # --- sightings

    async def _sight(self, kind: str) -> None:
        job = f"{SIGHTINGS}.{kind}"
        state = None if self._restart else await self._shelf.state(job)
        until: int | None = None if state is None else int(state["until"])
        since = None if until is None else until - OVERLAP
        if state is not None and not state["done"]:  # interrupted: from the very place
            since = int(state["at"])
        async for part in _parts(self._shelf.observed(kind, since), OBSERVATIONS):
            leaves = sorted({leaf for o in part if (leaf := leaf_of(o)) is not None})
            keys = await self._shelf.keys_of(leaves) if leaves else {}
            found = await asyncio.to_thread(fold, part, keys)
            if found:
                await self._shelf.see(found)
            latest = int(part[-1]["ts"])
            until = latest if until is None else max(until, latest)
            await self._shelf.save(job, {"until": until, "at": latest, "done": False})
            self.summary.sighted += len(part)
            self._progress("sightings: %d %s observations", self.summary.sighted, kind)
            if self._stop():
                self.summary.stopped = True
                return
        end = OVERLAP if until is None else until
        await self._shelf.save(job, {"until": end, "at": end, "done": True})

    # --- verdicts

    async def _judge_all(self) -> None:
        roots = {store.name: store.fingerprint for store in self._roots}
        state = await self._shelf.state(VERDICTS)
        if state is not None and not state["done"] and state["roots"] == roots and not self._restart:
            at, after, done = int(state["at"]), str(state["after"]), int(state["judged"])
            self.summary.resumed = True
            log.info("going on behind %s, %d judged before", after[:16], done)
        else:
            at, after, done = self._at, "", 0
        self.summary.at = at
        stores: dict[str, Issuers] = {store.name: store.issuers for store in self._roots}
        while documents := await self._shelf.after(after, CERTIFICATES):
            judged = await self._judge(documents, stores, at)
            await self._shelf.judge(judged)
            after = judged[-1].sha256
            done += len(judged)
            self.summary.judged += len(judged)
            await self._shelf.save(VERDICTS, {"at": at, "roots": roots, "after": after, "judged": done, "done": False})
            self._progress("verdicts: %d of %d certificates", done, self.summary.of)
            if self._stop():
                self.summary.stopped = True
                return
        await self._shelf.save(VERDICTS, {"at": at, "roots": roots, "after": after, "judged": done, "done": True})

    async def _judge(self, documents: Sequence[Document], stores: Mapping[str, Issuers], at: int) -> list[Judged]:
        nodes = await asyncio.to_thread(lambda: [Node.of(read(d["raw"])) for d in documents])
        needed = await self._pool.gather(nodes, self._roots)
        asked = await self._shelf.asked_of([d["_id"] for d in documents])

        def issuers(subject: str) -> tuple[Sequence[Node], bool]:
            return needed.get(subject, ((), False))

        def work() -> list[Judged]:
            return [
                Judged(
                    d["_id"],
                    verdicts=judge(node, at, stores, issuers, asked.get(d["_id"], ()), self._pool.check),
                )
                for d, node in zip(documents, nodes, strict=True)
            ]

        judged = await asyncio.to_thread(work)
        for node, one in zip(nodes, judged, strict=True):
            self.summary.failed += bool(node.certificate.errors)
            self._count(one.verdicts or {})
        return judged

    def _count(self, verdicts: Document) -> None:
        counts = self.summary.verdicts
        for name, verdict in verdicts.items():
            for place, said in _flat(name, verdict):
                if said == "yes":
                    counts[place] = counts.get(place, 0) + 1


def _flat(name: str, verdict: Any) -> list[tuple[str, str]]:
    if name == "untrusted":
        return [(f"untrusted by {store}", said["is"]) for store, said in verdict.items()]
    if name == "mismatch":
        return [(name, "yes" if any(one["is"] == "yes" for one in verdict) else "no")]
    return [(name, verdict["is"])] if isinstance(verdict, dict) else []


async def _parts(stream: AsyncIterator[Mapping[str, Any]], size: int) -> AsyncIterator[list[Mapping[str, Any]]]:
    part: list[Mapping[str, Any]] = []
    async for item in stream:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
