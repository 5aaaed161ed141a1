"""`longline rules`: rule files looked at, and run on what was recorded before."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.core.layers import Loaded
    from stages.core.lifecycle import Life
    from stages.core.records import Tls
    from stages.proto.rules.ruleset import RuleSet
    from stages.sink.corpus import Corpus

SECTIONS = ("query", "store")

#: Options of `query` that choose no handshakes.
OMIT = ("limit", "issuer", "expiring", "new_since", "key_shared", "moved")

ACTIONS: Final = {
    "list": "the rules that come with the program",
    "check": "FILES: whether they can be read",
    "test": "FILES: which records of the store, or of --records, they hold of",
}

#: Certificates kept while a store is judged: most are seen again soon or never; some 20 MB.
CACHED: Final = 10_000

#: (record, DER of its leaf where the record has only the hash)
Recorded = AsyncIterator[tuple["Tls", bytes | None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", nargs="*", metavar="FILE", help="rule files, or shipped sets: tor, cpe, appliances")
    parser.add_argument(
        "--records", metavar="FILE", help="test: tls records, one JSON object a line, instead of the store; -: stdin"
    )
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.tlsgrab.rules import read_rules, shipped

    if args.action == "list":
        if args.what:
            raise UsageError("rules list", args.what[0], "takes no files")
        for name in shipped():
            for rule in read_rules([name]).rules:
                sys.stdout.write(f"{name:12} {rule.name:24} {rule.about}\n")
        return 0
    if not args.what:
        raise UsageError(f"rules {args.action}", None, "needs rule files or shipped sets")
    rules = read_rules(args.what, f"rules {args.action}")
    if args.action == "check":
        sys.stdout.write(f"{len(rules.rules)} rules, {len(rules.hellos)} hellos of their own\n")
        return 0
    set_up(os.environ, default="warning")
    lines = None if args.records is None else _opened(args.records)
    return launch(lambda life: _test(life, loaded, rules, lines))


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return open(file, "rb")  # closed by who reads it
    except OSError as error:
        raise UsageError("--records", file, error.strerror or str(error)) from None


async def _test(life: Life, loaded: Loaded, rules: RuleSet, lines: BinaryIO | None) -> int:
    import time
    from contextlib import AsyncExitStack

    import orjson

    from stages.cli.tables import show
    from stages.core.settings import StoreSettings
    from stages.core.times import rfc3339
    from stages.sink.app import open_corpus
    from stages.sink.query import filter_of, reading
    from stages.sink.settings import QuerySettings, SinkSettings
    from stages.sink.store import Collection
    from stages.tlsgrab.rules import Judge

    judge = Judge(rules)
    query = loaded.get("query", QuerySettings).model_copy(update={"limit": 0, **dict.fromkeys(_UNASKED)})
    judged: dict[str, int] = {}
    held = dict.fromkeys((rule.name for rule in rules.rules), 0)
    async with AsyncExitStack() as stack:
        if lines is not None:
            records = _of_lines(stack.enter_context(lines))
        else:
            where = filter_of(query, Collection.TLS, int(time.time() * 1e6))
            corpus = open_corpus(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings), read_only=True)
            await stack.enter_async_context(reading(corpus))
            records = _of_store(corpus, corpus.find(Collection.TLS, where))
        async for record, leaf in records:
            if life.stopping.is_set():
                break
            for rule in rules.of(record.hello):
                judged[rule.name] = judged.get(rule.name, 0) + 1
            names = judge.judge(record, leaf)
            for name in names:
                held[name] += 1
            if names and query.json_:
                said = {"ts": rfc3339(record.ts), "ip": record.ip, "port": record.port, "name": record.name}
                sys.stdout.buffer.write(orjson.dumps({**said, "rules": names}, option=orjson.OPT_APPEND_NEWLINE))
    if query.json_:
        return 0

    async def rows() -> AsyncIterator[list[str]]:
        for rule in rules.rules:
            yield [rule.name, str(held[rule.name]), str(judged.get(rule.name, 0)), rule.about]

    await show(["rule", "holds", "of", "about"], rows())
    return 0


#: Filters that a configuration file may have set for `query`.
_UNASKED: Final = ("issuer", "expiring", "new_since")


async def _of_lines(lines: BinaryIO) -> Recorded:
    """The handshakes among the records; others are passed over. Raises UsageError with file and line."""
    from stages.core.errors import RecordError
    from stages.core.records import Tls, parse

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse(line)
        except RecordError as error:
            raise UsageError(f"{lines.name}:{number}", None, error.detail) from None
        if isinstance(record, Tls):
            yield _complete(record), None


async def _of_store(corpus: Corpus, documents: AsyncIterator[dict[str, Any]]) -> Recorded:
    """With the leaf out of the stored certificates."""
    leaves: dict[str, bytes | None] = {}
    async for document in documents:
        record = _complete(_record(document))
        leaf: bytes | None = None
        if record.chain:
            digest = record.chain[0]
            if digest not in leaves:
                if len(leaves) >= CACHED:
                    leaves.pop(next(iter(leaves)))
                leaves[digest] = await _der(corpus, digest)
            leaf = leaves[digest]
        yield record, leaf


async def _der(corpus: Corpus, digest: str) -> bytes | None:
    number = int(digest, 16)
    found = await corpus.after(f"{number - 1:064x}" if number else "", 1)
    return bytes(found[0]["raw"]) if found and found[0]["_id"] == digest else None


def _record(d: dict[str, Any]) -> Tls:
    """An observation as the record that it was made of, as far as rules look at it."""
    from stages.core.outcome import Outcome, Phase
    from stages.core.records import Tls

    kept = ("mode", "alert", "version", "cipher_suite", "alpn", "hello", "server_hello", "name", *_PRINTS, "synack")
    return Tls(
        scan=d["scan"],
        ts=d["ts"],
        ip=d["ip"],
        port=d["port"],
        outcome=Outcome(d["outcome"]),
        phase=Phase(d["phase"]),
        chain=d["chain"],
        **{key: d[key] for key in kept if key in d},
    )


_PRINTS: Final = ("ja3s", "fingerprint", "jarm")


def _complete(record: Tls) -> Tls:
    """With the fingerprints that were not yet made when it was recorded."""
    from contextlib import suppress

    from stages.proto.tls.fingerprints import fingerprints_of

    if record.ja3s is None and record.server_hello is not None:
        with suppress(KeyError, TypeError, ValueError):  # a free object, of whoever made the record
            for key, value in fingerprints_of(record.server_hello).items():
                setattr(record, key, value)
    return record
