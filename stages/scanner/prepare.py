"""From settings to a scan that can begin: everything that can be wrong with the arguments is found here, before a file
is touched or a packet sent.

Reads the list files and resolves names (so it blocks: call it in a thread where a loop turns); draws the seed and the
secret where a checkpoint does not give them.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from stages import __version__
from stages.core.errors import UsageError
from stages.core.lists import Lists, read_lists
from stages.core.netset import Resolve, range_texts
from stages.core.settings import ListSettings
from stages.core.times import from_rfc3339, rfc3339
from stages.scanner.checkpoint import SECRET_BYTES, Checkpoint
from stages.scanner.fields import EVERY, Field, choose, default_fields
from stages.scanner.filters import Filter, FilterError, compile_filter
from stages.scanner.hits import HitLines
from stages.scanner.iplist import read_list
from stages.scanner.mixed_answers import mixed_fields
from stages.scanner.outputs.base import Format
from stages.scanner.parts import NO_PORTS, Part, identity, slots
from stages.scanner.probes import entry
from stages.scanner.quantities import amount_of
from stages.scanner.results import check_results
from stages.scanner.seenlog import SUFFIX, Known
from stages.scanner.settings import ScannerSettings
from stages.scanner.sharding import own_positions, shard_behind
from stages.scanner.space import U32Array
from stages.scanner.spec import MAX_RANGES, ScanSpec, list_digest, ranges_digest
from stages.scanner.targets import Targets, choose_listed, choose_targets

#: Bytes of a random seed.
_SEED_BYTES: Final = 8

EVERYTHING: Final = compile_filter("", "tcp_synscan")

#: Whose answers a filter over a mixed scan has, in what is said of it.
_MIXED: Final = "this mixed scan"


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the scan that one engine does: the targets of one IP version, which have an order of their own. Of it
    this process does the positions [first, last) of shard `shard`, counted in the shard, and `offset` is how many of
    the scan's positions the shard has before them."""

    version: int  #: 4 or 6
    size: int  #: targets of that version, all shards together
    offset: int
    first: int
    last: int
    shard: int = 0
    shards: int = 1


#: The probe that an ordinary connection stands for.
CONNECT_PROBE: Final = "tcp_synscan"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scan that can begin."""

    settings: ScannerSettings
    spec: ScanSpec
    targets: Targets
    lists: Lists
    ports: tuple[int, ...]  #: of a mixed scan its slots
    parts: tuple[Part, ...]  #: one, but for a mixed scan
    fields: tuple[Field, ...]
    checkpoint: Checkpoint  #: where it begins: new, or as it was held
    known: Known | None = None  #: answers that it had before
    filter: Filter = EVERYTHING  #: which answers are results

    @property
    def slices(self) -> list[Slice]:
        """What is still to be probed, IPv4 first."""
        spec = self.spec
        v4 = spec.size - self.targets.v6.size
        slices = []
        for version, before, size in ((4, 0, v4), (6, v4, self.targets.v6.size)):
            shard = shard_behind(before, spec.shard, spec.shards)
            offset = own_positions(before, spec.shard, spec.shards)
            first = max(self.checkpoint.position - offset, 0)
            last = min(spec.last - offset, own_positions(size, shard, spec.shards))
            if first < last:
                slices.append(Slice(version, size, offset, first, last, shard, spec.shards))
        return slices


def another_secret(prepared: Prepared, *, random: Callable[[int], bytes] = secrets.token_bytes) -> Prepared:
    """For a scan that was killed while it talked: its connections still stand at the other side, and a SYN from the
    same port would be answered by an ACK (RFC 9293 section 3.10.7.4). Source ports and sequence numbers are others
    now; the order of the targets is the same."""
    return replace(prepared, checkpoint=replace(prepared.checkpoint, secret=random(SECRET_BYTES)))


def prepare(
    settings: ScannerSettings,
    lists: ListSettings,
    *,
    now_us: int,
    resolve: Resolve | None,
    held: Checkpoint | None = None,
    held_at: str = "--resume",
    path: Path | None = None,
    probing: bool = True,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Prepared:
    """Check the arguments. `held`: go on from this checkpoint. `path`: of the checkpoints. `probing` False: only the
    order of the targets is wanted. Raises UsageError."""
    parts = _parts(settings)
    ports = slots(parts)
    fields = _fields(settings, parts)
    wanted = _filter(settings, parts)
    check_results(settings)
    probe, named_ports, probe_args = identity(parts)
    _packets_or_connections(settings.engine == "connect", "--engine", "connect", probe)
    read = read_lists(lists, resolve if resolve is not None else _nobody)
    if settings.list_of_ips_file is None:
        targets = choose_targets(settings.targets, read, lists, ports, resolve)
    else:
        targets = choose_listed(read_list(settings.list_of_ips_file), read, lists, ports)
    if probing:
        _packets_or_connections(bool(targets.v6.size), "IPv6 targets", None, probe)
    size = targets.addresses * len(ports)
    begin = min(settings.first_target, size)
    total = size if settings.max_targets is None else min(begin + amount_of(settings.max_targets, size), size)
    if begin and begin == size:
        raise UsageError("--first-target", settings.first_target, f"there are {size} targets")
    seed = settings.seed
    if settings.first_target and seed is None and held is None:
        raise UsageError("--first-target", settings.first_target, "needs --seed: a position is one of an order")
    if settings.shards > 1 and seed is None and held is None:
        raise UsageError("--shards", settings.shards, "needs --seed: all shards must walk the same order")
    if seed is None:
        seed = held.seed if held is not None else int.from_bytes(random(_SEED_BYTES), "big")
    started = held.started if held is not None else rfc3339(now_us)
    scan = settings.scan or (held.scan if held is not None else scan_name(now_us, seed))
    v6 = tuple(targets.v6.ranges)
    v4 = targets.v4 if targets.listed is None else _few_ranges(targets.listed)
    spelled = v4 is not None and len(v4) + len(v6) <= MAX_RANGES
    spec = ScanSpec(
        scan=scan,
        vantage=settings.vantage,
        operator=settings.operator,
        approval=settings.approval,
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
        list_of_ips_file=settings.list_of_ips_file,
        ranges=tuple(range_texts(v4 or (), v6)) if spelled else None,
        targets_digest=ranges_digest(targets.v4, v6) if targets.listed is None else list_digest(targets.listed, v6),
        ports=named_ports,
        probe=probe,
        probe_args=probe_args,
        probes=settings.probes,
        probe_ttl=settings.probe_ttl,
        seed=seed,
        size=size,
        last=own_positions(total, settings.shard, settings.shards),
        shard=settings.shard,
        shards=settings.shards,
        retries=settings.retries,
        retry_interval=settings.retry_interval,
        rate=settings.rate,
        max_runtime=settings.max_runtime,
        max_results=settings.max_results,
        cooldown=settings.cooldown_time,
        publish=settings.publishes,
        output_filter=wanted.text,
        dedup=settings.dedup_method,
    )
    if held is None:
        at = own_positions(begin, settings.shard, settings.shards)
        held = Checkpoint(scan, seed, random(SECRET_BYTES), spec.identity(), at, started=started)
    else:
        held.check(spec.identity(), held_at)
        if settings.scan not in (None, held.scan):
            raise UsageError(held_at, settings.scan, f"the checkpoint is of scan {held.scan}")
    known = None
    if path is not None and settings.dedup_method != "none":
        known = Known(path.with_name(path.name + SUFFIX), held.seen)
        known.check(held_at)
    return Prepared(settings, spec, targets, read, ports, parts, fields, held, known, wanted)


def format_of(prepared: Prepared, hits: HitLines) -> Format:
    """What the output module is told of the scan."""
    settings = prepared.settings
    started = from_rfc3339(prepared.spec.started) if prepared.spec.started else 0  # not in a checkpoint of old
    return Format(
        prepared.fields, hits, settings.header_row, prepared.parts, started, settings.shows, settings.output_args,
        prepared.spec,
    )  # fmt: skip


def scan_name(now_us: int, seed: int) -> str:
    """A name for a scan that was given none: `20261121T071000Z-00ff00ff00ff00ff`."""
    moment = dt.datetime.fromtimestamp(now_us // 1_000_000, dt.UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{seed:016x}"


def _packets_or_connections(connections: bool, place: str, value: str | None, probe: str) -> None:
    """Raise UsageError where ordinary connections would have to do what only packets can."""
    if connections and probe != CONNECT_PROBE:
        raise UsageError(
            place, value, f"ordinary connections are {CONNECT_PROBE} alone, -M/--probe-module {probe} needs packets"
        )


def _few_ranges(listed: U32Array) -> tuple[tuple[int, int], ...] | None:
    """A list as ranges, if they are few enough to be spelled out."""
    if not listed.size:
        return ()
    cuts = np.flatnonzero(np.diff(listed) != 1)
    if len(cuts) >= MAX_RANGES:
        return None
    firsts, lasts = listed[np.concatenate([[0], cuts + 1])], listed[np.concatenate([cuts, [listed.size - 1]])]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _parts(settings: ScannerSettings) -> tuple[Part, ...]:
    if settings.parts:
        return settings.parts
    return (Part(settings.probe_module, _ports(settings), settings.probe_args or ""),)


def _ports(settings: ScannerSettings) -> tuple[int, ...]:
    ports = settings.ports
    if not entry(settings.probe_module).ports:
        if ports is not None:
            raise UsageError("-p/--target-ports", settings.target_ports, f"{settings.probe_module} has no ports")
        return NO_PORTS
    if ports is None:
        raise UsageError("-p/--target-ports", None, f"{settings.probe_module} needs to know which ports to scan")
    return ports


def _fields(settings: ScannerSettings, parts: tuple[Part, ...]) -> tuple[Field, ...]:
    only = parts[0]
    try:
        if len(parts) > 1:
            return mixed_fields(settings.output_fields, parts)
        if settings.output_fields is None:
            return default_fields(only.probe, len(only.ports))
        return choose(settings.output_fields, only.probe)
    except ValueError as error:
        raise UsageError("-f/--output-fields", settings.output_fields, str(error)) from None


def _filter(settings: ScannerSettings, parts: tuple[Part, ...]) -> Filter:
    try:
        if len(parts) > 1:
            return compile_filter(settings.filter_text, _MIXED, mixed_fields(EVERY, parts))
        return compile_filter(settings.filter_text, parts[0].probe)
    except FilterError as error:
        raise UsageError("--output-filter", None, str(error)) from None


def _nobody(name: str) -> list[str]:
    raise OSError("nobody resolves names here")
