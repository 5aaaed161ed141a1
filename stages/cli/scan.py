"""`longline scan`: one probe per target; results to a file or a pipe, or hits to a log."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from stages.cli import spec
from stages.cli.sections import add_settings, add_zmap_config, load_settings

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.net.privileges import Setup

SECTIONS = ("scanner", "grab", "continue", "zmap", "lists", "orders", "bus", "lag", "metrics")

#: What of `continue` is about the hits of another process.
OF_CONSUMERS = ("via", "max_hit_age", "held_ports")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_zmap_config(parser)
    add_settings(parser, *SECTIONS, omit=OF_CONSUMERS)
    group = parser.add_argument_group("instead of a scan")
    group.add_argument("--self-test", action="store_true", help="check what a scan stands on, on this machine")
    group.add_argument("--explain", action="store_true", help="what the scan would do, and nothing sent")
    group.add_argument("--echo", action="store_true", help="the scan as a file for --spec")
    parser.add_argument("--spec", metavar="FILE", help="the whole scan from this file; what is typed besides wins")
    parser.add_argument("--confirm-over", metavar="N", type=int, help="ask before a scan of more than N targets")
    group.add_argument("--benchmark", action="store_true", help="frames built and answers validated a second")


def run(args: argparse.Namespace) -> int:
    if args.self_test or args.benchmark:
        from stages.cli import checkup

        return checkup.self_test() if args.self_test else checkup.benchmark()
    loaded = load_settings(args, *SECTIONS, spec=None if args.spec is None else spec.read(args.spec), zmap=True)

    from stages.cli import zmap_ways
    from stages.scanner import listing
    from stages.scanner.settings import ScannerSettings

    loaded = zmap_ways.applied(loaded)
    asked = listing.text(loaded.get("scanner", ScannerSettings))
    if asked is not None:
        print(asked, end="")
        return 0

    if args.echo or args.explain or args.confirm_over is not None:
        from stages.cli import foretold

        if args.echo or args.explain:
            print(spec.echo(loaded) if args.echo else foretold.explain(loaded), end="")
            return 0
        foretold.confirm(loaded, args.confirm_over)

    from stages.net.privileges import Setup

    with Setup() as setup:  # before there are other threads: numpy starts some when it is imported
        return carry_out(loaded, setup)


def carry_out(loaded: Loaded, setup: Setup) -> int:
    """Do the scan that the settings ask for; the exit code."""
    import asyncio

    from stages.cli import zmap_ways
    from stages.cli.assembly import expiring, started, topics_of, watched
    from stages.cli.grabbing import onward_of
    from stages.cli.heeding import heed_of, leave_if_ordered
    from stages.cli.overload import lagging_of, until_empty
    from stages.core.bus.urls import open_publisher
    from stages.core.lifecycle import Life, launch
    from stages.core.metrics import Metrics
    from stages.core.resolving import resolver
    from stages.core.settings import PIPE, BusSettings, ListSettings, MetricsSettings
    from stages.scanner.app import scan
    from stages.scanner.checkpoint import beside
    from stages.scanner.metrics import ScannerMetrics
    from stages.scanner.plugins.loading import load
    from stages.scanner.prepare import prepare
    from stages.scanner.settings import ScannerSettings
    from stages.scanner.zmap_settings import ZmapSettings

    settings = loaded.get("scanner", ScannerSettings)
    bus = loaded.get("bus", BusSettings)
    lists = loaded.get("lists", ListSettings)
    log_name = zmap_ways.begin_log(loaded)
    plugins = load(settings.plugin)
    onward = onward_of(loaded, topics_of(bus), plugins)

    async def main(life: Life) -> int:
        if bus.sink != PIPE:
            # What is wrong with the arguments is said at once, however long the broker is out of reach.
            await asyncio.to_thread(lambda: prepare(settings, lists, now_us=0, resolve=resolver()))
        metrics = Metrics()
        counted = ScannerMetrics(metrics)
        topics = topics_of(bus)
        publisher = None if bus.sink == PIPE else open_publisher(bus.sink, bus, main=topics.hits, stage="scanner")
        of = None if onward.hold is None else onward.scanner
        lagging = lagging_of(loaded, publisher, of, counted.left_out.add)
        publisher = lagging or publisher
        heed = heed_of(loaded, metrics, reads=False)
        ready = False

        def check() -> bool:
            return ready and (publisher is None or publisher.ready)

        expiring(loaded, metrics)
        async with watched(loaded.get("metrics", MetricsSettings), metrics, {"scanner": check}):
            try:
                if publisher is not None and not await started(publisher, life):
                    return 0
                if not await started(heed, life):
                    return 0
                ready = True
                summary = await scan(
                    settings,
                    lists=lists,
                    publisher=publisher,
                    topics=topics,
                    stop=life.stopping,
                    metrics=counted,
                    checkpoint=beside(bus.sink),
                    # One file, one scan: the same command goes on with it, after whatever ended it.
                    resume=settings.checkpoint is not None,
                    status=sys.stderr if publisher is None else None,  # on a log metrics take its place
                    setup=setup,
                    onward=onward,
                    zmap=loaded.get("zmap", ZmapSettings),
                    log_name=log_name,
                    plugins=plugins,
                    orders=heed,
                )
                if lagging is not None:
                    await until_empty(lagging, life)
                leave_if_ordered(summary, heed.standing)
            finally:
                await heed.close()
                if publisher is not None:
                    await publisher.close()
        return 0

    return launch(main)
