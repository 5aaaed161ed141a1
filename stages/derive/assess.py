"""The job after a sweep: every stored service is looked at again, and what happened to it is written and told.

    summary = await assess(shelf, swept, Rules(misses=3, vantages=2), publish)

It goes over the services in the order of the store, a page at a time, beside the states of that page. What the rules
say is in `availability`. Records that come late are seen by the next run: a service moves by its latest sighting.

What is told follows what is stored, whatever happens between: a changed state is written with the events that it has
still to tell; these go to the store and to `publish`; then the state is written without them. A run that was killed in
the middle is run again: what it had decided stands, what it had to tell is told, and a sweep that was counted is not
counted twice. An event may so be told twice, with the same id.

A service may be erased while it is judged. What was written of it after that is removed at the end of its page; an
erasure takes the services first and then their states, so nothing of it is left, whichever is faster.

One run at a time for a store: two would each write the states as they found them, without what the other has counted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stages.core.events import Event
from stages.derive.availability import Rules, State, Swept, leaf_to_read, missed, step
from stages.derive.moves import MAX_SHARING, move, moved
from stages.derive.shelf import Document, StateShelf
from stages.derive.sightings import Thing
from stages.derive.state_documents import document, state_of

log = logging.getLogger("longline.derive.assess")

#: Services in memory at a time, and states and events written together.
PAGE: Final = 1_000

#: Seconds between two lines of progress.
PROGRESS_SECONDS: Final = 5.0

#: Of the things that moved from one service to another together, the first of these is told.
_KINDS: Final = (Thing.CERTIFICATE, Thing.KEY, Thing.SSH)

Publish = Callable[[Sequence[Event]], Awaitable[None]]


@dataclass(slots=True)
class Summary:
    """What a run saw and told."""

    services: int = 0  #: looked at
    missed: int = 0  #: by this sweep
    missing: int = 0  #: with a row of misses now, down or not yet
    down: int = 0  #: now
    events: dict[str, int] = field(default_factory=dict)  #: type -> how many were told
    stopped: bool = False


async def assess(
    shelf: StateShelf,
    swept: Swept,
    rules: Rules,
    publish: Publish,
    *,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Count one sweep. `publish` is given events and returns once they are as durable as can be; `stop` is asked
    between pages. Raises what the shelf and `publish` raise (Unavailable, HostError): run it again."""
    summary, told = Summary(), Counter[str]()
    shown = clock()
    async for page in _pages(shelf.services()):
        for kind, count in (await _page(shelf, page, swept, rules, publish, summary)).items():
            told[kind] += count
        if clock() - shown >= PROGRESS_SECONDS:
            shown = clock()
            log.info("sweep %s: %d services, %d missed", swept.scan, summary.services, summary.missed)
        if stop():
            summary.stopped = True
            break
    summary.events = dict(sorted(told.items()))
    return summary


async def _page(
    shelf: StateShelf,
    services: Sequence[Document],
    swept: Swept,
    rules: Rules,
    publish: Publish,
    summary: Summary,
) -> Mapping[str, int]:
    stored = await shelf.states_of(services)
    before = [state_of(stored[s["_id"]]) if s["_id"] in stored else None for s in services]
    leaves = {leaf_to_read(service, state) for service, state in zip(services, before, strict=True)} - {None}
    keys = await shelf.keys_of(sorted(leaf for leaf in leaves if leaf)) if leaves else {}
    changed: list[State] = []
    for service, state in zip(services, before, strict=True):
        after, _ = step(service, state, swept, rules, keys)
        summary.services += 1
        summary.missed += missed(service, swept)
        summary.missing += after.missing
        summary.down += after.down_since is not None
        if after != state or after.tell or after.look:
            changed.append(after)
    if not changed:
        return {}
    await shelf.keep([document(state) for state in changed])
    events = [event for state in changed for event in state.tell]
    events += await _moves(shelf, [state for state in changed if state.look], swept)
    if events:
        await shelf.tell(events)
        await publish(events)
    done = [state for state in changed if state.tell or state.look]
    for state in done:
        state.tell, state.look = [], False
    if done:
        await shelf.keep([document(state) for state in done])
    await shelf.forget_gone(
        sorted(
            {(state.ip, state.port, state.transport, state.name) for state in changed}
            | {(event.ip, event.port, event.transport, event.name or "") for event in events}
        )
    )
    return Counter(str(event.type) for event in events)


async def _moves(shelf: StateShelf, looked: Sequence[State], swept: Swept) -> list[Event]:
    """What has moved from or to these, each pair of services once."""
    if not looked:
        return []
    lost = await shelf.lost(sorted({thing.hash for state in looked for thing in state.things.values()}))
    found: dict[tuple[str, str], Event] = {}
    known: dict[str, list[State]] = {}
    for kind in _KINDS:
        for state in looked:
            thing = state.shown.get(kind)
            if thing is None or thing.hash not in lost:
                continue
            if thing.hash not in known:
                known[thing.hash] = [state_of(d) for d in await shelf.showing(thing.hash, MAX_SHARING + 1)]
            pair = moved(kind, thing.hash, known[thing.hash])
            if pair is not None and state.id in (pair[0].id, pair[1].id):
                found.setdefault((pair[0].id, pair[1].id), move(kind, *pair, swept))
    return list(found.values())


async def _pages(stream: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[list[Document]]:
    page: list[Document] = []
    async for item in stream:
        page.append(dict(item))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
