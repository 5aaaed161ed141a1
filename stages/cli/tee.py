"""`longline tee`: a buffer between a scan and a slower program. What ZMap's ztee does.

    longline scan ... | longline tee all.csv | slow program

Every line is kept in the file, at the speed of the scan; their addresses go to standard output as fast as the reader
takes them. What the reader has not taken yet stands in the file and is read from there: memory does not grow. When the
reader goes away, the file is still written to the end.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

#: Level of its log, as ZMap counts (`stages.cli.assembly.LEVELS`).
INFO: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="keep all rows there")
    parser.add_argument("--success-only", action="store_true", help="pass only rows whose success is 1 or true")
    parser.add_argument("-m", "--monitor", action="store_true", help="say on standard error every second how far it is")
    parser.add_argument(
        "-u", "--status-updates-file", metavar="FILE", help="write that into a file, a row of CSV every second"
    )
    parser.add_argument("-l", "--log-file", metavar="FILE", help="write the log there")
    parser.add_argument("-r", "--raw", action="store_true", help="pass every line on as it is")


def run(args: argparse.Namespace) -> int:
    from stages.cli.buffered import Tee
    from stages.cli.zmap_ways import begin_plain_log
    from stages.core.errors import UsageError
    from stages.scanner.tee import Rows

    begin_plain_log(args.log_file, INFO)
    if args.raw and args.success_only:
        raise UsageError("--success-only", None, "--raw reads no columns: give one of them")
    tee = Tee(
        args.file,
        Rows(success_only=args.success_only, raw=args.raw),
        status=args.status_updates_file,
        monitor=sys.stderr if args.monitor else None,
    )
    return tee.run(sys.stdin.buffer.fileno(), sys.stdout.buffer.fileno())
