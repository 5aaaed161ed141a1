"""Files of ZMap's kind, and those of the system, as layers of the settings.

An operator's exclusions hold whatever a user says: the block lists that the system's files name are added to his own.

    /etc/longline/longline.toml     read where there is no longline.toml of one's own; its block lists always hold
    /etc/longline/blocklist.conf    holds where it is there
    /etc/zmap/zmap.conf             `scan`, `iterate`: its options, below all others; with -C only its block list
    /etc/zmap/blocklist.conf        (or blacklist.conf) where there is no zmap.conf

`--no-system-config`, or LONGLINE_NO_SYSTEM_CONFIG=1, leaves them alone. So does a place from which no packet can leave:
LONGLINE_CONFINE, and the namespaces of a simulated network, whose addresses are those that such lists are made of.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stages.core.errors import SettingError
from stages.core.layers import FILE_NAME, SYSTEM_DIRECTORY
from stages.core.section import Section, nearest
from stages.core.settings import Given, Loaded, dump_effective
from stages.net import confine
from stages.scanner.zmapconf import MAX_BYTES, Line, parse_conf

#: The environment's way to say --no-system-config.
VARIABLE: Final = "LONGLINE_NO_SYSTEM_CONFIG"

ZMAP_DIRECTORY: Final = Path("/etc/zmap")
_ZMAP_FILE: Final = "zmap.conf"
#: Names of the block list that ZMap's packages bring, newest first.
_ZMAP_LISTS: Final = ("blocklist.conf", "blacklist.conf")
_OWN_LIST: Final = "blocklist.conf"

_LISTS, _BLOCK = "lists", "blocklist_file"


def honoured(refused: bool) -> bool:
    """Whether the system's files have a say here. `refused`: --no-system-config."""
    return not (refused or os.environ.get(VARIABLE, "") not in ("", "0") or confine.confined() or confine.marked())


def own_lists(file: Path | None, directory: Path = SYSTEM_DIRECTORY) -> Iterator[Given]:
    """The block lists of /etc/longline, where `file` is what is read as longline.toml."""
    system = directory / FILE_NAME
    if system != file and system.is_file():
        try:
            held = tomllib.loads(system.read_text("utf-8")).get(_LISTS, {})
        except (OSError, ValueError) as error:
            raise SettingError(str(system), None, f"cannot be read: {error}") from None
        for key in ("blocklist-file", "blocklist_file"):
            names = held.get(key) if isinstance(held, dict) else None
            if names is None:
                continue
            names = [names] if isinstance(names, str) else names
            yield Given(_LISTS, _BLOCK, tuple(map(str, names)), f"{system}: [{_LISTS}] {key}")
    if (directory / _OWN_LIST).is_file():
        yield Given(_LISTS, _BLOCK, (str(directory / _OWN_LIST),), str(directory / _OWN_LIST))


def of_zmap(
    sections: Mapping[str, type[Section]], *, lists_only: bool, directory: Path = ZMAP_DIRECTORY
) -> Iterator[Given]:
    """What /etc/zmap says. `lists_only`: another file was given by -C. Raises SettingError."""
    file = directory / _ZMAP_FILE
    if file.is_file():
        for given in of_file(file, sections):
            if not lists_only or (given.section, given.field) == (_LISTS, _BLOCK):
                yield given
        return
    for name in _ZMAP_LISTS:
        if (directory / name).is_file():
            yield Given(_LISTS, _BLOCK, (str(directory / name),), str(directory / name))
            return


def of_file(file: Path, sections: Mapping[str, type[Section]]) -> Iterator[Given]:
    """A configuration file of ZMap's kind, for the options of `sections`. Raises SettingError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SettingError(str(file), None, f"more than {MAX_BYTES} bytes: not a configuration file")
        text = data.decode()
    except OSError as error:
        raise SettingError("-C/--config", str(file), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingError(str(file), None, f"not a text in UTF-8: {error.reason} at byte {error.start}") from None
    flags = {flag: place for flag, place in _flags(sections)}
    for line in parse_conf(text, str(file)):
        yield _given(line, file, sections, flags)


def _flags(sections: Mapping[str, type[Section]]) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, section in sections.items():
        for field in section.model_fields:
            for flag in section.option(field).flags:
                if flag.startswith("--"):
                    yield flag.removeprefix("--"), (name, field)


def _given(
    line: Line, file: Path, sections: Mapping[str, type[Section]], flags: Mapping[str, tuple[str, str]]
) -> Given:
    origin = f"{file}:{line.number}"
    place = flags.get(line.name)
    negated = place is None and line.name.startswith("no-")
    if negated:
        place = flags.get(line.name.removeprefix("no-"))
    if place is None:
        raise SettingError(f"{origin}:1", line.name, f"no option of this command{nearest(line.name, list(flags))}")
    name, field = place
    yes_or_no = sections[name].model_fields[field].annotation is bool
    if yes_or_no:
        if line.value is not None:
            raise SettingError(f"{origin}:{line.column}", line.value, f"{line.name} stands alone, without a value")
        return Given(name, field, not negated, origin)
    if line.value is None or negated:
        raise SettingError(f"{origin}:{line.column}", line.name, "needs a value behind it")
    value = os.path.expanduser(line.value) if line.value.startswith("~") else line.value
    return Given(name, field, (value,) if sections[name].option(field).repeat else value, origin)


def said(loaded: Loaded, directories: tuple[Path, ...] = (SYSTEM_DIRECTORY, ZMAP_DIRECTORY)) -> list[str]:
    """A line for the log for each file of the system that has a say: which settings are from it."""
    named: dict[str, list[str]] = {}
    for row in dump_effective(loaded):
        for part in row.origin.split(" + "):
            for directory in directories:
                if part.startswith(f"{directory}/"):
                    file = f"{directory}/" + part.removeprefix(f"{directory}/").partition(":")[0]
                    named.setdefault(file, []).append(row.key.replace("_", "-"))
    return [f"the system's {file} says: {', '.join(dict.fromkeys(keys))}" for file, keys in named.items()]
