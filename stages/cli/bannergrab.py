"""`longline bannergrab`: one conversation per hit, from a pipe or a log."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stages.cli.sections import add_settings, load_settings

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.net.privileges import Setup

SECTIONS = ("bannergrab", "continue", "bus", "lists", "orders", "politeness", "runner", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    from stages.cli.continued import needs_setup

    if not needs_setup(loaded):
        return _run(loaded, None)

    from stages.net.privileges import Setup

    with Setup() as setup:  # before there are other threads
        return _run(loaded, setup)


def _run(loaded: Loaded, setup: Setup | None) -> int:
    import os

    from stages.bannergrab.settings import BannergrabSettings
    from stages.cli.assembly import LEVELS, bannergrab_runner, grounds_of, run_stage, topics_of
    from stages.cli.continued import check, go_on_of, of_scanner
    from stages.cli.naming import scan_name
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.core.settings import BusSettings

    settings = loaded.get("bannergrab", BannergrabSettings)
    set_up(os.environ, default=LEVELS[settings.verbosity])
    check(loaded, udp=settings.over == "udp")
    topic = of_scanner(loaded, topics_of(loaded.get("bus", BusSettings)))
    go_on = go_on_of(loaded, setup, capacity=settings.concurrent, keep_data=True)
    return launch(
        lambda life: run_stage(
            life,
            loaded,
            lambda policy, metrics: bannergrab_runner(
                settings,
                grounds_of(
                    loaded,
                    "bannergrab",
                    settings.concurrent,
                    policy,
                    metrics,
                    of_scanner=topic,
                    go_on=go_on,
                ),
                scan_name(),
            ),
            "bannergrab",
        )
    )
