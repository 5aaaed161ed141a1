"""`longline tlsgrab`: one TLS handshake per hit, from a pipe or a log."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from stages.cli.sections import add_settings, load_settings

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.net.privileges import Setup

SECTIONS = ("tlsgrab", "continue", "bus", "lists", "orders", "politeness", "runner", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    from stages.cli.naming import scan_name
    from stages.tlsgrab.settings import TlsgrabSettings

    settings = loaded.get("tlsgrab", TlsgrabSettings)
    one = partial(run_one, scan=scan_name())  # all workers are one run
    if settings.workers == 1:
        return one(loaded)

    from stages.cli.workers import run_workers
    from stages.core.intake import LineReader

    reader = LineReader(settings.port, "", literal_names=settings.sni_literal)
    return run_workers(loaded, "tlsgrab", settings.workers, one, reader)


def run_one(loaded: Loaded, scan: str) -> int:
    """One tlsgrab in this process."""
    from stages.cli.continued import needs_setup

    if not needs_setup(loaded):
        return _run(loaded, scan, None)

    from stages.net.privileges import Setup

    with Setup() as setup:  # before there are other threads
        return _run(loaded, scan, setup)


def _run(loaded: Loaded, scan: str, setup: Setup | None) -> int:
    import os

    from stages.cli.assembly import grounds_of, run_stage, tlsgrab_runner, topics_of
    from stages.cli.continued import check, go_on_of, of_scanner
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.core.settings import BusSettings
    from stages.tlsgrab.settings import TlsgrabSettings

    settings = loaded.get("tlsgrab", TlsgrabSettings)
    set_up(os.environ)
    check(loaded, workers=settings.workers, jarm=settings.mode == "jarm")
    topic = of_scanner(loaded, topics_of(loaded.get("bus", BusSettings)))
    go_on = go_on_of(loaded, setup, capacity=settings.concurrent, keep_data=False)
    return launch(
        lambda life: run_stage(
            life,
            loaded,
            lambda policy, metrics: tlsgrab_runner(
                settings,
                grounds_of(loaded, "tlsgrab", settings.concurrent, policy, metrics, of_scanner=topic, go_on=go_on),
                scan,
            ),
            "tlsgrab",
        )
    )
