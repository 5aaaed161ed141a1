"""Scans for the fleet: asked of its coordinator by a file, or by the command lines of nmap."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from stages.cli import asked, spec
from stages.core.errors import UsageError
from stages.core.layers import Given

if TYPE_CHECKING:
    from stages.fleet.state import State
    from stages.fleet.work import Work


def works(state: State) -> dict[str, Work]:
    """The scans that a coordinator knows, or was asked for, by name. Blocks."""
    from stages.fleet.work import Work

    kept = [change.body["work"] for change in state.things("jobs") if change.body is not None]
    asked = [body for what, body in state.waiting() if what == "submit"]
    found = [Work.model_validate_json(orjson.dumps(body)) for body in (*kept, *asked)]
    return {work.scan: work for work in found}


def submit(state: State, file: str) -> list[Work]:
    """Ask the coordinator for the scans of a file: one of a `*.toml`, else one of each command line of nmap. The same
    file again is the same scans. Blocks. Raises UsageError that names the place; of command lines those that are none
    are named, and the others submitted."""
    if file.endswith(".toml"):
        return [_submit(state, file, *spec.given_in(file, *asked.SECTIONS))]
    return list(_of_lines(state, file))


def _of_lines(state: State, file: str) -> Iterator[Work]:
    from stages.fleet import nmap_lines

    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("FILE", file, str(error)) from None
    refused = 0
    for number, line in nmap_lines.read(text):
        place = f"{file}:{number}"
        try:
            values = nmap_lines.parse(line).sections(f"{Path(file).stem}-{number}")
            given = [
                Given(section, field, value, place) for section in values for field, value in values[section].items()
            ]
            yield _submit(state, place, given, tuple(values))
        except (nmap_lines.Refused, UsageError) as error:
            refused += 1
            sys.stderr.write(f"longline campaign: {place}: {error}\n")
    if refused:
        raise UsageError(file, None, f"{refused} lines are refused; the others are submitted")


def _submit(state: State, place: str, values: Sequence[Given], sections: Collection[str]) -> Work:
    from stages.cli.sections import SECTIONS as ALL
    from stages.cli.slices import work_of
    from stages.core.settings import ListSettings, load
    from stages.scanner.settings import ScannerSettings

    loaded = load(ALL, argv={}, environ=os.environ, file=None, above=values)
    settings = loaded.get("scanner", ScannerSettings)
    known = works(state).get(settings.scan or "")
    if known is not None and settings.seed is None:
        settings = settings.model_copy(update={"seed": known.seed})
    work = work_of(settings, loaded.get("lists", ListSettings), *asked.grabs_of(loaded, sections))
    if known is not None and known != work.model_copy(update={"operator": known.operator}):
        raise UsageError(place, work.scan, "a scan of this name exists, and is another one")
    if known is None:
        state.ask("submit", work.model_dump(mode="json"))
    return known or work
