"""`longline tlsgrab`: one TLS handshake per hit, from a pipe or a log."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from stages.cli.sections import add_settings, load_settings

if TYPE_CHECKING:
    from stages.core.settings import Loaded

SECTIONS = ("tlsgrab", "bus", "lists", "politeness", "runner", "metrics")


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
    import os

    from stages.cli.assembly import grounds_of, run_stage, tlsgrab_runner
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.tlsgrab.settings import TlsgrabSettings

    settings = loaded.get("tlsgrab", TlsgrabSettings)
    set_up(os.environ)
    return launch(
        lambda life: run_stage(
            life,
            loaded,
            lambda policy, metrics: tlsgrab_runner(
                settings, grounds_of(loaded, "tlsgrab", settings.concurrent, policy, metrics), scan
            ),
            "tlsgrab",
        )
    )
