"""From settings to a scan that can begin: everything that can be wrong with the arguments is found here, before a file
is touched or a packet sent.

Reads the list files and resolves names (so it blocks: call it in a thread where a loop turns); draws the seed and the
secret where a checkpoint does not give them.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stages import __version__
from stages.core.errors import UsageError
from stages.core.lists import Lists, read_lists
from stages.core.netset import Resolve
from stages.core.settings import ListSettings
from stages.core.times import rfc3339
from stages.scanner.checkpoint import SECRET_BYTES, Checkpoint
from stages.scanner.fields import Field, choose, default_fields
from stages.scanner.ports import ports_text
from stages.scanner.probes import entry
from stages.scanner.quantities import amount_of
from stages.scanner.settings import ScannerSettings
from stages.scanner.spec import MAX_RANGES, ScanSpec, range_texts, ranges_digest
from stages.scanner.targets import Targets, choose_targets

#: Bytes of a random seed.
_SEED_BYTES: Final = 8

#: What stands for the port of a probe that has none.
_NO_PORTS: Final = (0,)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the scan that one engine does: positions [first, last) of its own order, which begins at `offset` in
    the scan's."""

    version: int  #: 4 or 6
    size: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scan that can begin."""

    settings: ScannerSettings
    spec: ScanSpec
    targets: Targets
    lists: Lists
    ports: tuple[int, ...]
    fields: tuple[Field, ...]
    checkpoint: Checkpoint  #: where it begins: new, or as it was held

    @property
    def slices(self) -> list[Slice]:
        """What is still to be probed, IPv4 first."""
        begin, end = self.checkpoint.position, self.spec.last
        v4 = self.spec.size - self.targets.v6.size
        parts = ((4, 0, v4), (6, v4, self.targets.v6.size))
        return [
            Slice(version, size, offset, max(begin - offset, 0), min(end - offset, size))
            for version, offset, size in parts
            if max(begin - offset, 0) < min(end - offset, size)
        ]


def prepare(
    settings: ScannerSettings,
    lists: ListSettings,
    *,
    now_us: int,
    resolve: Resolve | None,
    held: Checkpoint | None = None,
    held_at: str = "--resume",
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Prepared:
    """Check the arguments. `held`: go on from this checkpoint. Raises UsageError."""
    ports = _ports(settings)
    fields = _fields(settings, ports)
    read = read_lists(lists, resolve if resolve is not None else _nobody)
    targets = choose_targets(settings.targets, read, lists, ports, resolve)
    size = targets.addresses * len(ports)
    last = size if settings.max_targets is None else amount_of(settings.max_targets, size)
    seed = settings.seed
    if seed is None:
        seed = held.seed if held is not None else int.from_bytes(random(_SEED_BYTES), "big")
    started = held.started if held is not None else rfc3339(now_us)
    scan = settings.scan or (held.scan if held is not None else scan_name(now_us, seed))
    v6 = tuple(targets.v6.ranges)
    listed = len(targets.v4) + len(v6) <= MAX_RANGES
    spec = ScanSpec(
        scan=scan,
        vantage=settings.vantage,
        version=__version__,
        started=started,
        targets=targets.written,
        allowlist_files=lists.allowlist_file,
        blocklist_files=lists.blocklist_file,
        default_blocklist=lists.default_blocklist,
        lifted=targets.policy.lifted,
        excluded={
            "blocklist": targets.excluded.blocklist,
            "special": targets.excluded.special,
            "allowlist": targets.excluded.allowlist,
        },
        addresses=targets.addresses,
        ranges=tuple(range_texts(targets.v4, v6)) if listed else None,
        targets_digest=ranges_digest(targets.v4, v6),
        ports="" if not entry(settings.probe_module).ports else ports_text(ports),
        probe=settings.probe_module,
        probe_args=settings.probe_args or "",
        probes=settings.probes,
        probe_ttl=settings.probe_ttl,
        seed=seed,
        size=size,
        last=last,
        rate=settings.rate,
        max_runtime=settings.max_runtime,
        max_results=settings.max_results,
        cooldown=settings.cooldown_time,
        publish=settings.publishes,
        dedup=settings.dedup_method,
    )
    if held is None:
        held = Checkpoint(scan, seed, random(SECRET_BYTES), spec.identity(), started=started)
    else:
        held.check(spec.identity(), held_at)
        if settings.scan not in (None, held.scan):
            raise UsageError(held_at, settings.scan, f"the checkpoint is of scan {held.scan}")
    return Prepared(settings, spec, targets, read, ports, fields, held)


def scan_name(now_us: int, seed: int) -> str:
    """A name for a scan that was given none: `20261121T071000Z-00ff00ff00ff00ff`."""
    moment = dt.datetime.fromtimestamp(now_us // 1_000_000, dt.UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{seed:016x}"


def _ports(settings: ScannerSettings) -> tuple[int, ...]:
    ports = settings.ports
    if not entry(settings.probe_module).ports:
        if ports is not None:
            raise UsageError("-p/--target-ports", settings.target_ports, f"{settings.probe_module} has no ports")
        return _NO_PORTS
    if ports is None:
        raise UsageError("-p/--target-ports", None, f"{settings.probe_module} needs to know which ports to scan")
    return ports


def _fields(settings: ScannerSettings, ports: tuple[int, ...]) -> tuple[Field, ...]:
    if settings.output_fields is None:
        return default_fields(settings.probe_module, len(ports))
    try:
        return choose(settings.output_fields, settings.probe_module)
    except ValueError as error:
        raise UsageError("-f/--output-fields", settings.output_fields, str(error)) from None


def _nobody(name: str) -> list[str]:
    raise OSError("nobody resolves names here")
