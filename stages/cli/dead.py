"""`longline dead`: what no stage could process: how much there is, what it is, and mended lines put back.

    longline dead show --bus URL > dead.jsonl        # then mend `line` where it can be mended
    longline dead replay dead.jsonl --bus URL

The dead letters themselves stay where they are, until the log forgets them. A line that is put back twice is stored
once: its record has the same id.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import HostError, RecordError, UsageError
from stages.core.outcome import DeadReason

if TYPE_CHECKING:
    from stages.core.settings import Loaded

SECTIONS = ("bus",)

#: Options of the bus that are for stages.
OMIT = ("from_", "to", "group", "member", "dead")

ACTIONS: Final = {
    "list": "how many there are, by stage, reason and topic",
    "show": "each of them, one JSON object a line; its `line` may be mended",
    "replay": "FILES of such lines (-: standard input): put each back where it came from",
}

#: Lines put back in one go.
BATCH: Final = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("files", nargs="*", metavar="FILE", help="replay: what `show` wrote")
    parser.add_argument("--reason", choices=[str(reason) for reason in DeadReason], help="list, show: only these")
    parser.add_argument("--stage", metavar="NAME", help="list, show: only those of this stage")
    parser.add_argument("--json", action="store_true", help="list: one JSON object a line instead of a table")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.core.lifecycle import launch
    from stages.core.logs import set_up

    if bool(args.files) != (args.action == "replay"):
        problem = "needs FILES, or -" if args.action == "replay" else "takes no files"
        raise UsageError(f"dead {args.action}", " ".join(args.files) or None, problem)
    set_up(os.environ, default="warning")
    if args.action == "replay":
        return launch(lambda _: _replay(loaded, args.files))
    return launch(lambda _: (_list if args.action == "list" else _show)(loaded, args))


async def _letters(loaded: Loaded, args: argparse.Namespace) -> AsyncIterator[dict[str, Any]]:
    """Those that are asked for, as objects."""
    from stages.cli.assembly import topics_of
    from stages.core.bus.urls import look
    from stages.core.deadletters import described
    from stages.core.settings import BusSettings

    settings = loaded.get("bus", BusSettings)
    async for chunk in look(settings.url, topics_of(settings).dead, settings):
        for line in chunk.lines:
            letter = described(chunk.headers or {}, line)
            if (args.reason is None or letter["reason"] == args.reason) and args.stage in (None, letter["stage"]):
                yield letter


async def _list(loaded: Loaded, args: argparse.Namespace) -> int:
    from stages.cli.tables import show_documents

    numbers: dict[tuple[str, str, str], int] = {}
    latest: dict[tuple[str, str, str], str] = {}
    async for letter in _letters(loaded, args):
        of = (letter["stage"], str(letter["reason"]), str(letter["source"]["topic"]))
        numbers[of] = numbers.get(of, 0) + 1
        latest[of] = letter["error"] or ""
    names = ("stage", "reason", "topic", "number", "latest_error")
    found = [dict(zip(names, (*of, number, latest[of]), strict=True)) for of, number in sorted(numbers.items())]
    await show_documents(found, names, json=args.json)
    return 0


async def _show(loaded: Loaded, args: argparse.Namespace) -> int:
    from binascii import a2b_base64

    import orjson

    async for letter in _letters(loaded, args):
        try:
            letter["line"] = a2b_base64(letter["original"]).decode()
        except UnicodeDecodeError:
            letter["line"] = None  # whoever mends it writes it here; else the bytes count
        sys.stdout.buffer.write(orjson.dumps(letter, option=orjson.OPT_APPEND_NEWLINE))
    return 0


async def _replay(loaded: Loaded, files: Sequence[str]) -> int:
    """What cannot be put back is named, line by line, and the others are."""
    from stages.cli.assembly import topics_of
    from stages.core.bus.base import Output
    from stages.core.bus.urls import open_publisher
    from stages.core.deadletters import again
    from stages.core.records import Scan, parse, prefix_key
    from stages.core.settings import BusSettings

    settings = loaded.get("bus", BusSettings)
    if settings.url == "-":
        raise UsageError("--bus", settings.url, "holds nothing: sqlite:FILE or kafka://HOST:PORT")
    topics = topics_of(settings)
    put = refused = 0
    batch: list[Output] = []
    publisher = open_publisher(settings.url, settings)
    await publisher.start()
    try:
        for place, line in _lines(files):
            try:
                one = again(line)
                if not one.topic.startswith(f"{topics.prefix}.") or one.topic == topics.dead:
                    raise RecordError(DeadReason.SCHEMA, f"{one.topic} is no topic of {topics.prefix}'s stages")
            except RecordError as error:
                refused += 1
                sys.stderr.write(f"longline dead: {place}: {error.reason}: {error.detail}\n")
                continue
            record = parse(one.line)
            key = record.scan.encode() if isinstance(record, Scan) else prefix_key(record.ip)
            batch.append(Output(one.topic, key, one.line))
            if len(batch) == BATCH:
                await publisher.publish(batch)
                put += len(batch)
                batch = []
        if batch:
            await publisher.publish(batch)
            put += len(batch)
    finally:
        await publisher.close()
    sys.stdout.write(f"{put} lines put back, {refused} refused\n")
    return 2 if refused else 0


def _lines(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """(place, line) of each line that is not blank. Raises UsageError, HostError."""
    for name in files:
        try:
            file = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115
        except OSError as error:
            raise UsageError("FILE", name, error.strerror or str(error)) from None
        with file:
            try:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{name} line {number}", line
            except OSError as error:
                raise HostError(f"{name}: {error.strerror}") from None
