"""Settings of bannergrab: the options of ZMap's banner-grab by its letters, and our own."""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.routing import MAX_PORT, parse_ports
from stages.core.settings import Seconds, Section, Size, opt
from stages.proto.dialogues.registry import DIALOGUES, NAMES, unfit
from stages.proto.until import parse_until

#: Connections open at once. What a default soft descriptor limit of 1,024 would hold is doubled by raising it.
DEFAULT_CONCURRENT: Final = 1_000

#: Seconds for connect and for the first byte, as in banner-grab.
DEFAULT_TIMEOUT: Final = 4.0

#: Bytes kept of one banner.
DEFAULT_MAX_BYTES: Final = 65_536

#: A banner is one record, and a record is one line of at most MAX_RECORD_BYTES, base64 inside: 4/3 of this, and room.
LARGEST_MAX_BYTES: Final = 700_000

FORMATS: Final = ("hex", "ascii", "base64", "json", "zgrab2")
TRANSPORTS: Final = ("tcp", "udp")


class BannergrabSettings(Section):
    """Bannergrab: one conversation a hit"""

    concurrent: int = opt(
        DEFAULT_CONCURRENT, "-c", "--concurrent", metavar="N", help="connections open at once, at most", ge=1
    )
    port: int | None = opt(
        None, "-p", "--port", metavar="PORT", help="port of input lines that name none", ge=1, le=MAX_PORT
    )
    ports: str | None = opt(
        None,
        "--ports",
        metavar="PORTS",
        help="take hits on these ports only (80,8000-8100 or *); default: on a bus all but the usual TLS ports, "
        "on a pipe all",
    )
    data: str | None = opt(
        None,
        "-d",
        "--data",
        metavar="FILE",
        help="what to send; %s in it is the target's address, %% is one %. template:FILE: with ZMap's fields instead",
    )
    talk: str | None = opt(
        None,
        "--talk",
        metavar="NAME",
        help="the dialogue: http, ssh (to the host key), esmtp (to the answer to EHLO), identify (whatever it is); "
        "default: wait, send or wait-send, as --data and --wait say",
        choices=NAMES,
    )
    wait: Seconds = opt(
        0.0,
        "--wait",
        metavar="SECONDS",
        help="with --data: let the server speak first for so long, send only if it stays silent",
    )
    until: str | None = opt(None, "--until", metavar="REGEX", help="stop reading when this matches what was read")
    conn_timeout: Seconds = opt(
        DEFAULT_TIMEOUT, "-t", "--conn-timeout", metavar="SECONDS", help="seconds to connect, at most", gt=0
    )
    conn_timeout_min: Seconds = opt(
        2.0,
        "--conn-timeout-min",
        metavar="SECONDS",
        help="seconds to connect, at least, where the hit's round-trip time makes it shorter",
        gt=0,
    )
    read_timeout: Seconds = opt(
        DEFAULT_TIMEOUT, "-r", "--read-timeout", metavar="SECONDS", help="seconds to wait for an answer", gt=0
    )
    first_timeout: Seconds | None = opt(
        None, "--first-timeout", metavar="SECONDS", help="seconds to the first byte; default: --read-timeout", gt=0
    )
    idle_timeout: Seconds = opt(
        1.0, "--idle-timeout", metavar="SECONDS", help="seconds without a byte after the first one", gt=0
    )
    total_timeout: Seconds = opt(
        30.0, "--total-timeout", metavar="SECONDS", help="seconds for one conversation, connect and all", gt=0
    )
    max_bytes: Size = opt(
        DEFAULT_MAX_BYTES,
        "--max-bytes",
        metavar="SIZE",
        help="bytes kept of one banner; a longer one is marked truncated",
        gt=0,
        le=LARGEST_MAX_BYTES,
    )
    transport: str = opt("tcp", "--transport", help="tcp or udp", choices=TRANSPORTS)
    udp: bool = opt(False, "--udp", help="the same as --transport udp")
    format: str | None = opt(
        None,
        "-f",
        "--format",
        help="lines on standard output: json, zgrab2 (its shape), or `IP BANNER` with it as hex, ascii (escaped) or"
        " base64; default: json",
        choices=FORMATS,
    )
    verbosity: int = opt(3, "-v", "--verbosity", metavar="N", help="0 errors only, ... 5 everything", ge=0, le=5)

    @property
    def over(self) -> str:
        """The transport that is spoken."""
        return "udp" if self.udp else self.transport

    @property
    def first(self) -> float:
        """Seconds to wait for the first byte."""
        return self.first_timeout if self.first_timeout is not None else self.read_timeout

    @pydantic.field_validator("ports")
    @classmethod
    def _readable_ports(cls, value: str | None) -> str | None:
        if value is not None:
            parse_ports(value)
        return value

    @pydantic.field_validator("until")
    @classmethod
    def _readable_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            parse_until(value)
        return value

    @pydantic.model_validator(mode="after")
    def _together(self) -> BannergrabSettings:
        if self.talk is not None:
            why = unfit(self.talk, payload=self.data is not None, wait=self.wait > 0)
            if why is not None:
                raise ValueError(why)
            if self.talk in DIALOGUES and self.until is not None:
                raise ValueError(f"--talk {self.talk} knows when it has heard enough: no --until")
            if self.talk in DIALOGUES and self.over == "udp":
                raise ValueError(f"--talk {self.talk} is spoken over TCP")
        if self.wait and self.data is None:
            raise ValueError("--wait is about what is sent, and there is no --data")
        if self.over == "udp" and self.data is None:
            raise ValueError("over UDP nobody answers who was not asked: --data is needed")
        if self.over == "udp" and self.wait:
            raise ValueError("over UDP the server never speaks first: no --wait")
        return self
