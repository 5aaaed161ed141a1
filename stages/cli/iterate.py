"""`longline iterate`: the targets of a scan, in its order. Nothing is sent, no privilege is needed."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Final

from stages.cli.sections import SECTIONS, add_settings, add_zmap_config, load_settings

#: What decides about targets and their order; the other options of `scan` mean nothing here.
OPTIONS: Final = frozenset({
    "targets", "target_ports", "max_targets", "seed", "list_of_ips_file", "shards", "shard", "sender_threads",
})  # fmt: skip

#: F_SETPIPE_SZ of fcntl(2), and what an unprivileged process may ask for: fewer system calls and changes of process.
_SET_PIPE_SIZE: Final = 1031
_PIPE_BYTES: Final = 1 << 20

#: As a shell shows a death by ^C.
_EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--binary", action="store_true", help="six bytes a target: address and port, network order")
    parser.add_argument("--disable-syslog", action="store_true", help="understood: nothing is written to syslog")
    parser.add_argument("-l", "--log-file", metavar="FILE", help="write the log there")
    parser.add_argument("-v", "--verbosity", metavar="N", type=int, choices=range(6), default=2, help="0 to 5")
    add_zmap_config(parser)
    add_settings(parser, "scanner", "lists", omit=set(SECTIONS["scanner"].model_fields) - OPTIONS)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, "scanner", "lists", zmap=True)

    import fcntl
    import time
    from contextlib import suppress

    from stages.cli.zmap_ways import begin_plain_log
    from stages.core.errors import MissingCapability
    from stages.core.resolving import resolver
    from stages.core.settings import ListSettings
    from stages.scanner.prepare import prepare
    from stages.scanner.probes import REGISTRY
    from stages.scanner.settings import ScannerSettings

    settings = loaded.get("scanner", ScannerSettings)
    begin_plain_log(args.log_file, args.verbosity)
    named = settings.ports is not None
    if not named:  # the targets of a probe that has no ports
        portless = next(name for name, module in REGISTRY.items() if not module.ports)
        settings = settings.model_copy(update={"probe_module": portless, "output_fields": None})
    prepared = prepare(
        settings,
        loaded.get("lists", ListSettings),
        now_us=time.time_ns() // 1_000,
        resolve=resolver(),
        probing=False,
    )
    try:
        from stages.scanner.iterate import iterate
    except ImportError as error:
        raise MissingCapability(f"the library {error.name}", "going through the targets", "install it") from None
    out = sys.stdout.buffer
    with suppress(OSError, ValueError):  # not a pipe, or not of this system
        fcntl.fcntl(out.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
    try:
        iterate(prepared, out.write, binary=args.binary, ports=named)
        out.flush()
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    return 0
