"""The checkpoint: one small file that lets a scan go on where it was, also after SIGKILL.

It holds a position of the order such that every answer to the probes before it is in *and acknowledged* by whoever
takes the hits (`stages.scanner.delivery` finds it), the seed that the order comes from, and the secret by which
answers are validated: an answer to a probe of the first run still validates in the second. Hence mode 0600. What was
probed behind the position is probed again; a hit has a deterministic id, so that it is stored once, and who answered
before is known from a file beside this one (`stages.scanner.seenlog`).

The file is replaced, never changed: written beside, fsynced, renamed, the directory fsynced (rename(2)).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import HostError, UsageError
from stages.core.files import PRIVATE
from stages.core.files import replace as replace_file
from stages.scanner.spec import differences, identity_digest

#: Version of the format.
VERSION: Final = 2

#: Only the user who scans may read the secret.
MODE: Final = PRIVATE

#: Bytes of the secret (SipHash-2-4 has a key of 128 bits).
SECRET_BYTES: Final = 16

#: Larger is no checkpoint of ours.
MAX_BYTES: Final = 65_536

_FIELDS: Final[dict[str, type]] = {
    "scan": str,
    "seed": int,
    "secret": str,
    "identity": dict,
    "position": int,
    "finished": bool,
    "started": str,
    "counters": dict,
    "seen": int,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a scan has come."""

    scan: str
    seed: int
    secret: bytes
    identity: Mapping[str, Any]  #: `ScanSpec.identity`
    position: int = 0
    finished: bool = False
    started: str = ""  #: RFC 3339, of the scan's first run
    counters: Mapping[str, int] = field(default_factory=dict)  #: of all runs until then (`stages.scanner.summary`)
    seen: int = 0  #: bytes that count of the file beside it (`stages.scanner.seenlog`)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.scan} at {self.position}{' finished' if self.finished else ''}>"

    def at(
        self,
        position: int,
        *,
        finished: bool = False,
        counters: Mapping[str, int] | None = None,
        seen: int | None = None,
    ) -> Checkpoint:
        """The same scan, further on; never back."""
        return replace(
            self,
            position=max(position, self.position),
            finished=finished,
            counters=self.counters if counters is None else counters,
            seen=self.seen if seen is None else seen,
        )

    def check(self, identity: Mapping[str, Any], place: str) -> None:
        """Raise UsageError, with the difference, unless the scan asked for is the one that was begun."""
        if identity_digest(identity) != identity_digest(self.identity):
            changed = "; ".join(differences(self.identity, identity))
            raise UsageError(place, None, f"scan {self.scan} was another one: {changed}")


def dump(checkpoint: Checkpoint) -> bytes:
    """The content of the file."""
    body = {
        "longline": "checkpoint",
        "v": VERSION,
        "scan": checkpoint.scan,
        "seed": checkpoint.seed,
        "secret": checkpoint.secret.hex(),
        "identity": dict(checkpoint.identity),
        "position": checkpoint.position,
        "finished": checkpoint.finished,
        "started": checkpoint.started,
        "counters": dict(checkpoint.counters),
        "seen": checkpoint.seen,
    }
    return orjson.dumps({**body, "check": _checksum(body)}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(data: bytes, place: str) -> Checkpoint:
    """The inverse of `dump`. Raises UsageError: not a checkpoint, damaged, of a newer version."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UsageError(place, None, f"not a checkpoint, or damaged: {error}") from None
    if not isinstance(body, dict) or body.get("longline") != "checkpoint":
        raise UsageError(place, None, "not a checkpoint")
    if body.get("v") != VERSION:
        raise UsageError(place, None, f"a checkpoint of version {body.get('v')!r}; this program reads {VERSION}")
    check = body.pop("check", None)
    if check != _checksum(body):
        raise UsageError(place, None, "the checkpoint is damaged: its checksum is wrong")
    for name, kind in _FIELDS.items():
        if type(body.get(name)) is not kind:
            raise UsageError(place, None, f"the checkpoint is damaged: {name} is {body.get(name)!r}")
    try:
        secret = bytes.fromhex(body["secret"])
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise UsageError(place, None, "the checkpoint is damaged: its secret is no 128-bit key")
    for name in ("position", "seen"):
        if body[name] < 0:
            raise UsageError(place, None, f"the checkpoint is damaged: {name} {body[name]}")
    if any(type(count) is not int for count in body["counters"].values()):
        raise UsageError(place, None, f"the checkpoint is damaged: counters {body['counters']!r}")
    return Checkpoint(**{name: body[name] for name in _FIELDS} | {"secret": secret})


def read(path: str | Path, place: str = "--resume") -> Checkpoint:
    """Read a checkpoint. Raises UsageError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(place, str(path), error.strerror or str(error)) from None
    if len(data) > MAX_BYTES:
        raise UsageError(place, str(path), "not a checkpoint: too large")
    return parse(data, f"{place} {path}")


def there(path: str | Path, place: str = "--resume") -> bool:
    """Whether there is something to read. Raises UsageError where that cannot be known: a folder closed to us."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(place, str(path), error.strerror or str(error)) from None
    return True


def write(path: str | Path, checkpoint: Checkpoint) -> None:
    """Replace the file at `path`; durable when this returns. Blocks on the disk. Raises HostError."""
    try:
        replace_file(Path(path), dump(checkpoint), MODE)
    except OSError as error:
        raise HostError(f"the checkpoint {path} cannot be written: {error.strerror or error}") from None


def _checksum(body: Mapping[str, Any]) -> str:
    """Against damage, not against people: whoever may write the file may write this too."""
    return blake2b(orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def beside(bus: str) -> Path | None:
    """Where the checkpoint of a scan onto this log stands unless told otherwise: beside the database. None: nowhere."""
    scheme, _, file = bus.partition(":")
    return Path(f"{file}.checkpoint") if scheme == "sqlite" and file else None
