"""The forms of a dataset's files, by pyarrow: JSON Lines in Zstandard frames (RFC 8878), and Parquet.

pyarrow is an extra, `pip install longline[dataset]`: it is as large as all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import UsageError
from stages.sink.dataset import Column, Form, json_lines
from stages.sink.documents import Document
from stages.sink.query import shown


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("--format", None, "needs pyarrow: pip install 'longline[dataset]'") from None
    return pyarrow


class _Lines:
    def __init__(self, path: Path) -> None:
        pa = _arrow()
        self._out = pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")

    def write(self, rows: Sequence[Document]) -> None:
        self._out.write(json_lines(rows))

    def close(self) -> None:
        self._out.close()


class Lines:
    """JSON Lines."""

    ending = ".jsonl.zst"

    def open(self, path: Path, columns: Sequence[Column]) -> _Lines:
        return _Lines(path)


class _Table:
    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._pa = pa = _arrow()
        types = {
            "text": pa.string(),
            "texts": pa.list_(pa.string()),
            "int": pa.int64(),
            "float": pa.float64(),
            "bool": pa.bool_(),
            "bytes": pa.binary(),
            "time": pa.timestamp("us", tz="UTC"),
            "json": pa.string(),
        }
        self._columns = columns
        self._schema = pa.schema([(column.name, types[column.type]) for column in columns])
        self._writer = pa.parquet.ParquetWriter(str(path), self._schema, compression="zstd")

    def write(self, rows: Sequence[Document]) -> None:
        pa = self._pa
        arrays = [
            pa.array([value_of(row, column) for row in rows], type=field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class Table:
    """Parquet."""

    ending = ".parquet"

    def open(self, path: Path, columns: Sequence[Column]) -> _Table:
        return _Table(path, columns)


def value_of(document: Document, column: Column) -> Any:
    """What a document says in a column; None where it says nothing, or nothing of that type."""
    value: Any = document
    for key in column.name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return None
    match column.type:
        case "json":
            return orjson.dumps(shown({"it": value})["it"]).decode()
        case "text":
            return value if isinstance(value, str) else orjson.dumps(value).decode()
        case "int" | "time":
            return int(value) if -(1 << 63) <= int(value) < 1 << 63 else None
        case "float":
            return float(value)
        case "texts":
            return [str(item) for item in value]
        case "bytes":
            return bytes(value)
    return value


#: What `--format` may be.
FORMS: Final[dict[str, Form]] = {"jsonl": Lines(), "parquet": Table()}
