"""`longline bannergrab`: one conversation per hit, from a pipe or a log."""

from __future__ import annotations

import argparse

from stages.cli.sections import add_settings, load_settings

SECTIONS = ("bannergrab", "bus", "lists", "politeness", "runner", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.bannergrab.settings import BannergrabSettings
    from stages.cli.assembly import LEVELS, bannergrab_runner, grounds_of, run_stage
    from stages.cli.naming import scan_name
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up

    settings = loaded.get("bannergrab", BannergrabSettings)
    set_up(os.environ, default=LEVELS[settings.verbosity])
    return launch(
        lambda life: run_stage(
            life,
            loaded,
            lambda policy, metrics: bannergrab_runner(
                settings, grounds_of(loaded, "bannergrab", settings.concurrent, policy, metrics), scan_name()
            ),
            "bannergrab",
        )
    )
