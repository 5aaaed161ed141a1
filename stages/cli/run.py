"""`longline run`: scan, grab and store in one process; one SQLite file is the logs between them and the store.

Kill it and start it again: it goes on where it was. It ends when the scan has ended and everything is stored.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stages.cli.sections import SECTIONS, add_settings, load_settings
from stages.core.options import add_section

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.net.privileges import Setup

PLAIN = ("scanner", "lists", "orders", "store", "politeness", "runner", "metrics")
PREFIXED = {"bannergrab": "banner", "tlsgrab": "tls"}

#: Of the log only its size is a question here: what it is, where it is and who reads it is the run's own affair.
BUS_OPTIONS = frozenset({"max_log_bytes"})

#: What the scan's own options would say against the run's: its checkpoint stands beside its file.
NOT_OF_SCAN = ("checkpoint", "resume")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--again", action="store_true", help="scan anew although the scan in the file is finished")
    parser.add_argument(
        "--grab",
        default="banner,tls",
        metavar="NAMES",
        help="what to do with open ports: banner, tls, both by comma, or none (default: banner,tls)",
    )
    parser.add_argument("--view", action=argparse.BooleanOptionalAction, help="live view (default: on a terminal)")
    add_settings(parser, *PLAIN, omit=NOT_OF_SCAN)
    add_section(parser, SECTIONS["bus"], omit=SECTIONS["bus"].model_fields.keys() - BUS_OPTIONS)
    for name, prefix in PREFIXED.items():
        add_section(parser, SECTIONS[name], prefix=prefix, omit=("port", "format", "verbosity", "workers"))


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *PLAIN, "bus", prefixes=PREFIXED, own_file=True)

    from stages.net.privileges import Setup

    with Setup() as setup:  # before there are other threads: numpy starts some when it is imported
        return _run(args, loaded, setup)


def _run(args: argparse.Namespace, loaded: Loaded, setup: Setup) -> int:
    import os
    import sys

    from stages.cli.assembly import LEVELS
    from stages.cli.pipeline import Pipeline, parse_grabs
    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.scanner.settings import ScannerSettings

    view = sys.stderr.isatty() if args.view is None else args.view
    set_up(os.environ, default="warning" if view else LEVELS[loaded.get("scanner", ScannerSettings).verbosity])
    pipeline = Pipeline(loaded, grabs=parse_grabs(args.grab), again=args.again, view=view, setup=setup)
    return launch(pipeline.run)
