"""The scanner as a program: settings in, hits out. `longline scan` and `longline run` call `scan`.

    prepare -> for each slice: engine -> Delivery -> Writer -> destinations
                                 ^          |
                                 +-- pause -+   (back-pressure)

Two tasks: the one that watches (`stages.scanner.session`) ends the sending, keeps the cooldown, counts, reports, and
puts marks into the delivery. The other one writes (`stages.scanner.writer`): when it meets a mark, all that came before
is acknowledged, and the checkpoint may say so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from stages.core.bus.base import Publisher, Topics
from stages.core.errors import Ordered, UsageError
from stages.core.lists import Lists
from stages.core.netset import Resolve
from stages.core.orders import Orders, Standing
from stages.core.policy import Policy
from stages.core.reload import Reloader, counted
from stages.core.resolving import resolver
from stages.core.settings import ListSettings
from stages.net.privileges import Setup
from stages.scanner import checkpoint as checkpoints
from stages.scanner.checkpoint import Checkpoint
from stages.scanner.destination import Destination
from stages.scanner.dryrun import dry_run, fast_dry_run
from stages.scanner.hits import HitLines
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.plugins.base import Plugin
from stages.scanner.prepare import Prepared, another_secret, prepare
from stages.scanner.reports import Reports
from stages.scanner.said import Onward
from stages.scanner.session import Session
from stages.scanner.settings import ScannerSettings
from stages.scanner.summary import Counters, Summary, Tally
from stages.scanner.zmap_settings import ZmapSettings

log = logging.getLogger("longline.scanner.app")


async def scan(
    settings: ScannerSettings,
    *,
    lists: ListSettings | None = None,
    publisher: Publisher | None = None,
    topics: Topics | None = None,
    stop: asyncio.Event | None = None,
    metrics: ScannerMetrics | None = None,
    status: TextIO | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    resolve: Resolve | None = None,
    on_policy: Callable[[Policy], None] | None = None,
    setup: Setup | None = None,
    onward: Onward | None = None,
    zmap: ZmapSettings | None = None,
    log_name: str | None = None,
    plugins: Sequence[Plugin] = (),
    into: Callable[[HitLines], Destination] | None = None,
    orders: Orders | None = None,
) -> Summary:
    """Do a scan, to its end or until `stop` is set; then sending ends and the cooldown is kept.

    `publisher`: where hits and the scan's own records go; without one results go to --output-file only. `status`: a
    stream for the status line. `checkpoint`: the file, if the settings name none; `resume`: go on from it if it is
    there. `on_policy`: takes the scan's address policy, and with it the duty to update it; without it the lists are
    watched here. `setup`: who has the capabilities for packets; None: this process.
    `onward`: what becomes of the connections that are opened; None: they are reset.
    `zmap`: what it is to say of itself besides; `log_name`: the file of its log.
    `plugins` are called as `stages.scanner.plugins.base` says. `into`: makes one more destination of the results.
    `orders`: that it heeds; one against it ends it with the reason `ordered`, one that stands already raises Ordered.

    Raises UsageError, Ordered, MissingCapability, Confined, HostError, and what the publisher raises for good.
    """
    lists = lists if lists is not None else ListSettings()
    resolve = resolve if resolve is not None else resolver()
    metrics = metrics if metrics is not None else ScannerMetrics()
    path, held, place = await asyncio.to_thread(_held, settings, checkpoint, resume)

    def apply(new: Lists) -> None:
        prepared.targets.policy.update(new)

    # Made before the lists are read: a change from here on is seen. It watches from `start` on.
    reloader = Reloader(lists, resolve, apply, on_result=counted(metrics.all)) if on_policy is None else None
    prepared = await asyncio.to_thread(
        lambda: prepare(settings, lists, now_us=_now_us(), resolve=resolve, held=held, held_at=place, path=path)
    )
    if held is not None and held.finished:
        log.info("scan %s is finished", held.scan)
    elif held is not None and onward is not None and (onward.grabbing is not None or onward.hold is not None):
        prepared = another_secret(prepared)
    reports = None if zmap is None else Reports(prepared, zmap, log_name=log_name)
    if settings.dryrun or settings.fast_dryrun:
        summary = await asyncio.to_thread(_dry_run, prepared)
        if reports is not None:
            reports.end(summary.counters, summary.tally, summary.position, summary.reason)
            reports.close()
        return summary
    if orders is not None and not prepared.checkpoint.finished:
        refuse(orders.standing, prepared.spec.scan)
    session = Session(
        prepared,
        publisher=publisher,
        topics=topics or Topics(),
        stop=stop or asyncio.Event(),
        metrics=metrics,
        status=None if settings.quiet else status,
        checkpoint=path,
        resumed=held is not None,
        setup=setup,
        onward=onward,
        reports=reports,
        plugins=plugins,
        into=into,
    )

    def heed(standing: Standing) -> None:
        prepared.targets.policy.leave_alone(standing.networks)
        if standing.against(prepared.spec.scan) is not None and not prepared.checkpoint.finished:
            session.halt()

    if on_policy is not None:
        on_policy(prepared.targets.policy)
    if reloader is not None:
        reloader.start(named=prepared.lists.named)
    if orders is not None:
        orders.listen(heed)
    try:
        return await session.run()
    finally:
        if orders is not None:
            orders.unlisten(heed)
        if reloader is not None:
            await reloader.close()
        if reports is not None:
            reports.close()


def refuse(standing: Standing, scan: str) -> None:
    """Raise Ordered if an order stands against the scan."""
    if (order := standing.against(scan)) is not None:
        raise Ordered(f"scan {scan}", order.text(), order.name)


def _held(
    settings: ScannerSettings, default: str | Path | None, resume: bool
) -> tuple[Path | None, Checkpoint | None, str]:
    """(file to write checkpoints to, the checkpoint to go on from, what names it in messages)."""
    if settings.resume is not None:
        return Path(settings.resume), checkpoints.read(settings.resume), f"--resume {settings.resume}"
    given = settings.checkpoint if settings.checkpoint is not None else default
    if given is None:
        return None, None, ""
    path = Path(given)
    if not checkpoints.there(path, "--checkpoint"):
        return path, None, ""
    place = f"--checkpoint {path}"
    held = checkpoints.read(path, "--checkpoint")
    if resume:
        return path, held, place
    if not held.finished:
        raise UsageError(
            place, None, f"scan {held.scan} is unfinished at position {held.position}: --resume goes on with it"
        )
    return path, None, ""


def _dry_run(prepared: Prepared) -> Summary:
    """Print the packets on standard output."""
    started, reason = _now_us(), "complete"
    count = 0
    try:
        if prepared.settings.fast_dryrun:
            count = fast_dry_run(prepared, sys.stdout.buffer.write)
        else:
            count = dry_run(prepared, sys.stdout.write)
        sys.stdout.flush()
    except BrokenPipeError:
        reason = "reader-gone"
        # What is still in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    spec = prepared.spec
    position = prepared.checkpoint.position + count // spec.probes
    complete = reason == "complete"
    return Summary(spec.scan, "dryrun", spec.last, position, complete, reason, started, _now_us(), Counters(), Tally())


def _now_us() -> int:
    return time.time_ns() // 1_000
