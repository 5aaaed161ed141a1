"""The layers of the settings: defaults < `longline.toml` < `LONGLINE_<SECTION>_<KEY>` < command line.

A command may have files of its own below `longline.toml`, and others between the environment and the command line:
their values come as `Given`.

`load` lays them over each other and validates once. Each value remembers where it came from, so that an error can name
the place and `longline config` can show it. One `Loaded` per process, immutable.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pydantic

from stages.core.errors import SettingError
from stages.core.section import MASK, Section, masked, nearest

#: Behind the name of any setting in the environment: the value stands in the file that is named. So a container takes
#: its secrets, and they stand in no listing of processes.
OF_A_FILE: Final = "_file"

#: Name of the configuration file, and where it is looked for after the working directory.
FILE_NAME: Final = "longline.toml"
SYSTEM_DIRECTORY: Final = Path("/etc/longline")

#: Every variable with this prefix is a setting and checked, except the reserved ones.
PREFIX: Final = "LONGLINE_"
RESERVED: Final = frozenset({"LONGLINE_CONFINE", "LONGLINE_LOG", "LONGLINE_LOG_FORMAT", "LONGLINE_NO_SYSTEM_CONFIG"})

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Effective:
    """One value as it is in force, with secrets masked."""

    section: str
    key: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Given:
    """One value of a file that is no `longline.toml`."""

    section: str
    field: str
    value: object
    origin: str  #: `FILE:LINE`


class Loaded:
    """All sections, validated, and the origin of each value."""

    __slots__ = ("_origins", "_sections")

    def __init__(self, sections: Mapping[str, Section], origins: Mapping[tuple[str, str], str]) -> None:
        self._sections = dict(sections)
        self._origins = dict(origins)

    def section(self, name: str) -> Any:
        """The section called `name`."""
        return self._sections[name]

    def get(self, name: str, kind: type[S]) -> S:
        """The section called `name`, typed."""
        section = self._sections[name]
        if not isinstance(section, kind):
            raise TypeError(f"section {name} is a {type(section).__name__}, not a {kind.__name__}")
        return section

    def origin(self, name: str, key: str) -> str:
        """`default`, `FILE: [section] key`, the name of the variable, or `command line: --option`."""
        field = type(self._sections[name]).names()[key.rstrip("_")]
        return self._origins.get((name, field), "default")

    def changed(self, name: str, **values: Any) -> Loaded:
        """The same with other values in one section; they are the program's own, and not validated."""
        sections = self._sections | {name: self._sections[name].model_copy(update=values)}
        return Loaded(sections, self._origins)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections)


def dump_effective(loaded: Loaded) -> list[Effective]:
    """Every setting in force, for `longline config`; secrets masked."""
    rows = []
    for name in loaded:
        section: Section = loaded.section(name)
        for key, field in type(section).names().items():
            rows.append(Effective(name, key, section.shown(field), loaded.origin(name, key)))
    return rows


def find_file(explicit: Path | None, directory: Path, system: Path | None = SYSTEM_DIRECTORY) -> Path | None:
    """The configuration file to read: the one given, else `directory`/longline.toml, else the system's, else none.
    `system` None: the system has no say.

    Raises SettingError if `explicit` is no file.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise SettingError("--settings", str(explicit), "no such file")
        return explicit
    places = [directory] if system is None else [directory, system]
    return next((path for place in places if (path := place / FILE_NAME).is_file()), None)


@dataclass(slots=True)
class _Layering:
    """Values and origins while the layers are laid over each other."""

    sections: Mapping[str, type[Section]]
    values: dict[str, dict[str, Any]]
    origins: dict[tuple[str, str], str]

    def put(self, name: str, field: str, value: object, origin: str) -> None:
        option = self.sections[name].option(field)
        held = self.values[name]
        if isinstance(value, str) and _is_tuple(self.sections[name], field):
            value = _split(value)
        if option.adds_up and field in held:
            value = tuple(dict.fromkeys((*held[field], *_items(value))))
            origin = f"{self.origins[name, field]} + {origin}"
        held[field] = value
        self.origins[name, field] = origin

    def field(self, name: str, key: str, place: str) -> str:
        """The field of `key`. Raises SettingError naming the nearest known key."""
        section = self.sections[name]
        keys = section.names()
        plain = key.replace("-", "_").rstrip("_")
        if plain in keys:
            return keys[plain]
        if plain in section.renamed:
            raise SettingError(place, None, f"unknown key {key!r}; it is called {section.renamed[plain]!r} now")
        raise SettingError(place, None, f"unknown key {key!r}{nearest(plain, list(keys))}")


def load(
    sections: Mapping[str, type[Section]],
    *,
    argv: Mapping[str, Mapping[str, object]],
    environ: Mapping[str, str],
    file: Path | None,
    below: Iterable[Given] = (),
    above: Iterable[Given] = (),
) -> Loaded:
    """Lay the layers over each other and validate.

    `sections`: every section of the program, so that a key of any stage is known in the file that all stages share.
    `argv`: for each section what was typed (`stages.core.options.given`). `file`: from `find_file`; None for none.
    `below` it lie the values of other files, and others `above` it and the environment.
    Raises SettingError for an unknown key or section (with the nearest known one) and for a value that is refused.
    """
    layering = _Layering(sections, {name: {} for name in sections}, {})
    for each in below:
        layering.put(each.section, each.field, each.value, each.origin)
    if file is not None:
        _lay_file(layering, file)
    _lay_environment(layering, environ)
    for each in above:
        layering.put(each.section, each.field, each.value, each.origin)
    for name, given in argv.items():
        for field, value in given.items():
            layering.put(name, field, value, f"command line: {_flag(sections[name], field)}")
    loaded: dict[str, Section] = {}
    for name, section in sections.items():
        try:
            loaded[name] = section.model_validate(layering.values[name])
        except pydantic.ValidationError as error:
            raise _refused(error, name, section, layering) from None
    return Loaded(loaded, layering.origins)


def _lay_file(layering: _Layering, file: Path) -> None:
    try:
        with file.open("rb") as stream:
            tables = tomllib.load(stream)
    except OSError as error:
        raise SettingError(str(file), None, f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(str(file), None, f"not TOML: {error}") from None
    for name, table in tables.items():
        if name not in layering.sections:
            problem = f"unknown section {name!r}{nearest(name, list(layering.sections))}"
            raise SettingError(str(file), None, problem)
        if not isinstance(table, dict):
            raise SettingError(f"{file}: {name}", masked(table), f"a section is a table: [{name}]")
        for key, value in table.items():
            field = layering.field(name, key, f"{file}: [{name}]")
            layering.put(name, field, value, f"{file}: [{name}] {key}")


def _lay_environment(layering: _Layering, environ: Mapping[str, str]) -> None:
    by_length = sorted(layering.sections, key=len, reverse=True)
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        rest = variable.removeprefix(PREFIX).lower()
        name = next((name for name in by_length if rest.startswith(f"{name}_")), None)
        if name is None:
            known = [
                f"{PREFIX}{n}_{key}".upper() for n, section in layering.sections.items() for key in section.names()
            ]
            raise SettingError(variable, None, f"unknown setting{nearest(variable, [*known, *sorted(RESERVED)])}")
        key, value = rest.removeprefix(f"{name}_"), environ[variable]
        if _names_a_file(layering.sections[name], key):
            key, value = key.removesuffix(OF_A_FILE), _said_in(value, variable)
        layering.put(name, layering.field(name, key, variable), value, variable)


def _names_a_file(section: type[Section], key: str) -> bool:
    """Whether `key` is that of a setting and the suffix, and not a setting itself (`bus.ssl_ca_file`)."""
    keys = section.names()
    return key not in keys and key.endswith(OF_A_FILE) and key.removesuffix(OF_A_FILE) in keys


def _said_in(file: str, variable: str) -> str:
    """What stands in the file of a secret, without the end of its line."""
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingError(variable, file, f"cannot be read: {problem}") from None


def _is_tuple(section: type[Section], field: str) -> bool:
    return "tuple[" in str(section.model_fields[field].annotation)


def _split(text: str) -> tuple[str, ...]:
    """A list in one text: items separated by commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _flag(section: type[Section], field: str) -> str:
    option = section.option(field)
    if option.flags:  # up to the first long one: what follows are other programs' names for it
        known = next((n for n, flag in enumerate(option.flags, 1) if flag.startswith("--")), len(option.flags))
        return "/".join(option.flags[:known])
    return option.metavar or field.rstrip("_").upper()


def _refused(error: pydantic.ValidationError, name: str, section: type[Section], layering: _Layering) -> SettingError:
    """The first of pydantic's errors, in one line: place, value, problem."""
    first = error.errors(include_url=False, include_context=False)[0]
    problem = first["msg"].removeprefix("Value error, ")
    field = str(first["loc"][0]) if first["loc"] else None
    if field is None:
        return SettingError(f"[{name}]", None, problem)
    given = layering.origins.get((name, field), f"[{name}] {field.rstrip('_')}")
    held = layering.values[name].get(field)
    if section.option(field).secret:
        return SettingError(given, MASK, problem)
    place = given.removeprefix("command line: ")
    item = first["loc"][1] if len(first["loc"]) > 1 else None
    if isinstance(item, int) and isinstance(held, list | tuple) and item < len(held):
        held = held[item]
    return SettingError(place, masked(held), problem)
