"""`longline blocklist`: addresses in, those that may be touched out, each once. What ZMap's zblocklist does.

A line is an address, or a row of CSV that begins with one; it comes out as it came in. What is no address passes, as in
zblocklist, unless --ignore-input-errors. Besides the lists that are given, the special-purpose ranges are blocked only
on demand (`--default-blocklist`): here the lists rule.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from stages.cli.sections import add_settings, load_settings

#: Of the lists' settings; a target written on the command line, which lifts a range, does not exist here.
_OMITTED: Final = frozenset({"lift", "poll", "default_blocklist"})

#: As a shell shows a death by ^C.
_EXIT_INTERRUPTED: Final = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-duplicate-checking", action="store_true", help="let an address pass more than once")
    parser.add_argument("--ignore-input-errors", action="store_true", help="drop the lines that are no address")
    parser.add_argument("--default-blocklist", action="store_true", help="block the special-purpose ranges too")
    parser.add_argument("--disable-syslog", action="store_true", help="understood: nothing is written to syslog")
    parser.add_argument("-l", "--log-file", metavar="FILE", help="write the log there")
    parser.add_argument("-v", "--verbosity", metavar="N", type=int, choices=range(6), default=3, help="0 to 5")
    parser.add_argument("files", nargs="*", metavar="FILE", help="addresses; default: standard input")
    add_settings(parser, "lists", omit=_OMITTED)


def run(args: argparse.Namespace) -> int:
    import os

    from stages.cli.zmap_ways import begin_plain_log
    from stages.core.errors import ReaderGone, UsageError
    from stages.core.lists import read_lists
    from stages.core.resolving import resolver
    from stages.core.settings import ListSettings
    from stages.scanner.sieve import Sieve

    loaded = load_settings(args, "lists")
    lists = loaded.get("lists", ListSettings)
    begin_plain_log(args.log_file, args.verbosity)
    if not lists.blocklist_file and not lists.allowlist_file and not args.default_blocklist:
        raise UsageError("-b/--blocklist-file", None, "give a blocklist, an allowlist (-w), or --default-blocklist")
    sieve = Sieve(
        read_lists(lists, resolver()),
        default_blocklist=args.default_blocklist,
        once=not args.no_duplicate_checking,
        strict=args.ignore_input_errors,
    )
    out = sys.stdout.buffer
    try:
        for name in args.files or ["-"]:
            try:
                source = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115 - closed below
            except OSError as error:
                raise UsageError("FILE", name, f"cannot be read: {error.strerror}") from None
            with source:
                while lines := source.readlines(1 << 16):
                    out.write(b"".join(sieve.passed(lines)))
                    out.flush()  # who reads us may wait for it
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise ReaderGone("standard output: nobody reads any more") from None
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    return 0
