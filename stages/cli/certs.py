"""`longline certs`: certificates into a store and out of it, looked at, read again and judged again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from stages.cli.sections import add_settings, load_settings
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.core.layers import Loaded
    from stages.core.lifecycle import Life
    from stages.derive.settings import CertsSettings
    from stages.sink.corpus import Corpus

SECTIONS = ("certs", "query", "store")

#: Options of `query` that choose certificates are those of an export too; the rest means nothing here.
OMIT = ("ip", "port", "outcome", "scan", "json_", "key_shared", "moved", "limit")

#: Certificates written together by an import.
IMPORT_BATCH: Final = 500

#: Digits that name a stored certificate: with fewer of them two are soon alike.
MIN_DIGITS: Final = 8

ACTIONS: Final = {
    "import": "FILES: put certificates into the store",
    "export": "write stored ones (all, or those that --name, --issuer, ... choose)",
    "show": "FILES or SHA-256s: what is known of them",
    "parse": "FILES: read them without a store",
    "reprocess": "read, sight and judge everything stored again",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "; ".join(f"{action}: {text}" for action, text in ACTIONS.items())
    parser.add_argument("action", choices=tuple(ACTIONS), help=what)
    parser.add_argument("what", nargs="*", metavar="WHAT", help="files, or for show also SHA-256s of stored ones")
    add_settings(parser, *SECTIONS, omit=OMIT)


def run(args: argparse.Namespace) -> int:
    loaded = load_settings(args, *SECTIONS)

    import os

    from stages.core.lifecycle import launch
    from stages.core.logs import set_up
    from stages.derive.settings import CertsSettings

    settings = loaded.get("certs", CertsSettings)
    files = args.action in ("import", "parse", "show")
    if files and not args.what:
        raise UsageError(
            f"certs {args.action}", None, "needs files" + (" or SHA-256s" if args.action == "show" else "")
        )
    if not files and args.what:
        raise UsageError(f"certs {args.action}", args.what[0], "takes no files")
    set_up(os.environ)
    action = _ACTIONS[args.action]
    return launch(lambda life: action(life, loaded, settings, args.what))


def _now() -> int:
    import time

    return int(time.time() * 1e6)


def _open(loaded: Loaded, *, read_only: bool) -> Corpus:
    from stages.core.settings import StoreSettings
    from stages.sink.app import open_corpus
    from stages.sink.settings import SinkSettings

    return open_corpus(loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings), read_only=read_only)


# --- in


async def _import(life: Life, loaded: Loaded, settings: CertsSettings, files: list[str]) -> int:
    from hashlib import sha256

    from stages.derive.pems import read_file
    from stages.sink.certificate import parse
    from stages.sink.documents import CertificateSeen
    from stages.sink.query import reading
    from stages.sink.retention import since
    from stages.sink.store import Batch

    seen = _now() if settings.seen is None else since(settings.seen, _now(), "--seen")
    read = written = failed = 0
    async with reading(_open(loaded, read_only=False)) as store:
        batch: dict[str, CertificateSeen] = {}

        async def write() -> None:
            nonlocal written
            result = await store.write(Batch(certificates=list(batch.values())))
            written += result.certificates
            batch.clear()

        for path in files:
            for _, der in read_file(path, settings.form):
                digest = sha256(der).hexdigest()
                fields = parse(der)
                read += 1
                failed += fields["parse_status"] != "success"
                batch.setdefault(digest, CertificateSeen(digest, der, seen, seen, fields))
                if len(batch) >= IMPORT_BATCH:
                    await write()
                    if life.stopping.is_set():
                        break
        if batch:
            await write()
    sys.stdout.write(f"{read} read, {written} stored, {failed} of them cannot be read in part or whole\n")
    return 0


# --- out


def _writer(settings: CertsSettings, default: str) -> Callable[[dict[str, Any]], bytes]:
    """A document -> bytes, in the chosen form."""
    import orjson

    from stages.proto.x509.pem import encode
    from stages.proto.x509.zcrypto import certificate_json
    from stages.sink.certificate_text import lines
    from stages.sink.query import shown

    end = orjson.OPT_APPEND_NEWLINE
    forms: dict[str, Callable[[dict[str, Any]], bytes]] = {
        "text": lambda d: ("\n".join([*lines(d), "", ""])).encode("utf-8", "backslashreplace"),
        "json": lambda d: orjson.dumps(shown(d), option=end),
        "pem": lambda d: encode(d["raw"]).encode("ascii"),
        "der": lambda d: bytes(d["raw"]),
        "zgrab2": lambda d: orjson.dumps(certificate_json(d["raw"]), option=end),
    }
    return forms[settings.format or default]


def _output(settings: CertsSettings) -> BinaryIO:
    from pathlib import Path

    try:
        return sys.stdout.buffer if settings.output == "-" else Path(settings.output).open("wb")
    except OSError as error:
        raise UsageError("-o/--output", settings.output, error.strerror or str(error)) from None


async def _write_all(settings: CertsSettings, default: str, documents: AsyncIterator[dict[str, Any]]) -> int:
    from contextlib import suppress

    from stages.core.errors import HostError

    form = _writer(settings, default)
    out = _output(settings)
    count = 0
    try:
        async for document in documents:
            try:
                out.write(form(document))
            except OSError as error:
                with suppress(OSError):
                    out.close()
                raise HostError(f"{settings.output}: {error.strerror}") from None
            count += 1
            if count == 2 and settings.format == "der":
                raise UsageError("--format", "der", "holds one certificate, and there are more")
    finally:
        if out is not sys.stdout.buffer:
            out.close()
    return count


async def _export(life: Life, loaded: Loaded, settings: CertsSettings, _: list[str]) -> int:
    from stages.sink.query import certificates, filter_of, reading
    from stages.sink.settings import QuerySettings
    from stages.sink.store import Collection

    query = loaded.get("query", QuerySettings).model_copy(update={"limit": 0, **dict.fromkeys(_UNASKED)})
    where = filter_of(query, Collection.CERTIFICATES, _now())
    corpus = _open(loaded, read_only=True)
    async with reading(corpus):
        await _write_all(settings, "pem", certificates(corpus, where))
    return 0


#: Filters that a configuration file may have set for `query`.
_UNASKED: Final = ("ip", "port", "outcome", "scan")


def _of_files(settings: CertsSettings, files: list[str]) -> Iterator[dict[str, Any]]:
    from hashlib import sha256

    from stages.derive.pems import read_file
    from stages.sink.certificate import parse

    for path in files:
        for _, der in read_file(path, settings.form):
            yield {"_id": sha256(der).hexdigest(), **parse(der), "raw": der}


async def _parse(life: Life, loaded: Loaded, settings: CertsSettings, files: list[str]) -> int:
    async def documents() -> AsyncIterator[dict[str, Any]]:
        for document in _of_files(settings, files):
            yield document

    await _write_all(settings, "json", documents())
    return 0


async def _show(life: Life, loaded: Loaded, settings: CertsSettings, what: list[str]) -> int:
    from contextlib import AsyncExitStack

    from stages.sink.query import reading

    async with AsyncExitStack() as stack:
        corpus: Corpus | None = None

        async def documents() -> AsyncIterator[dict[str, Any]]:
            nonlocal corpus
            for word in what:
                digits = word.lower()
                if not _is_hash(digits):
                    for document in _of_files(settings, [word]):
                        yield document
                    continue
                if corpus is None:
                    corpus = _open(loaded, read_only=True)
                    await stack.enter_async_context(reading(corpus))
                yield await _stored(corpus, digits)

        await _write_all(settings, "text", documents())
    return 0


def _is_hash(digits: str) -> bool:
    """Whether it names a stored certificate; a file of such a name is `./...`."""
    return len(digits) >= MIN_DIGITS and not set(digits) - set("0123456789abcdef")


async def _stored(corpus: Corpus, digits: str) -> dict[str, Any]:
    """The one whose SHA-256 begins so. Raises UsageError."""
    if len(digits) > 64:
        raise UsageError("certs show", digits, "more than 64 digits")
    number = int(digits.ljust(64, "0"), 16)
    found = await corpus.after(f"{number - 1:064x}" if number else "", 2)
    found = [d for d in found if d["_id"].startswith(digits)]
    if not found:
        raise UsageError("certs show", digits, "no such certificate in the store, and no such file")
    if len(found) > 1:
        raise UsageError("certs show", digits, "begins the SHA-256 of more than one")
    services = await corpus.services_of([found[0]["_id"]])
    return {**found[0], "services": services[found[0]["_id"]]}


# --- again


async def _reprocess(life: Life, loaded: Loaded, settings: CertsSettings, _: list[str]) -> int:
    from stages.derive.reprocess import Reprocess
    from stages.derive.roots import load_roots
    from stages.sink.query import reading, time_of
    from stages.sink.retention import since

    roots = load_roots(settings.roots)
    at = _now() if settings.at is None else since(settings.at, _now(), "--at")
    corpus = _open(loaded, read_only=False)
    async with reading(corpus):
        job = Reprocess(corpus, roots, at, restart=settings.restart, stop=life.stopping.is_set)
        done = await job.run()
    again = " (gone on with)" if done.resumed else ""
    sys.stdout.write(
        f"{done.read} certificates read again, {done.sighted} observations sighted,"
        f" {done.judged} of {done.of} certificates judged for {time_of(done.at)}{again}, {done.failed} cannot be read\n"
    )
    for name, count in sorted(done.verdicts.items()):
        sys.stdout.write(f"{count:10} {name}\n")
    return 0


_ACTIONS: Final = {"import": _import, "export": _export, "show": _show, "parse": _parse, "reprocess": _reprocess}
