"""`longline tlsgrab`: one TLS handshake per hit, from a pipe or a log."""

from __future__ import annotations

import argparse

from stages.cli.sections import add_settings, load_settings

SECTIONS = ("tlsgrab", "bus", "lists", "politeness", "runner", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.cli.assembly import grounds_of, run_stage, tlsgrab_runner
    from stages.cli.naming import scan_name
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
                settings, grounds_of(loaded, "tlsgrab", settings.concurrent, policy, metrics), scan_name()
            ),
            "tlsgrab",
        )
    )
