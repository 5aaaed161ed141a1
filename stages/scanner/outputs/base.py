"""What an output module is: rows in, bytes out. Pure; who writes the bytes to a file is `stages.scanner.output`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from stages.scanner.fields import Field
from stages.scanner.hits import HitLines
from stages.scanner.masscan.writing import Data
from stages.scanner.parts import Part
from stages.scanner.plugins.base import Progress
from stages.scanner.rows import Answer
from stages.scanner.spec import ScanSpec


@dataclass(frozen=True, slots=True)
class Format:
    """What the user asked for."""

    fields: tuple[Field, ...]  #: -f, or the probe's default
    hits: HitLines  #: renders full hit records
    header_row: bool = True  #: --no-header-row
    parts: tuple[Part, ...] = ()  #: what is probed
    started_us: int = 0  #: the scan's first run, microseconds since the epoch
    show: Literal["open", "closed", "all"] = "open"  #: states that masscan's formats write
    args: str | None = None  #: --output-args
    spec: ScanSpec | None = None  #: the scan, frozen


class OutputModule(Protocol):
    """One format. Made once a scan, by its class called with a Format."""

    def begin(self) -> bytes:
        """What stands at the top of a new file."""

    def render(self, answers: Sequence[Answer]) -> bytes:
        """The answers, complete lines."""


@runtime_checkable
class Ending(Protocol):
    """A module whose files have an end."""

    closed: bool  #: the end stands there at all times: the next rows overwrite it

    def end(self) -> bytes:
        """What stands at the end of a file."""

    def keep(self, data: Data) -> int:
        """How many bytes of a file of this module may stay when it is gone on with. Instead of `begin`."""


@runtime_checkable
class Updating(Protocol):
    """A module that writes something now and then, also when nothing is found."""

    interval: float  #: seconds

    def update(self, progress: Progress) -> bytes:
        """How far the scan is; complete lines. At the end once more."""


@runtime_checkable
class Raw(Protocol):
    """A module that wants the packets themselves."""

    def packets(self, data: bytes) -> None:
        """What passed the kernel's filter since, as records of a pcap file with nanoseconds, little-endian; the file's
        header comes first, in a call of its own (`stages.scanner.pcap`). Called on the threads that receive, one call
        at a time: be quick, or packets are lost. Not by the connect engine, which sees none."""


@runtime_checkable
class Saying(Protocol):
    """A module with a form of its own for what ports said. Others have the records themselves in their files."""

    def said(self, lines: Sequence[bytes]) -> bytes:
        """Records of conversations (lines without their ends), in the format."""
