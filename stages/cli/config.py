"""`longline config`: every setting in force, and where it came from."""

from __future__ import annotations

import argparse
import json
import sys

from stages.cli.sections import SECTIONS, add_settings, load_settings
from stages.core.settings import dump_effective


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("section", nargs="*", help="only these sections")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--changed", action="store_true", help="only what is not at its default")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    from stages.core.errors import UsageError
    from stages.core.section import nearest

    for name in args.section:
        if name not in SECTIONS:
            raise UsageError("section", name, f"unknown{nearest(name, list(SECTIONS))}")
    for row in dump_effective(load_settings(args)):
        if args.section and row.section not in args.section:
            continue
        if args.changed and row.origin == "default":
            continue
        if args.json:
            shown = {"section": row.section, "key": row.key, "value": row.value, "origin": row.origin}
            sys.stdout.write(json.dumps(shown, default=str) + "\n")
        else:
            sys.stdout.write(f"{row.section}.{row.key} = {row.value!r}  # {row.origin}\n")
    return 0
