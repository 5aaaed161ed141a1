"""A scan whose results are wanted here and now, and in no log: controls, and samples probed again."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path

from stages.core.orders import Orders
from stages.core.settings import ListSettings
from stages.net.privileges import Setup
from stages.scanner.app import scan
from stages.scanner.probes import entry
from stages.scanner.settings import ScannerSettings

#: What a probe without ports is recorded under.
NO_PORT = 0


async def answering(
    settings: ScannerSettings,
    lists: ListSettings,
    *,
    folder: Path,
    setup: Setup | None,
    stop: asyncio.Event,
    orders: Orders,
) -> set[tuple[str, int]]:
    """(address, port) of each open target. Raises what a scan raises."""
    ported = entry(settings.probe_module).ports or bool(settings.parts)
    out = folder / f"{settings.scan}.csv"
    asked = settings.model_copy(
        update={
            "output_file": str(out), "output_module": "csv", "output_fields": "saddr,sport" if ported else "saddr",
            "output_filter": None, "publish": "success", "header_row": False, "append_output": False, "quiet": True,
            "checkpoint": None, "resume": None,
        }
    )  # fmt: skip
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    try:
        await scan(asked, lists=lists, stop=stop, setup=setup, orders=orders)
        return await asyncio.to_thread(_read, out, ported)
    finally:
        await asyncio.to_thread(out.unlink, missing_ok=True)


def _read(out: Path, ported: bool) -> set[tuple[str, int]]:
    with out.open(newline="") as file:
        return {(row[0], int(row[1]) if ported else NO_PORT) for row in csv.reader(file) if row}
