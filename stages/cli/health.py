"""`longline health`: asks a stage of this host how it is, where there is no other program to ask with: a container."""

from __future__ import annotations

import argparse
import http.client
import sys
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings

if TYPE_CHECKING:
    from stages.core.settings import Loaded

SECTIONS = ("metrics",)

#: Seconds until a stage must have answered.
TIMEOUT: Final = 5.0

_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, *SECTIONS, omit=("file",))
    parser.add_argument(
        "--live", action="store_true", help="only whether its event loop turns, not whether it is ready"
    )


def run(args: argparse.Namespace) -> int:
    """0: it is ready (or lives); 1: it is not, or nobody answers."""
    return ask(load_settings(args, *SECTIONS), "/healthz" if args.live else "/readyz")


def ask(loaded: Loaded, path: str) -> int:
    from stages.core.errors import UsageError
    from stages.core.settings import MetricsSettings
    from stages.net import confine

    address = loaded.get("metrics", MetricsSettings).address
    if address is None:
        raise UsageError("--metrics", None, "which stage: the address that it serves its metrics on")
    host, port = _LOOPBACK.get(address[0], address[0]), address[1]
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        confine.check_address(host)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"longline health: nobody answers on {host}:{port}: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(text)
    return 0 if answer.status == http.client.OK else 1
