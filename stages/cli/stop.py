"""`longline stop`: the emergency stop, for everything that sends: orders that stand until they are lifted."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import LonglineError, UsageError

if TYPE_CHECKING:
    from stages.core.orders import Order, Scope
    from stages.core.settings import Loaded

SECTIONS: Final = ("bus", "orders")

#: Of the log only where it is, and what its topics are called.
OMIT: Final = ("from_", "to", "group", "member", "dead", "batch_lines", "max_log_bytes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="everything that sends")
    what.add_argument("--campaign", metavar="NAME", help="the scans called NAME, or NAME-...")
    what.add_argument("--prefix", metavar="CIDR", help="whatever goes to this network")
    what.add_argument("--list", action="store_true", help="what stands, and where it was ordered")
    parser.add_argument("--lift", action="store_true", help="the order stands no more")
    parser.add_argument("--reason", metavar="TEXT", default="by hand", help="why, for the record")
    parser.add_argument(
        "--fleet-state", metavar="FILE", help="also the agents of the coordinator on this host with this state"
    )
    parser.add_argument("--json", action="store_true", help="list: one JSON object a line")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)
    if args.list:
        if args.lift:
            raise UsageError("--lift", None, "which one: --all, --campaign NAME or --prefix CIDR")
        return _list(args, loaded)
    return _give(args, loaded)


def _order(args: argparse.Namespace) -> Order:
    from stages.cli.ordering import who
    from stages.core.orders import made

    scope: Scope = "all" if args.all else "campaign" if args.campaign is not None else "prefix"
    what = {"all": "", "campaign": args.campaign, "prefix": args.prefix}[scope]
    return made("lift" if args.lift else "stop", scope, what, reason=args.reason, by=who(), at=int(time.time()))


def _give(args: argparse.Namespace, loaded: Loaded) -> int:
    """By all ways there are: what is wrong with one keeps the order from none of the others. Raises the first fault."""
    import asyncio
    from pathlib import Path

    from stages.cli import ordering
    from stages.cli.heeding import orders_of
    from stages.core.heed import file_to_write
    from stages.core.settings import PIPE, BusSettings, OrdersSettings

    order, bus = _order(args), loaded.get("bus", BusSettings)
    if args.fleet_state is not None and not Path(args.fleet_state).is_file():
        raise UsageError("--fleet-state", args.fleet_state, "no such file")
    faults: list[LonglineError] = []
    ways = [("this host", file_to_write(loaded.get("orders", OrdersSettings).file))]
    if args.fleet_state is not None:
        ways.append(("the fleet", orders_of(args.fleet_state)))
    done = []
    for name, file in ways:
        try:
            ordering.write(file, [order])
            done.append(f"{name} ({file})")
        except LonglineError as error:
            faults.append(error)
    if bus.url != PIPE:
        try:
            asyncio.run(ordering.publish(bus.url, bus, [order]))
            done.append(f"the log ({bus.url})")
        except LonglineError as error:
            faults.append(error)
    verb = "lifted" if args.lift else "ordered"
    if done:
        sys.stderr.write(f"longline stop: {order.name} {verb}: {', '.join(done)}\n")
    for fault in faults[1:]:
        sys.stderr.write(f"longline: {fault}\n")
    if faults:
        raise faults[0]
    return 0


def _list(args: argparse.Namespace, loaded: Loaded) -> int:
    import asyncio
    import datetime as dt
    from dataclasses import asdict

    from stages.cli import ordering
    from stages.cli.heeding import orders_of
    from stages.cli.tables import show_documents
    from stages.core.heed import files_of_host, read_file
    from stages.core.settings import PIPE, BusSettings, OrdersSettings

    bus = loaded.get("bus", BusSettings)
    found = [(file, read_file(file).standing) for file in files_of_host(loaded.get("orders", OrdersSettings).file)]
    if args.fleet_state is not None:
        found.append((args.fleet_state, read_file(orders_of(args.fleet_state)).standing))

    async def main() -> None:
        if bus.url != PIPE:
            found.append((bus.url, await ordering.standing_in(bus.url, bus)))
        rows = [
            {
                **asdict(order),
                "at": f"{dt.datetime.fromtimestamp(order.at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
                "where": where,
            }
            for where, orders in found
            for order in orders
        ]
        await show_documents(rows, ("order", "scope", "what", "at", "by", "reason", "where"), json=args.json)

    asyncio.run(main())
    return 0
