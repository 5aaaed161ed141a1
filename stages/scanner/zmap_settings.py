"""More of ZMap's options: what a scan says of itself, and names that mean little here but are understood.

Which option of ZMap is which here stands in docs/from-zmap.md (`stages.scanner.zmap_options` is that table).
"""

from __future__ import annotations

import json
from typing import Final, Literal

import pydantic

from stages.core.settings import Section, opt

#: Packets of one call, at most, as ZMap bounds it.
MAX_BATCH: Final = 65_535


class ZmapSettings(Section):
    """ZMap: what a scan says of itself, and more options by ZMap's names"""

    metadata_file: str | None = opt(
        None,
        "-m",
        "--metadata-file",
        metavar="FILE",
        help="write there, as JSON, what was scanned, how, and what came of it; -: standard output",
    )
    status_updates_file: str | None = opt(
        None, "-u", "--status-updates-file", metavar="FILE", help="write a row of CSV there every second"
    )
    notes: str | None = opt(None, "--notes", metavar="TEXT", help="text for the metadata")
    user_metadata: str | None = opt(None, "--user-metadata", metavar="JSON", help="JSON for the metadata")
    log_file: str | None = opt(None, "-l", "--log-file", metavar="FILE", help="write the log there, at its end")
    log_directory: str | None = opt(
        None, "-L", "--log-directory", metavar="FOLDER", help="write the log into a new file there, named by its time"
    )
    summary: bool = opt(
        False, "-g", "--summary", help="print configuration and results at the end, a line each, as ZMap 1 did"
    )
    min_hitrate: float = opt(
        0.0, "--min-hitrate", metavar="PERCENT", help="give up when the hit rate stays below that", ge=0, le=100
    )
    cores: str | None = opt(None, "--cores", metavar="LIST", help="run on these processors only: 0,2")
    iplayer: bool = opt(False, "-X", "--iplayer", "--vpn", help="the same as --engine ip")
    batch: int | None = opt(
        None,
        "--batch",
        metavar="N",
        help="understood and left alone: batches fit the rate by themselves",
        ge=1,
        le=MAX_BATCH,
    )
    validate_source_port: Literal["enable", "disable"] | None = opt(
        None,
        "--validate-source-port",
        metavar="WHAT",
        help="enable is how it is; disable is refused: by what an answer is bound says the field `validated`",
        choices=("enable", "disable"),
    )
    netmap_wait_ping: str | None = opt(
        None, "--netmap-wait-ping", metavar="ADDRESS", help="understood and left alone: there is no netmap here"
    )
    disable_syslog: bool = opt(
        False, "--disable-syslog", help="understood and left alone: nothing is written to syslog"
    )

    @pydantic.field_validator("user_metadata")
    @classmethod
    def _json(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                json.loads(value)
            except ValueError as error:
                raise ValueError(f"not JSON: {error}") from None
        return value

    @pydantic.field_validator("cores")
    @classmethod
    def _cores(cls, value: str | None) -> str | None:
        if value is not None:
            parse_cores(value)
        return value

    @pydantic.field_validator("validate_source_port")
    @classmethod
    def _validated(cls, value: str | None) -> str | None:
        if value == "disable":
            raise ValueError("every answer is bound to its probe by all that it brings back; see the field `validated`")
        return value

    @pydantic.model_validator(mode="after")
    def _together(self) -> ZmapSettings:
        if self.log_file is not None and self.log_directory is not None:
            raise ValueError("-l/--log-file and -L/--log-directory both say where the log goes: give one of them")
        return self


def parse_cores(text: str) -> frozenset[int]:
    """`0,2` as numbers of processors. Raises ValueError that names the item."""
    cores = set()
    for item in text.split(","):
        digits = item.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 6):
            raise ValueError(f"{digits!r} is not the number of a processor")
        cores.add(int(digits))
    return frozenset(cores)
