"""`--spec scan.toml`: a whole scan as one file; `--echo` writes it from a command line.

The file has the sections of `longline.toml` that a scan reads, and means what typing its values would: what is typed
besides wins, lists and blocklists of the machine's own files hold.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stages.cli.sections import SECTIONS
from stages.core.errors import SettingError, UsageError
from stages.core.layers import Given
from stages.core.section import nearest
from stages.proto.rules.place import line_of

if TYPE_CHECKING:
    from stages.core.settings import Loaded

#: What makes a scan, out of the sections that there are: a log or a port of metrics is the machine's matter.
WANTED: Final = ("scanner", "grab", "continue", "lists")

#: Longer is no specification.
MAX_BYTES: Final = 16 << 20

Values = dict[str, dict[str, object]]


def sections() -> tuple[str, ...]:
    return tuple(name for name in WANTED if name in SECTIONS)


def read(file: str, *more: str) -> Values:
    """The values of a specification, each section that is there; `more`: sections besides those of a scan. Raises
    UsageError that names file and place."""
    known = (*sections(), *more)
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError("--spec", file, "too large for the specification of a scan")
        body = tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError("--spec", file, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise UsageError("--spec", file, f"not a text in UTF-8: byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError("--spec", file, str(error)) from None
    found: Values = {}
    for section, values in body.items():
        if section not in known or not isinstance(values, dict):
            raise UsageError(file, section, f"no section of a scan{nearest(section, known)}")
        names = SECTIONS[section].names()
        found[section] = {}
        for key, value in values.items():
            if key not in names:
                place = f"{file}:{line_of(data.decode(), (section, key))}"
                raise UsageError(place, f"{section}.{key}", f"no such setting{nearest(key, tuple(names))}")
            found[section][names[key]] = tuple(value) if isinstance(value, list) else value
    return found


def given_in(file: str, *more: str) -> tuple[list[Given], tuple[str, ...]]:
    """The same values, each with its place for whoever refuses it; and the sections that are there."""
    values, text = read(file, *more), Path(file).read_text(encoding="utf-8")
    found = []
    for section, keys in tomllib.loads(text).items():
        names = SECTIONS[section].names()
        for key in keys:
            place = f"{file}:{line_of(text, (section, key))}: [{section}] {key}"
            found.append(Given(section, names[key], values[section][names[key]], place))
    return found, tuple(values)


def echo(loaded: Loaded) -> str:
    """The specification of the scan that the settings ask for: what is not as it always is."""
    text = []
    for section in sections():
        settings = loaded.section(section)
        lines = []
        for key, name in type(settings).names().items():
            value, field = getattr(settings, name), type(settings).model_fields[name]
            if value != field.default and not SECTIONS[section].option(name).secret:
                lines.append(f"{key} = {_toml(value)}")
        if lines:
            text.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(text) + "\n" if text else ""


def _toml(value: Any) -> str:
    """A value as TOML 1.0 writes it: of text and lists the form is that of JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Collection):
        return "[" + ", ".join(map(_toml, value)) + "]"
    raise SettingError("--echo", value, "has no form in a specification")
