"""The scans that a sweep is made of, and their files in the campaign's folder.

A full sweep is one scan; a refresh is one for each group of services with the same ports. Beside the checkpoint of each
lie the lists by which its targets were laid out: a list that changes while the sweep waits for its next turn changes no
position of it. (It holds for it all the same: `Guard.follow`.)
"""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from stages.campaign.groups import groups
from stages.campaign.schedule import rate
from stages.campaign.sweep import Another, Covers, Job
from stages.cli.answering import NO_PORT
from stages.core.errors import UsageError
from stages.core.lists import read_lists
from stages.core.policy import Policy
from stages.core.ranges import Range
from stages.core.resolving import resolver
from stages.core.settings import ListSettings, Loaded
from stages.scanner import checkpoint as checkpoints
from stages.scanner.checkpoint import Checkpoint
from stages.scanner.prepare import Prepared, prepare
from stages.scanner.probes import entry
from stages.scanner.settings import ScannerSettings

#: Behind a scan's name: its checkpoint, and what is laid beside it.
_CHECKPOINT, _BLOCK, _ALLOW, _LIST = ".checkpoint", ".block", ".allow", ".addresses"


@dataclass(frozen=True, slots=True)
class Piece:
    """One scan of a sweep."""

    settings: ScannerSettings
    lists: ListSettings
    checkpoint: Path

    def held(self) -> Checkpoint | None:
        """How far it has come. Blocks. Raises UsageError for a file that is none."""
        if not checkpoints.there(self.checkpoint):
            return None
        return checkpoints.read(self.checkpoint)

    def prepared(self, held: Checkpoint | None = None) -> Prepared:
        """Laid out. Blocks. Raises UsageError; Another if `held` is of another scan."""
        place = f"checkpoint {self.checkpoint}"
        try:
            return prepare(self.settings, self.lists, now_us=0, resolve=resolver(), held=held, held_at=place)
        except UsageError as error:
            if held is None or error.place != place:
                raise
            raise Another(error.problem) from None


class Pieces:
    """Of one campaign. All of it blocks."""

    def __init__(self, loaded: Loaded, folder: Path) -> None:
        self.folder = folder
        self.scanner = loaded.get("scanner", ScannerSettings)
        self.live = loaded.get("lists", ListSettings)

    @property
    def ported(self) -> bool:
        return bool(self.scanner.parts) or entry(self.scanner.probe_module).ports

    def of(self, job: Job) -> list[Piece]:
        """The same for each turn of a sweep. Raises UsageError."""
        base, window = self.scanner, job.plan.window(job.lane.kind)
        common: dict[str, Any] = {"vantage": job.lane.vantage, "quiet": True}
        if job.pairs is None:
            settings = base.model_copy(update={**common, "scan": job.name})
            lists = self._frozen(job.name)
            size = prepare(settings, lists, now_us=0, resolve=resolver()).spec.size
            settings = settings.model_copy(update={"rate": rate(base.rate, size * base.attempts, window)})
            return [Piece(settings, lists, self.folder / f"{job.name}{_CHECKPOINT}")]
        found = groups(job.pairs)
        probes = sum(group.size for group in found) * base.attempts
        pieces = []
        for n, group in enumerate(found):
            name = f"{job.name}-{n}"
            more = {**common, "rate": rate(base.rate, probes, window), "seed": None}
            settings = self.listed(name, group.addresses, group.ports, **more)
            pieces.append(Piece(settings, self._frozen(name), self.folder / f"{name}{_CHECKPOINT}"))
        return pieces

    def listed(self, name: str, addresses: Sequence[str], ports: Sequence[int], **more: Any) -> ScannerSettings:
        """The campaign's scan, but of exactly these addresses, which are written to a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}{_LIST}"
        part = file.with_name(f"{file.name}.new")
        part.write_text("".join(f"{address}\n" for address in addresses))
        part.replace(file)
        ported = ",".join(map(str, ports)) if self.ported else None
        values = {"scan": name, "targets": (), "list_of_ips_file": str(file), "target_ports": ported, **more}
        return self.scanner.model_copy(update=values)

    def clear(self, name: str) -> None:
        """Remove the files of a sweep, or of a scan of this name."""
        for file in self.folder.glob(f"{name}[.-]*"):
            if any(suffix in file.name for suffix in (_CHECKPOINT, _BLOCK, _ALLOW, _LIST)):
                file.unlink(missing_ok=True)

    def covers(self, job: Job) -> Covers:
        """What a complete sweep has probed, and may be probed still."""
        blocked = Policy.for_records(read_lists(self.live, resolver()), self.live).blocked
        within = self._within_targets(job) if job.pairs is None else self._within_pairs(job)

        def covers(address: bytes, port: int, transport: str) -> bool:
            found = ip_address(address)
            mapped = getattr(found, "ipv4_mapped", None)
            ip = str(found if mapped is None else mapped)
            return within(ip, port, transport) and not blocked(ip)

        return covers

    def _frozen(self, name: str) -> ListSettings:
        """The lists as they were when the scan was laid out first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        copies: dict[str, tuple[str, ...]] = {}
        for field, suffix in (("blocklist_file", _BLOCK), ("allowlist_file", _ALLOW)):
            files: tuple[str, ...] = getattr(self.live, field)
            copied = [self.folder / f"{name}{suffix}-{n}" for n in range(len(files))]
            for file, copy in zip(files, copied, strict=True):
                if not copy.exists():
                    part = copy.with_name(f"{copy.name}.new")
                    try:
                        shutil.copyfile(file, part)
                    except OSError as error:
                        raise UsageError(f"lists.{field}", file, error.strerror or str(error)) from None
                    part.replace(copy)
            copies[field] = tuple(map(str, copied))
        return self.live.model_copy(update=copies)

    def _transports(self) -> dict[str, set[int] | None]:
        """transport -> its ports; None: of a probe without."""
        parts = self.scanner.parts
        if not parts:
            one = entry(self.scanner.probe_module)
            return {one.transport: set(self.scanner.ports or ()) if one.ports else None}
        found: dict[str, set[int] | None] = {}
        for part in parts:
            one, ports = entry(part.probe), found.get(entry(part.probe).transport) or set()
            found[one.transport] = {*ports, *part.ports} if one.ports else None
        return found

    def _within_pairs(self, job: Job) -> Callable[[str, int, str], bool]:
        [transport] = self._transports()
        probed = {(ip, port) for group in groups(job.pairs or ()) for ip in group.addresses for port in group.ports}
        return lambda ip, port, of: of == transport and (ip, port) in probed

    def _within_targets(self, job: Job) -> Callable[[str, int, str], bool]:
        [piece] = self.of(job)
        targets, transports = piece.prepared().targets, self._transports()
        v4: Sequence[Range] = targets.v4 if targets.listed is None else [(a, a) for a in targets.listed.tolist()]
        ranges: dict[int, Sequence[Range]] = {4: v4, 6: list(targets.v6.ranges)}
        firsts = {version: [first for first, _ in found] for version, found in ranges.items()}

        def within(ip: str, port: int, transport: str) -> bool:
            if transport not in transports:
                return False
            ports = transports[transport]
            if port != NO_PORT if ports is None else port not in ports:
                return False
            address = ip_address(ip)
            at = bisect_right(firsts[address.version], int(address)) - 1
            return at >= 0 and int(address) <= ranges[address.version][at][1]

        return within
