"""What a fleet scans: one permutation of all targets, described so that every agent lays out the same one.

A Work is a record of typed fields; an agent makes its own scan of them. Nothing in it is ever executed, formatted into
a command, or used as a path.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final

import pydantic

from stages.core.netset import NetSet

#: Ranges of one work, at most: 1.5 MB of text. Longer lists are not for handing around.
MAX_RANGES: Final = 50_000

#: Positions of a scan: as the scanner's space has it.
MAX_SIZE: Final = 1 << 48

#: Agents that a work may be kept for, at most.
MAX_AGENTS: Final = 1_000

Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Digest = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{32}$")]
Network = Annotated[str, pydantic.Field(max_length=64, pattern=r"^[0-9a-fA-F.:/-]+$")]
Position = Annotated[int, pydantic.Field(ge=0, le=MAX_SIZE)]
Seconds = Annotated[float, pydantic.Field(ge=0, le=86_400, allow_inf_nan=False)]


class Strict(pydantic.BaseModel):
    """Frozen, of exactly these fields, each of exactly its type."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class Work(Strict):
    """One scan."""

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
    max_rate: Annotated[float, pydantic.Field(gt=0, le=1e9)] | None = None  #: probes/s of one agent, at most
    agents: Annotated[tuple[Name, ...], pydantic.Field(max_length=MAX_AGENTS)] = ()  #: who may have it; none: anybody

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
