from __future__ import annotations

from pathlib import Path

import pytest

from stages.core.errors import UsageError
from stages.scanner.destination import FileDestination
from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.redis import RedisDestination
from stages.scanner.results import check_results, open_results
from stages.scanner.settings import ScannerSettings

HITS = HitLines(HitSource("s", "tcp_synscan"))
SADDR = choose("saddr", "tcp_synscan")


async def test_a_file_a_server_or_the_bus_alone(tmp_path: Path) -> None:
    for fields, published, kind in (
        ({}, False, FileDestination),  # standard output
        ({}, True, type(None)),
        ({"output_file": str(tmp_path / "out")}, True, FileDestination),
        ({"output_module": "redis"}, False, RedisDestination),
        ({"output_module": "redis"}, True, RedisDestination),
    ):
        opened = open_results(
            ScannerSettings(**fields),  # type: ignore[arg-type]
            fields.get("output_module", "csv"),
            Format(SADDR, HITS),
            published=published,
        )
        assert type(opened) is kind, fields
        if opened is not None:
            await opened.close()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"output_args": "x"}, "--output-args: 'x': the output module csv takes none"),
        ({"output_module": "json", "output_args": "x"}, "the output module json takes none"),
        ({"output_module": "redis", "output_args": "http://u:p@h"}, r"--output-args: 'http://u:\*\*\*@h': not a URL"),
        ({"output_module": "redis", "output_file": "f"}, "-o/--output-file: 'f': -O redis writes to no file"),
    ],
)
def test_what_does_not_go_together(fields: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check_results(ScannerSettings(**fields))  # type: ignore[arg-type]
    check_results(ScannerSettings(output_module="redis", output_args="redis://h"))
