"""The specification of a scan: everything one needs to do it again, in the scan's start record. Never the secret.

Part of it is the scan's *identity*: what decides which target a position of the order means. A checkpoint holds only
for the same identity; rate, engine or cooldown may change between two runs of one scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson
import pydantic

from stages.core.ranges import Range
from stages.scanner.space import U32Array

#: Ranges of the targets that a start record spells out; above that, their digest and the lists' names must do, and the
#: record stays far below MAX_RECORD_BYTES.
MAX_RANGES: Final = 10_000

_DIGEST_BYTES: Final = 16

#: Fields that make the identity: change one, and a position means another target.
IDENTITY: Final = (
    "probe",
    "probe_args",
    "probes",
    "ports",
    "addresses",
    "targets_digest",
    "seed",
    "size",
    "shards",
    "shard",
    "last",
    "retries",
)


class ScanSpec(pydantic.BaseModel):
    """What is scanned, how and by whom."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    scan: str
    vantage: str = ""
    operator: str = ""  #: who answers for it: as it was said, else user@host of who began it
    approval: str = ""  #: under which approval: free text
    version: str  #: of the program
    started: str  #: RFC 3339
    targets: tuple[str, ...]  #: as written
    list_of_ips_file: str | None = None  #: the exact list, instead
    allowlist_files: tuple[str, ...] = ()
    blocklist_files: tuple[str, ...] = ()
    default_blocklist: bool = True
    lifted: tuple[str, ...] = ()  #: special-purpose ranges that the targets lift
    excluded: dict[str, int] = {}  #: addresses left out, by reason
    addresses: int  #: addresses left to probe
    ranges: tuple[str, ...] | None = None  #: them, `first-last`; None: too many to list
    targets_digest: str  #: of all ranges
    ports: str  #: `80,443`; `` for probes without ports
    probe: str
    probe_args: str = ""
    probes: int = 1
    probe_ttl: int = 64
    seed: int
    size: int  #: targets: addresses x ports
    last: int  #: positions probed: [0, last) of the shard; below `size` with --max-targets or --shards
    shard: int = 0
    shards: int = 1
    retries: int = 0  #: more probes to a target that stays silent
    retry_interval: float = 0.0  #: seconds between them
    rate: float  #: packets per second; 0: unlimited
    max_runtime: float | None = None
    max_results: int | None = None
    cooldown: float = 0.0
    publish: str = "success"
    output_filter: str = ""
    dedup: str = "full"
    engine: str = ""
    sender: dict[str, Any] = {}  #: interface, addresses: who sends

    def identity(self) -> dict[str, Any]:
        """What a position means."""
        return {name: getattr(self, name) for name in IDENTITY}

    def digest(self) -> str:
        """Hash of the identity."""
        return identity_digest(self.identity())

    def record(self) -> dict[str, Any]:
        """As it stands in the start record."""
        return {**self.model_dump(mode="json"), "spec": self.digest()}


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Hash of an identity: 32 hex digits."""
    return blake2b(orjson.dumps(dict(identity), option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two identities differ, in words: `ports: '80' -> '80,443'`."""
    names = [name for name in IDENTITY if before.get(name) != now.get(name)]
    # The digest of the targets says nothing to a reader, where another line says it already.
    if len(names) > 1 and "targets_digest" in names:
        names.remove("targets_digest")
    return [f"{name}: {before.get(name)!r} -> {now.get(name)!r}" for name in names]


def list_digest(v4: U32Array, v6: Sequence[Range]) -> str:
    """Hash of an exact list and of ranges besides: 32 hex digits."""
    digest = blake2b(ranges_digest((), v6).encode(), digest_size=_DIGEST_BYTES)
    digest.update(v4.astype("<u4", copy=False).data)
    return digest.hexdigest()


def ranges_digest(v4: Sequence[Range], v6: Sequence[Range]) -> str:
    """Hash of all ranges: 32 hex digits."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for version, ranges in ((4, v4), (6, v6)):
        for first, last in ranges:
            digest.update(b"%d %x %x\n" % (version, first, last))
    return digest.hexdigest()
