"""The scanner as a command: `python -m tests.servers.run_scan [options] [targets]`, as `longline scan` runs it.

`--publish-to FILE` publishes to a log in memory and writes what it holds to FILE as JSON Lines at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
from pathlib import Path

from stages.core.bus.base import Topics
from stages.core.bus.memory import MemoryBus
from stages.core.errors import LonglineError
from stages.core.lifecycle import Life, launch, report
from stages.core.options import add_section, given
from stages.core.settings import ListSettings, load
from stages.scanner.app import scan
from stages.scanner.settings import ScannerSettings

SECTIONS = {"scanner": ScannerSettings, "lists": ListSettings}


async def work(life: Life, arguments: argparse.Namespace) -> int:
    argv = {name: given(arguments, section) for name, section in SECTIONS.items()}
    loaded = load(SECTIONS, argv=argv, environ=os.environ, file=None)
    bus = MemoryBus() if arguments.publish_to else None
    publisher = None if bus is None else bus.publisher()
    if publisher is not None:
        await publisher.start()
    summary = await scan(
        loaded.section("scanner"),
        lists=loaded.section("lists"),
        publisher=publisher,
        stop=life.stopping,
        status=sys.stderr,
    )
    if bus is not None:
        lines = [*bus.lines(Topics().hits), *bus.lines(Topics().scans)]
        await asyncio.to_thread(Path(arguments.publish_to).write_bytes, b"".join(line + b"\n" for line in lines))
    print("SUMMARY " + json.dumps(dataclasses.asdict(summary)), file=sys.stderr)
    return 0


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser()
    for section in SECTIONS.values():
        add_section(parser, section)
    parser.add_argument("--publish-to")
    arguments = parser.parse_args()
    try:
        return launch(lambda life: work(life, arguments))
    except LonglineError as error:
        return report(error)


if __name__ == "__main__":
    sys.exit(main())
