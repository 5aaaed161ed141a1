"""`longline fleet`: who may come to the coordinator, and what the agents do now."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.fleet.settings import FleetSettings

SECTIONS = ("fleet",)

ACTIONS: Final = {
    "init": "make the authority and the coordinator's certificate",
    "enrol": "a one-time token for an agent (makes what init makes, if it is not there)",
    "revoke": "an agent is cut off, and what it holds goes to others",
    "list": "the certificates that were given out",
    "top": "the agents, live on a terminal",
    "trace": "what became of every slice",
}

#: Seconds between two looks of `top`.
EVERY: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("words", metavar="ACTION", nargs="+", help=f"{what} ([ca] ACTION [ALIAS])")
    parser.add_argument("--host", metavar="NAME", action="append", help="how agents reach the coordinator; repeat")
    parser.add_argument("--sort", metavar="COLUMN", default="alias", help="top: by which column")
    parser.add_argument("--json", action="store_true", help="top, list, trace: one JSON object a line")
    parser.add_argument("--once", action="store_true", help="top: look once")
    add_settings(parser, *SECTIONS)


def run(args: argparse.Namespace) -> int:
    from stages.fleet.settings import FleetSettings

    settings = load_settings(args, *SECTIONS).get("fleet", FleetSettings)
    words = args.words[1:] if args.words[0] == "ca" else args.words
    action, alias = (words[0] if words else ""), (words[1] if len(words) > 1 else None)
    if action not in ACTIONS or len(words) > 2:
        raise UsageError("ACTION", " ".join(args.words), f"not one of {', '.join(ACTIONS)}")
    if (alias is None) == (action in ("enrol", "revoke")):
        raise UsageError("ALIAS", alias, "which agent" if alias is None else f"{action} is of no single agent")
    if action == "init":
        _authority(settings, args.host, anew=True)
        return 0
    if action == "enrol":
        return _enrol(settings, args.host, alias or "")
    if action == "revoke":
        return _revoke(settings, alias or "")
    if action == "list":
        return _list(settings, as_json=args.json)
    if action == "trace":
        return _trace(settings, as_json=args.json)
    return _top(settings, args)


def _authority(settings: FleetSettings, hosts: list[str] | None, *, anew: bool = False) -> str:
    """Its fingerprint; made if it is not there. A host that is named gets the coordinator a new certificate."""
    import datetime as dt
    import socket
    from pathlib import Path

    from stages.fleet import ca
    from stages.fleet.state import State

    folder = Path(settings.folder)
    identity = ca.Identity(folder)
    now = dt.datetime.now(dt.UTC)
    there = (folder / "ca-key.pem").exists()
    authority = ca.Authority.make(folder, now) if anew or not there else ca.Authority(folder)
    if hosts or not identity.certificate.exists():
        names = tuple(hosts or (socket.gethostname(), "localhost", "127.0.0.1"))
        authority.server(identity, names, now)
        sys.stderr.write(f"longline fleet: the coordinator's certificate is for {', '.join(names)}\n")
    State(settings.state).close()
    return authority.fingerprint


def _enrol(settings: FleetSettings, hosts: list[str] | None, alias: str) -> int:
    from stages.fleet import ca
    from stages.fleet.state import State

    if ca.ALIAS(alias) is None:
        raise UsageError("ALIAS", alias, "letters, digits, . _ -, at most 63")
    token, hashed = ca.new_token(_authority(settings, hosts))
    with closing(State(settings.state)) as state:
        state.add_token(hashed, alias, time.time() + ca.TOKEN_SECONDS)
    sys.stdout.write(token + "\n")
    return 0


def _revoke(settings: FleetSettings, alias: str) -> int:
    from stages.fleet.state import State

    with closing(State(settings.state, make=False)) as state:
        gone = state.revoke(alias, time.time())
    if not gone:
        sys.stderr.write(f"longline fleet: {alias} had no certificate\n")
    return 0 if gone else 1


def _list(settings: FleetSettings, *, as_json: bool) -> int:
    import asyncio

    from stages.cli.tables import show_documents
    from stages.core.times import rfc3339
    from stages.fleet.state import State

    with closing(State(settings.state, make=False)) as state:
        rows = state.certificates()
    now = time.time()
    for row in rows:
        row["state"] = "revoked" if row["revoked"] is not None else "good" if row["ends"] > now else "ended"
        for name in ("issued", "ends", "revoked"):
            row[name] = None if row[name] is None else rfc3339(int(row[name] * 1e6))
    asyncio.run(show_documents(rows, ("alias", "state", "serial", "issued", "ends", "revoked"), json=as_json))
    return 0


def _trace(settings: FleetSettings, *, as_json: bool) -> int:
    import asyncio

    from stages.cli.tables import show_documents
    from stages.core.times import rfc3339
    from stages.fleet.state import State

    with closing(State(settings.state, make=False)) as state:
        lines = [(int(change.key), change.body or {}) for change in state.things("trace")]
    rows = [{**body, "at": rfc3339(int(body["at"] * 1e6))} for _, body in sorted(lines, key=lambda line: line[0])]
    asyncio.run(show_documents(rows, ("at", "event", "scan", "agent", "token", "detail"), json=as_json))
    return 0


def _top(settings: FleetSettings, args: argparse.Namespace) -> int:
    import orjson

    from stages.cli.fleettop import COLUMNS, look, table
    from stages.cli.tables import PIPE_WIDTH
    from stages.fleet.state import State

    if args.sort not in COLUMNS:
        raise UsageError("--sort", args.sort, f"not one of {', '.join(COLUMNS)}")
    with closing(State(settings.state, make=False)) as state, suppress(KeyboardInterrupt):
        if args.json:
            sys.stdout.buffer.write(orjson.dumps(look(state, time.time(), args.sort)) + b"\n")
            return 0
        from rich.console import Console
        from rich.live import Live

        console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
        if args.once or not console.is_terminal:
            console.print(table(look(state, time.time(), args.sort)))
            return 0
        with Live(table(look(state, time.time(), args.sort)), console=console, screen=True) as live:
            while True:
                time.sleep(EVERY)
                live.update(table(look(state, time.time(), args.sort)))
    return 0
