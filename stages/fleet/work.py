"""What a fleet scans: one permutation of all targets, described so that every agent lays out the same one.

A Work is a record of typed fields; an agent makes its own scan of them. Nothing in it is ever executed, formatted into
a command, or used as a path.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final, Literal

import pydantic

from stages.core.errors import UsageError
from stages.core.netset import NetSet
from stages.core.routing import parse_ports
from stages.core.whoami import Line

#: Ranges of one work, at most: 1.5 MB of text. Longer lists are not for handing around.
MAX_RANGES: Final = 50_000

#: Positions of a scan: as the scanner's space has it.
MAX_SIZE: Final = 1 << 48

#: Characters of the ports of a grab: fifty ranges, read in a tenth of a second.
MAX_GRAB_PORTS: Final = 500

#: Seconds that a grab may wait for anything: an agent that holds so many connections is held up no longer by each.
MAX_GRAB_SECONDS: Final = 60

#: Bytes kept of a banner, and read of a server's handshake: what the grabs keep by themselves. A chain of so many bytes
#: always fits in one record with its certificates (`stages.core.records.MAX_RECORD_BYTES`).
MAX_BANNER_BYTES: Final = 65_536
MAX_TLS_BYTES: Final = 524_288

#: Connections to a server that refuses the first hello, at most; there are four hellos.
MAX_HELLOS: Final = 4


#: Agents that a work may be kept for, at most.
MAX_AGENTS: Final = 1_000

Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Digest = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{32}$")]
Network = Annotated[str, pydantic.Field(max_length=64, pattern=r"^[0-9a-fA-F.:/-]+$")]
Position = Annotated[int, pydantic.Field(ge=0, le=MAX_SIZE)]
Seconds = Annotated[float, pydantic.Field(ge=0, le=86_400, allow_inf_nan=False)]

Grab = Literal["banner", "tls"]
GrabSeconds = Annotated[float, pydantic.Field(gt=0, le=MAX_GRAB_SECONDS, allow_inf_nan=False)]
GrabPorts = Annotated[str, pydantic.Field(max_length=MAX_GRAB_PORTS, pattern=r"^(\*|[0-9,-]+)$")]

#: What an agent says for others: nothing, a dialogue that it knows by name, or a payload that comes with the program.
Saying = Literal["wait", "http", "ssh", "esmtp", "identify", "http-req"]
PAYLOADS: Final = ("http-req",)


class Strict(pydantic.BaseModel):
    """Frozen, of exactly these fields, each of exactly its type."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class _OfPorts(Strict):
    ports: GrabPorts | None = None  #: None: as the stage takes them from a log that both read

    @pydantic.field_validator("ports")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_ports(value, "ports")
            except UsageError as error:
                raise ValueError(str(error)) from None
        return value


class BannerGrab(_OfPorts):
    """One conversation with each open port: named words only, never bytes that somebody else has chosen."""

    say: Saying = "http-req"
    wait: Annotated[float, pydantic.Field(ge=0, le=MAX_GRAB_SECONDS)] = 2.0  #: a payload: let the server speak first
    conn_timeout: GrabSeconds = 4.0
    read_timeout: GrabSeconds = 4.0
    idle_timeout: GrabSeconds = 1.0
    total_timeout: GrabSeconds = 30.0
    max_bytes: Annotated[int, pydantic.Field(ge=1, le=MAX_BANNER_BYTES)] = MAX_BANNER_BYTES


class TlsGrab(_OfPorts):
    """One handshake with each."""

    mode: Literal["certificate", "full"] = "certificate"
    starttls: (
        Literal["auto", "smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql", "nntp", "sieve"] | None
    ) = None
    conn_timeout: GrabSeconds = 4.0
    handshake_timeout: GrabSeconds = 10.0
    max_connections: Annotated[int, pydantic.Field(ge=1, le=MAX_HELLOS)] = 2
    max_bytes: Annotated[int, pydantic.Field(ge=1, le=MAX_TLS_BYTES)] = MAX_TLS_BYTES


class Work(Strict):
    """One scan, and what is to be grabbed of what it finds."""

    scan: Name
    ranges: Annotated[tuple[Network, ...], pydantic.Field(min_length=1, max_length=MAX_RANGES)]
    ports: Annotated[str, pydantic.Field(max_length=100_000, pattern=r"^[0-9,-]*$")]  #: empty: of a probe without
    probe: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_]{1,40}$")]
    probe_args: Annotated[str, pydantic.Field(max_length=4_096)] = ""
    seed: Annotated[int, pydantic.Field(ge=0, lt=1 << 64)]
    size: Annotated[int, pydantic.Field(ge=1, le=MAX_SIZE)]  #: targets: addresses x ports
    digest: Digest  #: of all that decides which target stands at which position (`ScanSpec.digest`)
    probes: Annotated[int, pydantic.Field(ge=1, le=100)] = 1
    retries: Annotated[int, pydantic.Field(ge=0, le=100)] = 0
    retry_interval: Seconds = 10.0
    cooldown: Seconds = 8.0
    operator: Line = ""  #: who answers for it
    approval: Line = ""  #: under which approval: free text
    max_rate: Annotated[float, pydantic.Field(gt=0, le=1e9)] | None = None  #: probes/s of one agent, at most
    agents: Annotated[tuple[Name, ...], pydantic.Field(max_length=MAX_AGENTS)] = ()  #: who may have it; none: anybody
    banner: BannerGrab | None = None
    tls: TlsGrab | None = None

    @property
    def grabs(self) -> tuple[Grab, ...]:
        """What is grabbed."""
        return (*(("banner",) if self.banner is not None else ()), *(("tls",) if self.tls is not None else ()))

    def bare(self) -> Work:
        """The scan alone."""
        return self.model_copy(update={"banner": None, "tls": None})

    def networks(self) -> NetSet:
        """Its targets. Raises ListError."""
        return netset(self.ranges, "ranges")


def netset(texts: tuple[str, ...], place: str) -> NetSet:
    """Networks and ranges as a set. Raises ListError."""
    return NetSet.parse(texts, place)


def proof(digest: str, first: int, last: int, only: tuple[str, ...] | None) -> str:
    """What an agent shows that has done positions [first, last) of the order `digest`: 32 hex digits.

    It is made of the agent's own order, so that one which laid out other targets cannot show it by mistake.
    """
    text = "\0".join((digest, str(first), str(last), *(("all",) if only is None else only)))
    return blake2b(text.encode(), digest_size=16).hexdigest()
