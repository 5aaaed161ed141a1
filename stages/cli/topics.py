"""`longline topics`: the topics of the pipeline on Kafka, as they should be: what differs, and making it so."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.core.bus.topic_plan import Keeper, Shape
    from stages.core.settings import BusSettings, TopicSettings

SECTIONS = ("bus", "topics")

#: Options of the bus that are for stages.
OMIT = ("from_", "to", "group", "member", "dead", "batch_lines", "max_log_bytes")

ACTIONS: Final = {
    "plan": "what differs, and nothing is changed",
    "apply": "make what is missing, and change what can be changed",
    "repartition": "give all topics of records N partitions, once everything is worked off and all stages have stopped",
}

#: The stages that put work off, each to a topic of its own.
LATER: Final = ("bannergrab", "tlsgrab")

_MILLISECONDS: Final = 1_000
_FOR_EVER: Final = "-1"

#: What is asked for records only: what a fleet says is never kept for longer than it is good for, and of orders the
#: last ones are kept.
_RETENTION: Final = "retention."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("number", metavar="N", nargs="?", type=int, help="repartition: partitions of each topic")
    add_settings(parser, *SECTIONS, omit=OMIT)


def wanted_of(bus: BusSettings, topics: TopicSettings) -> dict[str, Shape]:
    """All topics of the pipeline."""
    from stages.cli.assembly import topics_of
    from stages.core.bus.kafka_options import configs_of, partitions_of
    from stages.core.bus.topic_plan import Shape
    from stages.core.bus.topics import is_fleet, is_orders

    named = topics_of(bus)
    names = [named.hits, named.banners, named.tls, named.scans, named.events, named.dead, named.orders]
    names += [named.later(stage) for stage in LATER] + [named.hits_of(scanner) for scanner in topics.scanners]
    names += [named.agents, named.claims, named.work]
    more: dict[str, str] = {}
    if topics.retention is not None:
        more["retention.ms"] = str(round(topics.retention * _MILLISECONDS)) if topics.retention else _FOR_EVER
    if topics.retention_bytes is not None:
        more["retention.bytes"] = str(topics.retention_bytes) if topics.retention_bytes else _FOR_EVER
    if topics.min_insync is not None:
        more["min.insync.replicas"] = str(topics.min_insync)

    def configs(name: str) -> dict[str, str]:
        ours = is_fleet(name) or is_orders(name)
        return configs_of(name) | {
            key: value for key, value in more.items() if not (ours and key.startswith(_RETENTION))
        }

    return {name: Shape(partitions_of(name, bus.partitions), bus.replication, configs(name)) for name in names}


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    import orjson

    from stages.cli.tables import show
    from stages.core.bus.topic_plan import plan
    from stages.core.bus.urls import topic_keeper
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.settings import BusSettings, TopicSettings

    bus, topics = loaded.get("bus", BusSettings), loaded.get("topics", TopicSettings)
    if topics.min_insync is not None and topics.min_insync > bus.replication:
        problem = f"more than the {bus.replication} replicas: nothing could be written"
        raise UsageError("--min-insync", topics.min_insync, problem)
    wanted = wanted_of(bus, topics)
    keeper = topic_keeper(bus.url, bus)
    set_up(os.environ, default="warning")

    if args.action == "repartition":
        return launch(lambda _: _repartition(keeper, bus, topics, args.number))

    async def main(_: Life) -> int:
        steps = list(plan(wanted, await keeper.found(wanted)))
        if args.action == "apply":
            await keeper.apply(steps, wanted)
        if topics.json_:
            for step in steps:
                said = {name: getattr(step, name) for name in ("topic", "what", "now", "wanted", "by_hand")}
                sys.stdout.buffer.write(orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE))
            return 0
        done = "done" if args.action == "apply" else ""

        async def rows() -> AsyncIterator[Sequence[str]]:
            for step in steps:
                yield step.topic, step.what, step.now, step.wanted, "by hand" if step.by_hand else done

        if steps:
            await show(("topic", "what", "now", "wanted", ""), rows())
        else:
            sys.stdout.write(f"{len(wanted)} topics are as they should be\n")
        return 0

    return launch(main)


def readers_of(bus: BusSettings, topics: TopicSettings) -> dict[str, list[str]]:
    """Group -> the topics that it reads."""
    from stages.cli.assembly import group_of, topics_of

    named = topics_of(bus)
    own = [named.hits_of(scanner) for scanner in topics.scanners]
    groups = {group_of(bus, "sink"): [named.hits, named.banners, named.tls, named.scans]}
    for stage in LATER:
        groups[group_of(bus, stage)] = [named.hits, *own]
        groups[f"{group_of(bus, stage)}.later"] = [named.later(stage)]
    return groups


async def _repartition(keeper: Keeper, bus: BusSettings, topics: TopicSettings, number: int | None) -> int:
    """0: done; 1: something is not worked off, or still runs. Raises UsageError: no number, or too small a one."""
    from stages.cli.assembly import topics_of
    from stages.core.bus.topics import is_fleet

    found = await keeper.found(wanted_of(bus, topics))
    for name in (topics_of(bus).dead, topics_of(bus).orders):
        found.pop(name, None)  # nobody owns prefixes of it
    found = {name: shape for name, shape in found.items() if not is_fleet(name)}  # nor of these; and agents do not stop
    if number is None or number < 1:
        raise UsageError("N", number, "how many partitions each topic is to have")
    larger = {name: shape.partitions for name, shape in found.items() if shape.partitions > number}
    if larger:
        name, has = next(iter(larger.items()))
        raise UsageError("N", number, f"{name} has {has}, and Kafka takes none away: other topics (--topic-prefix) can")
    held = await keeper.holding(readers_of(bus, topics))
    for holding in held:
        sys.stderr.write(f"longline topics: {holding}\n")
    if held:
        sys.stderr.write("longline topics: nothing was changed: let it be worked off, then stop all stages\n")
        return 1
    smaller = {name: number for name, shape in found.items() if shape.partitions < number}
    if smaller:
        await keeper.grow(smaller)
    sys.stdout.write(f"{len(smaller)} topics have {number} partitions now\n")
    return 0
