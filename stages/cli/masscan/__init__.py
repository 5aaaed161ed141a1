"""`longline masscan`: masscan's command line over our scanner.

words     its command line and configuration files -> Config
options   the table of all its options
mapping   Config -> settings of ours
echo      Config -> its configuration file
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stages import __version__
from stages.cli.masscan.config import Config
from stages.cli.masscan.words import parse_words

if TYPE_CHECKING:
    from stages.core.settings import Loaded

_HELP: Final = """usage: longline masscan [OPTION ...] RANGE ...

masscan's command line: longline masscan -p80,443,U:53 --ping 10.0.0.0/8 --rate 10000 -oX scan.xml

docs/from-masscan.md lists all options and what is different; --nmap what of nmap's there is; --echo prints the
configuration in force, --explain what would be done.
"""


def run_words(words: Sequence[str]) -> int:
    """The command; the exit code. Raises LonglineError."""
    config = parse_words(words)
    for note in config.notes:
        sys.stderr.write(f"longline masscan: {note}\n")
    if not words or config.action == "help":
        sys.stdout.write(_HELP)
        return 0 if words else 2
    return _ACTIONS[config.action](config)


def words_of_options() -> list[tuple[tuple[str, ...], str, str | None]]:
    """(names with dashes, what becomes of it, name of its value if it takes one), for completion."""
    from stages.cli.masscan.options import OPTIONS

    return [
        (tuple(f"--{name}" if len(name) > 2 else f"-{name}" for name in option.names), option.becomes or option.ignored
         or option.refused, None if option.takes == "flag" else "FILE" if "file" in option.names[0] else "VALUE")
        for option in OPTIONS
    ]  # fmt: skip


def loaded_of(config: Config) -> Loaded:
    """The settings that the configuration asks for, over those of the machine. Raises UsageError, SettingError."""
    from stages.cli.masscan.mapping import grab_of, lists_of, request_of, scanner_of
    from stages.cli.sections import SECTIONS
    from stages.core.settings import find_file, load

    typed = {"scanner": scanner_of(config), "lists": lists_of(config)}
    if config.checkpoint is not None:
        typed["scanner"]["checkpoint"] = config.checkpoint
    grab = grab_of(config)
    if grab:
        if config.http or config.http_fields:
            grab["what"] = _kept(request_of(config))
        typed["grab"] = grab
    return load(SECTIONS, argv=typed, environ=os.environ, file=find_file(None, Path.cwd()))


def _kept(request: bytes) -> str:
    """A file that holds the request until this process ends."""
    import atexit
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="longline-request-", delete=False) as file:
        file.write(request)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def _scan(config: Config) -> int:
    from stages.cli import foretold
    from stages.cli.masscan.pausing import scan

    loaded = loaded_of(config)
    if config.explain:
        sys.stdout.write(foretold.explain(loaded))
        return 0
    if config.confirm_over is not None:
        foretold.confirm(loaded, config.confirm_over)
    return scan(config, loaded)


def _echo(config: Config) -> int:
    if config.spec:
        from stages.cli import spec

        sys.stdout.write(spec.echo(loaded_of(config)))
        return 0
    from stages.cli.masscan.echo import echo

    sys.stdout.write(echo(config))
    return 0


def _list(config: Config) -> int:
    import time

    from stages.cli.masscan.listing import write_targets
    from stages.core.settings import ListSettings
    from stages.scanner.prepare import prepare
    from stages.scanner.settings import ScannerSettings

    ports = config.ports
    config.ping = config.ping or not ports
    loaded = loaded_of(config)
    prepared = prepare(
        loaded.get("scanner", ScannerSettings), loaded.get("lists", ListSettings), now_us=time.time_ns() // 1_000,
        resolve=None, probing=False,
    )  # fmt: skip
    if config.action == "readrange":
        from ipaddress import IPv4Address, IPv6Address, summarize_address_range

        for first, last in prepared.targets.v4:
            sys.stdout.writelines(
                f"{network}\n" for network in summarize_address_range(IPv4Address(first), IPv4Address(last))
            )
        for first, last in prepared.targets.v6.ranges:
            sys.stdout.writelines(
                f"{network}\n" for network in summarize_address_range(IPv6Address(first), IPv6Address(last))
            )
        return 0
    write_targets(prepared, sys.stdout.write, ports=ports)
    return 0


def _offline(config: Config) -> int:
    """Every packet is built, and none sent: as text with --packet-trace, else only the speed is told."""
    import time

    from stages.core.settings import ListSettings
    from stages.scanner.dryrun import dry_run, fast_dry_run
    from stages.scanner.prepare import prepare
    from stages.scanner.settings import ScannerSettings

    loaded = loaded_of(config)
    prepared = prepare(
        loaded.get("scanner", ScannerSettings), loaded.get("lists", ListSettings), now_us=time.time_ns() // 1_000,
        resolve=None,
    )  # fmt: skip
    if config.packet_trace:
        dry_run(prepared, sys.stdout.write)
        return 0
    began = time.monotonic()
    count = fast_dry_run(prepared, len)
    rate = count / max(time.monotonic() - began, 1e-9) / 1000
    sys.stderr.write(f"rate: {rate:,.2f}-kpps, 100.00% done, {count} packets built, none sent\n")
    return 0


def _readscan(config: Config) -> int:
    from stages.cli.masscan.convert import convert

    return convert(config)


def _regress(config: Config) -> int:
    from stages.cli import checkup

    return checkup.self_test() if config.action == "regress" else checkup.benchmark()


def _iflist(config: Config) -> int:
    del config
    sys.stdout.writelines(f"{number}\t{name}\n" for number, name in socket.if_nameindex())
    return 0


def _nmap(config: Config) -> int:
    from stages.cli.masscan.table import nmap

    del config
    sys.stdout.write(nmap())
    return 0


def _version(config: Config) -> int:
    del config
    sys.stdout.write(f"longline {__version__}\n")
    return 0


_ACTIONS: Final = {
    "scan": _scan,
    "echo": _echo,
    "list": _list,
    "readrange": _list,
    "offline": _offline,
    "readscan": _readscan,
    "regress": _regress,
    "benchmark": _regress,
    "iflist": _iflist,
    "nmap": _nmap,
    "version": _version,
}
