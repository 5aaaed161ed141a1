"""`campaign.toml`: what is measured, how often, when, from where, and what counts as down. Pure; read by `read`.

The section [campaign] is a typed model here. The others (scanner, lists, bannergrab, tlsgrab, politeness) are those of
`longline.toml`; their values are checked by who knows these stages. Whatever is wrong, the error names file, line and
key.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import pydantic

from stages.core.errors import SettingError, UsageError
from stages.core.hours import LOCAL, Opening
from stages.core.quantities import Seconds
from stages.core.records import is_ip
from stages.core.section import nearest
from stages.core.whoami import Line
from stages.proto.rules.place import line_of

#: The vantage that is this machine.
HERE: Final = "local"

#: Sections besides [campaign], with the meaning that they have in `longline.toml`.
OTHERS: Final = ("scanner", "lists", "bannergrab", "tlsgrab", "politeness")

#: Longer is no campaign.
MAX_BYTES: Final = 16 << 20

#: Names stand in names of scans and of files.
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"

#: Vantages that an outage may ask for: more are not told apart (`stages.derive.availability.MAX_VANTAGES`).
MAX_DOWN_VANTAGES: Final = 16

#: Known responders: enough to tell a broken line from a broken host; each look probes all of them.
MAX_CONTROLS: Final = 256

Grab = Literal["banner", "tls"]
Name = Annotated[str, pydantic.Field(pattern=NAME)]


class DownRules(pydantic.BaseModel):
    """[campaign.down]: when a service counts as down."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    misses: int = pydantic.Field(3, ge=1, le=1_000)  #: looks one after the other that it did not answer
    vantages: int = pydantic.Field(1, ge=1, le=MAX_DOWN_VANTAGES)  #: and from so many vantages


class Plan(pydantic.BaseModel):
    """[campaign]: frozen, of exactly these fields, each of exactly its type."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Name
    full_every: Annotated[Seconds, pydantic.Field(gt=0)]  #: seconds from one full sweep's due time to the next
    known_every: Annotated[Seconds, pydantic.Field(gt=0)] | None = None  #: a service that changes is looked at so often
    known_slowest: Annotated[Seconds, pydantic.Field(gt=0)] | None = None  #: one that does not; default: full_every
    start: dt.datetime | None = None  #: due times are counted from here; default: when it is first run
    hours: str = "0-24"
    zone: str = LOCAL
    vantages: Annotated[tuple[Name, ...], pydantic.Field(min_length=1, strict=False)] = (HERE,)
    grabs: Annotated[tuple[Grab, ...], pydantic.Field(strict=False)] = ("banner", "tls")
    agents_grab: bool = False  #: agents that are vantages grab too, if their users let them
    spread: float = pydantic.Field(0.5, ge=0, le=1)  #: part of its window that a sweep fills; 0: none, at full rate
    controls: Annotated[tuple[str, ...], pydantic.Field(max_length=MAX_CONTROLS, strict=False)] = ()
    sample: int = pydantic.Field(400, ge=0, le=1_000_000)  #: answers that the sample for the loss is to have; 0: none
    approval: Line = ""  #: under which this is done, for the record
    down: DownRules = pydantic.Field(default_factory=lambda: DownRules.model_validate({}))

    @pydantic.field_validator("start")
    @classmethod
    def _offset(cls, value: dt.datetime | None) -> dt.datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time with its offset from UTC, such as 2026-11-28T22:00:00Z")
        return value

    @pydantic.field_validator("controls")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            pair(text)
        return value

    @pydantic.field_validator("vantages", "grabs")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("one of them stands there twice")
        return value

    @pydantic.field_validator("hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        _words(value, LOCAL)
        return value

    @pydantic.field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        _words("0-24", value)
        return value

    @pydantic.model_validator(mode="after")
    def _together(self) -> Plan:
        if self.known_every is not None and self.slowest < self.known_every:
            raise ValueError("known_slowest (or full_every in its place) is below known_every")
        if self.down.vantages > len(self.vantages):
            raise ValueError(f"down.vantages is {self.down.vantages}, and there are {len(self.vantages)}")
        return self

    @property
    def opening(self) -> Opening:
        return Opening.parse(self.hours, self.zone)

    @property
    def slowest(self) -> float:
        """Seconds after which a known service is looked at again at the latest."""
        return self.full_every if self.known_slowest is None else self.known_slowest

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """The controls as (address, port)."""
        return tuple(pair(text) for text in self.controls)

    def every(self, kind: str) -> float | None:
        """Seconds between two due times of a kind of sweep; None: there is none."""
        return self.full_every if kind == "full" else self.known_every

    def window(self, kind: str) -> float:
        """Seconds that a sweep may fill: its part of the open time of its period; 0: as fast as its rate is."""
        return (self.every(kind) or 0.0) * self.spread * self.opening.share


@dataclass(frozen=True, slots=True)
class Campaign:
    """A whole file."""

    file: str
    plan: Plan
    sections: Mapping[str, Mapping[str, object]]  #: section -> key -> value, lists as tuples
    text: str  #: as it was read

    def at(self, section: str, key: str) -> str:
        """FILE:LINE: [section] key."""
        return place(self.file, self.text, section, key)


def read(file: str, data: bytes) -> Campaign:
    """Raises UsageError that names file, line, key and value."""
    if len(data) > MAX_BYTES:
        raise UsageError(file, None, "too large for a campaign")
    try:
        text = data.decode()
        body = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise UsageError(file, None, f"not a text in UTF-8: byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(file, None, f"not TOML: {error}") from None
    for section, values in body.items():
        known = ("campaign", *OTHERS)
        if section not in known:
            raise UsageError(file, section, f"no section of a campaign{nearest(section, known)}")
        if not isinstance(values, dict):
            raise UsageError(place(file, text, "", section), section, f"a section is a table: [{section}]")
    if "campaign" not in body:
        raise UsageError(file, None, "there is no section [campaign]")
    try:
        plan = Plan.model_validate(body["campaign"])
    except pydantic.ValidationError as error:
        raise _refused(file, text, body["campaign"], error) from None
    sections: dict[str, dict[str, object]] = {
        name: {key: tuple(value) if isinstance(value, list) else value for key, value in body[name].items()}
        for name in OTHERS
        if name in body
    }
    return Campaign(file, plan, sections, text)


def pair(text: str) -> tuple[str, int]:
    """`192.0.2.1:80` as (address, port). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not is_ip(host) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("not ADDRESS:PORT such as 192.0.2.1:80")
    return host, int(port)


def place(file: str, text: str, section: str, key: str) -> str:
    """Where a key stands: FILE:LINE: [section] key; without the line where it does not stand there."""
    way = [*section.split("."), key] if section else [key]
    held: Any = tomllib.loads(text)
    for step in way:
        if not isinstance(held, dict) or step not in held:
            return f"{file}: [{section}] {key}" if section else f"{file}: {key}"
        held = held[step]
    named = f"[{'.'.join(way)}]" if isinstance(held, dict) else f"[{section}] {key}" if section else key
    return f"{file}:{line_of(text, way)}: {named}"


def _words(hours: str, zone: str) -> None:
    try:
        Opening.parse(hours, zone)
    except UsageError as error:
        raise ValueError(error.problem) from None


def _refused(file: str, text: str, values: Mapping[str, Any], error: pydantic.ValidationError) -> SettingError:
    """The first of pydantic's errors in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    way: Sequence[str | int] = [item for item in first["loc"] if not str(item).startswith("function-")]
    keys = [str(item) for item in way if isinstance(item, str)]
    if not keys:
        return SettingError(f"{file}: [campaign]", None, first["msg"].removeprefix("Value error, "))
    section, key = ".".join(["campaign", *keys[:-1]]), keys[-1]
    known = DownRules.model_fields if keys[:-1] == ["down"] else Plan.model_fields
    if first["type"] == "extra_forbidden":
        return SettingError(place(file, text, section, key), None, f"no such key{nearest(key, list(known))}")
    if first["type"] == "missing":
        return SettingError(f"{file}: [{section}]", None, f"{key} is not there")
    held: Any = values
    for item in way:
        try:
            held = held[item]
        except (KeyError, IndexError, TypeError):
            break
    return SettingError(place(file, text, section, key), held, first["msg"].removeprefix("Value error, "))
