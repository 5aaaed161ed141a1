"""A dataset is what the store has, and who has it can tell whether it is whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from stages.core.errors import UsageError
from stages.sink import dataset
from stages.sink.arrow import FORMS, value_of
from stages.sink.dataset import Column, columns_of
from stages.sink.export import json_line
from stages.sink.store import Collection, Filter, Store
from tests.sink.material import banner, certificate, one_of_each, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store's own file is not."""
    return tmp_path / "set"


EVERYTHING = dict.fromkeys(Collection, Filter())


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / dataset.MANIFEST).read_text()))


@pytest.mark.parametrize("form", FORMS)
async def test_every_collection_whole(store: Store, folder: Path, form: str) -> None:
    await one_of_each(store)
    await dataset.write(folder, store, EVERYTHING, FORMS[form], about={"filters": {}})
    told = manifest(folder)
    assert told["dataset"] == 1
    assert {file["collection"] for file in told["files"]} == set(Collection)
    for file in told["files"]:
        path = folder / file["name"]
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file["rows"] == await store.count(Collection(file["collection"]))
        documents = [d async for d in store.find(Collection(file["collection"]), Filter())]
        if form == "jsonl":
            with pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd") as stream:
                assert stream.read() == b"".join(map(json_line, documents))
        else:
            table = pyarrow.parquet.read_table(path)
            assert table.column_names == [column["name"] for column in file["columns"]]
            assert table["_id"].to_pylist() == [d["_id"] for d in documents]
    assert dataset.check(folder) == []


async def test_what_parquet_says_is_what_was_stored(store: Store, folder: Path) -> None:
    await one_of_each(store)
    await dataset.write(folder, store, EVERYTHING, FORMS["parquet"], about={})
    (row,) = pyarrow.parquet.read_table(folder / "banners.parquet").to_pylist()
    assert row["data"] == b'"quoted",\r\n=cmd\0\xff'
    assert (row["port"], row["truncated"], row["ts"].isoformat()) == (443, False, "2026-11-21T07:00:00+00:00")
    (row,) = pyarrow.parquet.read_table(folder / "hits.parquet").to_pylist()
    assert (row["rtt"], json.loads(row["tcp"]), row["success"]) == (0.5, {"seq": 1}, True)
    (row,) = pyarrow.parquet.read_table(folder / "tls.parquet").to_pylist()
    assert len(row["chain"]) == 2
    (row,) = pyarrow.parquet.read_table(folder / "scans.parquet").to_pylist()
    assert json.loads(row["start.spec"]) == {"ports": [80, 443]}
    rows = pyarrow.parquet.read_table(folder / "certificates.parquet").to_pylist()
    assert {row["raw"] for row in rows} == {certificate(), b"bad"}


async def test_a_filter_chooses(store: Store, folder: Path) -> None:
    await write(store, *[banner(port=port) for port in (22, 80, 443)])
    files = await dataset.write(
        folder, store, {Collection.BANNERS: Filter(port=80)}, FORMS["jsonl"], about={"filters": {"port": 80}}
    )
    assert [file.rows for file in files] == [1]
    assert manifest(folder)["filters"] == {"port": 80}


async def test_row_groups_are_bounded(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "ROWS", 4)
    await write(store, *[banner(port=port) for port in range(10)])
    await dataset.write(folder, store, {Collection.BANNERS: Filter()}, FORMS["parquet"], about={})
    groups = pyarrow.parquet.ParquetFile(folder / "banners.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [4, 4, 2]


async def test_a_folder_that_holds_something_is_left_alone(store: Store, folder: Path) -> None:
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(UsageError, match="holds something already"):
        await dataset.write(folder, store, EVERYTHING, FORMS["jsonl"], about={})
    assert [path.name for path in folder.iterdir()] == ["mine"]


async def test_without_its_end_it_is_no_dataset(store: Store, folder: Path) -> None:
    class Breaks:
        ending = ".broken"

        def open(self, path: Path, columns: object) -> Any:
            path.touch()
            raise UsageError("--format", None, "broken")

    with pytest.raises(UsageError, match="broken"):
        await dataset.write(folder, store, EVERYTHING, Breaks(), about={})
    with pytest.raises(UsageError, match=r"has no manifest\.json"):
        dataset.check(folder)


async def test_what_was_changed_is_found(store: Store, folder: Path) -> None:
    await one_of_each(store)
    await dataset.write(folder, store, EVERYTHING, FORMS["jsonl"], about={})
    path = folder / "hits.jsonl.zst"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (folder / "tls.jsonl.zst").unlink()
    (folder / "scans.jsonl.zst").write_bytes(b"")
    (folder / "stranger").touch()
    wrong = dataset.check(folder)
    assert len(wrong) == 4
    for line, words in zip(sorted(wrong), ("SHA-256", "0 bytes, not", "not in the manifest", "No such"), strict=True):
        assert words in line


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": [{"name": "x"}]}', '{"files": 1}'])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / dataset.MANIFEST).write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        dataset.check(tmp_path)


def test_a_manifest_reaches_no_other_folder(tmp_path: Path) -> None:
    file = {"name": "../../etc/passwd", "bytes": 1, "sha256": "0"}
    (tmp_path / dataset.MANIFEST).write_text(json.dumps({"files": [file]}))
    assert dataset.check(tmp_path) == ["../../etc/passwd: not a name of a file in this folder"]


@pytest.mark.parametrize(
    ("document", "column", "value"),
    [
        ({"ts": 5}, Column("ts", "time"), 5),
        ({"not_after": 1 << 70}, Column("not_after", "time"), None),
        ({"banner": {"outcome": "ok"}}, Column("banner.outcome", "text"), "ok"),
        ({"banner": None}, Column("banner.outcome", "text"), None),
        ({"tcp": {"seq": 1}}, Column("tcp", "json"), '{"seq":1}'),
        ({"errno": ["a"]}, Column("errno", "text"), '["a"]'),
        ({}, Column("port", "int"), None),
    ],
)
def test_a_value_in_a_column(document: dict[str, Any], column: Column, value: object) -> None:
    assert value_of(document, column) == value


def test_every_column_has_a_type() -> None:
    known = {"text", "texts", "int", "float", "bool", "bytes", "time", "json"}
    for collection in Collection:
        assert {column.type for column in columns_of(collection)} <= known
