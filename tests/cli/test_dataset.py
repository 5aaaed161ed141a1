"""`longline dataset`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import longline


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = f"sqlite:{tmp_path}/scan.db"
    assert longline("sink", "--init", "--store", url).returncode == 0
    return url


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_written_and_checked(store: str, tmp_path: Path, form: str) -> None:
    folder = str(tmp_path / "set")
    words = ("--store", store, "--format", form, "--port", "80", "--since", "7d")
    ran = longline("dataset", "write", folder, "hits", "scans", *words)
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert [file["collection"] for file in told["files"]] == ["hits", "scans"]
    assert told["filters"] == {"port": 80, "since": "7d"}
    assert longline("dataset", "check", folder).returncode == 0
    (tmp_path / "set" / told["files"][0]["name"]).write_bytes(b"other")
    ran = longline("dataset", "check", folder)
    assert ran.returncode == 1
    assert "5 bytes, not" in ran.stderr


def test_a_collection_that_there_is_not(store: str, tmp_path: Path) -> None:
    ran = longline("dataset", "write", str(tmp_path / "set"), "hosts", "--store", store)
    assert ran.returncode == 2
    assert "'hosts'" in ran.stderr
    assert not (tmp_path / "set").exists()


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    ran = longline("dataset", "check", str(tmp_path))
    assert ran.returncode == 2
    assert "manifest.json" in ran.stderr


def test_the_library_is_an_extra_and_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from stages.core.errors import UsageError\nfrom stages.sink.arrow import FORMS\nfrom pathlib import Path\n"
        f"try:\n    FORMS['parquet'].open(Path({str(tmp_path / 'x')!r}), ())\nexcept UsageError as e:\n    print(e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "longline[dataset]" in out
