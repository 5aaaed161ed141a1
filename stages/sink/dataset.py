"""A dataset: what is stored, as files that somebody else can check and read. Pure, but for the folder it writes.

    DIR/manifest.json           written last: without it a dataset is not whole
    DIR/services.jsonl.zst      or services.parquet; one file a collection

The manifest names each file's rows, bytes and SHA-256, its columns with their types, the filters that chose the rows,
and the program that wrote it. JSON Lines are whole documents, as `longline query --json` shows them; of these the
columns are what is always meant the same way. Parquet has the columns alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from stages import __version__
from stages.core.errors import HostError, UsageError
from stages.core.files import SHARED, replace
from stages.sink.documents import Document
from stages.sink.export import CSV_COLUMNS, json_line
from stages.sink.query import TIMES, documents
from stages.sink.store import Collection, Filter, Store

#: Of the manifest's own form.
VERSION: Final = 1
MANIFEST: Final = "manifest.json"

#: Rows handed on at once: a row group of Parquet, some megabytes.
ROWS: Final = 10_000

#: Bytes read at once to check a file.
_PIECE: Final = 1 << 20

#: Type of a column, by its last word; text unless it stands here or is a time.
_TYPES: Final[dict[str, str]] = {
    **dict.fromkeys(("port", "ttl", "attempt", "sent", "size", "position"), "int"),
    **dict.fromkeys(("rtt", "connect", "first_byte", "ended"), "float"),
    **dict.fromkeys(("success", "repeat", "cooldown", "truncated", "ca"), "bool"),
    **dict.fromkeys(("data", "raw"), "bytes"),
    **dict.fromkeys(("chain", "names"), "texts"),
    **dict.fromkeys(("source", "tcp", "icmp", "udp", "facts", "spec", "counters", "key", "addresses"), "json"),
}
#: The same word means something else there.
_TYPES_OF: Final[dict[tuple[Collection, str], str]] = {(Collection.CERTIFICATES, "version"): "int"}


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is a path, such as `banner.outcome`; `type`: text, texts, int, float, bool, bytes, time or json."""

    name: str
    type: str


def columns_of(collection: Collection) -> tuple[Column, ...]:
    return tuple(Column(name, _type(collection, name)) for name in CSV_COLUMNS[collection])


def _type(collection: Collection, name: str) -> str:
    word = name.rpartition(".")[2]
    if word in TIMES:
        return "time"
    return _TYPES_OF.get((collection, word), _TYPES.get(word, "text"))


class Writer(Protocol):
    """Writes the rows of one file."""

    def write(self, rows: Sequence[Document]) -> None: ...

    def close(self) -> None: ...


class Form(Protocol):
    """A form of files: its ending, and what opens a writer. Raises UsageError where its library is missing."""

    ending: str

    def open(self, path: Path, columns: Sequence[Column]) -> Writer: ...


@dataclass(frozen=True, slots=True)
class File:
    """One file of a dataset, as the manifest has it."""

    name: str
    collection: str
    rows: int
    bytes: int
    sha256: str
    columns: Sequence[Column]


def digest(path: Path) -> tuple[int, str]:
    """(bytes, SHA-256). Raises OSError."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            sha.update(piece)
            size += len(piece)
    return size, sha.hexdigest()


async def write(
    folder: Path,
    store: Store,
    wanted: Mapping[Collection, Filter],
    form: Form,
    *,
    about: Mapping[str, Any],
) -> list[File]:
    """Write the dataset into `folder`, which is new or empty. `about`: what else the manifest is to say.

    Raises UsageError: the folder holds something, or the form's library is missing; HostError: the disk.
    """
    try:
        _fresh(folder)
        files = [await _file(folder, store, collection, where, form) for collection, where in wanted.items()]
        _finish(folder, about, files)
    except OSError as error:
        raise HostError(f"{folder}: {error.strerror or error}") from error
    return files


def _fresh(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError("DIR", str(folder), "holds something already; a dataset has a folder of its own")


def _finish(folder: Path, about: Mapping[str, Any], files: Sequence[File]) -> None:
    """The manifest, whole or not at all."""
    manifest = {"dataset": VERSION, "program": f"longline {__version__}", **about, "files": list(map(asdict, files))}
    replace(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode(), SHARED)


async def _file(folder: Path, store: Store, collection: Collection, where: Filter, form: Form) -> File:
    columns, path = columns_of(collection), folder / f"{collection}{form.ending}"
    writer, total = form.open(path, columns), 0
    try:
        async for rows in _batches(documents(store, collection, where)):
            writer.write(rows)
            total += len(rows)
    finally:
        writer.close()
    size, sha256 = digest(path)
    return File(path.name, str(collection), total, size, sha256, columns)


async def _batches(documents: AsyncIterator[Document]) -> AsyncIterator[list[Document]]:
    rows: list[Document] = []
    async for document in documents:
        rows.append(document)
        if len(rows) >= ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def check(folder: Path) -> list[str]:
    """What is wrong with a dataset, in words: nothing, if its files are those of its manifest. Raises UsageError: there
    is no manifest that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        listed = {str(file["name"]): (int(file["bytes"]), str(file["sha256"])) for file in manifest["files"]}
    except FileNotFoundError:
        raise UsageError("DIR", str(folder), f"has no {MANIFEST}: it is no dataset, or not a whole one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("DIR", str(folder / MANIFEST), f"cannot be read: {error}") from None
    wrong = []
    for name, (size, sha256) in listed.items():
        if "/" in name or name.startswith("."):
            wrong.append(f"{name}: not a name of a file in this folder")
            continue
        try:
            found = digest(folder / name)
        except OSError as error:
            wrong.append(f"{name}: {error.strerror}")
            continue
        if found[0] != size:
            wrong.append(f"{name}: {found[0]} bytes, not {size}")
        elif found[1] != sha256:
            wrong.append(f"{name}: its SHA-256 is {found[1]}, not {sha256}")
    strangers = {path.name for path in folder.iterdir()} - listed.keys() - {MANIFEST}
    return wrong + [f"{name}: not in the manifest" for name in sorted(strangers)]


def json_lines(rows: Sequence[Document]) -> bytes:
    return b"".join(map(json_line, rows))
