"""A fleet's slice as a scan of ours: settings made of typed fields, and nothing of this machine's own configuration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from stages.cli.slicegrabs import HALTED, Grabbing, SliceGrabs
from stages.core.bus.base import Publisher, Topics
from stages.core.errors import HostError, UsageError
from stages.core.lists import Lists
from stages.core.netset import NetSet, range_texts
from stages.core.orders import Orders
from stages.core.policy import Policy
from stages.core.resolving import resolver
from stages.core.settings import ListSettings
from stages.core.whoami import operator
from stages.fleet.messages import Capabilities, Slice
from stages.fleet.work import MAX_RANGES, BannerGrab, TlsGrab, Work
from stages.net.privileges import Setup
from stages.scanner import app
from stages.scanner import checkpoint as checkpoints
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import CONNECT_PROBE, Prepared, prepare
from stages.scanner.settings import ScannerSettings
from stages.scanner.space import NOT_A_TARGET, Space

#: A work's ranges are its targets, exactly: whoever submitted it has applied the lists.
_AS_WRITTEN: Final = ListSettings(default_blocklist=False)

#: Settings of a scan that a work carries; others that are not as they always are cannot be handed around.
CARRIED: Final = frozenset(
    (
        "targets", "target_ports", "list_of_ips_file", "probe_module", "probe_args", "seed", "scan", "probes",
        "retries",        "retry_interval", "cooldown_time", "rate", "vantage", "engine", "quiet",
        "operator", "approval",
    )
)  # fmt: skip


class LastingSetup(Setup):
    """Keeps the capabilities for the next slice too, in its one thread. `end` it."""

    def run(self, work: Any, *, last: bool = True) -> Any:
        return super().run(work, last=False)

    def close(self) -> None:
        """The next slice needs them."""

    def end(self) -> None:
        super().close()


def work_of(
    settings: ScannerSettings, lists: ListSettings, banner: BannerGrab | None = None, tls: TlsGrab | None = None
) -> Work:
    """A scan as a fleet does it: the lists of this machine applied, names resolved, the order drawn; with these grabs
    (`stages.cli.asked`). Blocks.

    Raises UsageError for a scan that is not one of IPv4 targets, or asks for what a slice cannot carry."""
    for name, value in settings:
        if name not in CARRIED and value != type(settings).model_fields[name].default:
            raise UsageError(f"scanner.{name}", value, "cannot be asked of a fleet")
    if settings.parts:
        raise UsageError("-M/--probe-module", settings.probe_module, "one module for a fleet's scan")
    if (banner is not None or tls is not None) and settings.probe_module != CONNECT_PROBE:
        why = f"finds nothing that grabs could talk to; {CONNECT_PROBE} does"
        raise UsageError("-M/--probe-module", settings.probe_module, why)
    prepared = prepare(settings, lists, now_us=0, resolve=resolver(), probing=False)
    targets = prepared.targets
    if targets.v6.size:
        raise UsageError("TARGET", None, "IPv6 targets are scanned by longline scan --engine connect, not by a fleet")
    ranges = targets.v4 if targets.listed is None else [(a, a) for a in targets.listed.tolist()]
    if not ranges:
        raise UsageError("TARGET", None, "the lists leave nothing to scan")
    if len(ranges) > MAX_RANGES:
        raise UsageError("TARGET", len(ranges), f"ranges of targets, at most {MAX_RANGES} for a fleet")
    spec = prepared.spec
    if settings.scan is None:
        raise UsageError("--scan", None, "a fleet's scan needs a name (scan = ... in the section [scanner])")
    body = {
        "scan": settings.scan, "ranges": tuple(range_texts(ranges)), "ports": settings.target_ports or "",
        "probe": settings.probe_module, "probe_args": settings.probe_args or "", "seed": spec.seed, "size": spec.size,
        "digest": "0" * 32, "probes": settings.probes, "retries": settings.retries,
        "retry_interval": float(settings.retry_interval), "cooldown": float(settings.cooldown_time),
        "max_rate": float(settings.rate) or None, "operator": settings.operator or operator(),
        "approval": settings.approval, "banner": banner, "tls": tls,
    }  # fmt: skip
    try:
        work = Work.model_validate(body)
        return work.model_copy(update={"digest": prepared_of(work).spec.digest()})
    except ValueError as error:
        raise UsageError("scan", settings.scan, str(error)) from None


def settings_of(work: Work, **more: Any) -> ScannerSettings:
    """The scan that a work describes."""
    return ScannerSettings(
        targets=work.ranges,
        target_ports=work.ports or None,
        probe_module=work.probe,
        probe_args=work.probe_args or None,
        seed=work.seed,
        scan=work.scan,
        probes=work.probes,
        retries=work.retries,
        retry_interval=work.retry_interval,
        cooldown_time=work.cooldown,
        quiet=True,
        **more,
    )


def prepared_of(work: Work) -> Prepared:
    """Its layout here. Blocks. Raises UsageError for what cannot be laid out."""
    try:
        return prepare(settings_of(work), _AS_WRITTEN, now_us=0, resolve=None, probing=False)
    except ValueError as error:  # of the settings: what came from elsewhere may be anything
        raise UsageError("work", work.scan, str(error)) from None


class Layout:
    """Where the targets of a work stand."""

    def __init__(self, work: Work) -> None:
        """Blocks. Raises UsageError."""
        prepared = prepared_of(work)
        self._space: Space = prepared.targets.space(prepared.ports)
        self._permutation = Permutation(self._space.size, work.seed)
        self._ported = bool(work.ports)

    def position(self, ip: str, port: int) -> int | None:
        """None: not a target."""
        a, b, c, d = ip.split(".") if ":" not in ip else ("0", "0", "0", "0")
        number = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
        index = self._space.index_of(number, port if self._ported else 0)
        return None if ":" in ip or index[0] == NOT_A_TARGET else int(self._permutation.inverse(index)[0])


class FleetScanner:
    """Scans slices with this host's engine, and grabs what they find."""

    def __init__(
        self, alias: str, can: Capabilities, topics: Topics, setup: Setup | None, grabbing: Grabbing | None = None
    ) -> None:
        """`grabbing` None: it does not, and must be given no work that asks for it."""
        self._alias, self._can, self._topics, self._setup = alias, can, topics, setup
        self._grabbing = grabbing

    def digest(self, work: Work) -> str:
        return prepared_of(work).spec.digest()

    def scan(
        self, slice: Slice, *, rate: float, leave_alone: NetSet, publisher: Publisher, checkpoint: Path
    ) -> SliceOfScan:
        settings = settings_of(
            slice.work,
            first_target=slice.first,
            max_targets=str(slice.last - slice.first),
            rate=rate,
            vantage=self._alias,
            engine=self._can.engine,
        )
        return SliceOfScan(
            settings, slice, leave_alone, publisher, checkpoint, self._topics, self._setup, self._grabbing
        )


class SliceOfScan:
    """`stages.fleet.agent.SliceScan`."""

    def __init__(
        self,
        settings: ScannerSettings,
        slice: Slice,
        leave_alone: NetSet,
        publisher: Publisher,
        checkpoint: Path,
        topics: Topics,
        setup: Setup | None,
        grabbing: Grabbing | None = None,
    ) -> None:
        self._settings, self._slice, self._leave_alone = settings, slice, leave_alone
        self._publisher, self._checkpoint, self._topics, self._setup = publisher, checkpoint, topics, setup
        self._stop = asyncio.Event()
        self._orders = Orders()
        self._metrics = ScannerMetrics()
        self._ended: int | None = None
        self._besides = NetSet()
        self._policies = [Policy(special=False)]  # of the grabs, and of the scan as soon as there is one
        self._grabs: SliceGrabs | None = None
        self._apply()
        if slice.work.grabs:
            if grabbing is None:
                raise UsageError("work", slice.work.scan, "asks for grabs, and none are done here")
            self._grabs = SliceGrabs(
                slice.work, grabbing, self._policies[0], publisher, topics, first=slice.first, on_failure=self._stop.set
            )

    async def run(self) -> None:
        grabs = self._grabs
        if grabs is None:
            self._ended = await self._scan(self._publisher)
            return
        try:
            await grabs.start()
            position = await self._scan(grabs)
            grabs.reached(position)
            await grabs.drained()
            self._ended = grabs.reached(position)
        finally:
            await grabs.close()

    async def _scan(self, publisher: Publisher) -> int:
        """Returns the position before which all is published."""
        summary = await app.scan(
            self._settings,
            lists=_AS_WRITTEN,
            publisher=publisher,
            topics=self._topics,
            stop=self._stop,
            metrics=self._metrics,
            checkpoint=self._checkpoint,
            on_policy=self._scanning,
            setup=self._setup,
            orders=self._orders,
        )
        return summary.position

    def _scanning(self, policy: Policy) -> None:
        self._policies.append(policy)
        self._apply()

    def _apply(self) -> None:
        """The positions stay those of the work: whom this host leaves alone is taken out as the scan runs."""
        for policy in self._policies:
            policy.update(Lists(block=self._leave_alone.union(self._besides)))
        if self._grabs is not None:
            self._grabs.look_again()

    def leave_alone(self, networks: NetSet) -> None:
        self._besides = networks
        self._apply()

    def stop(self) -> None:
        self._stop.set()
        if self._grabs is not None:
            self._grabs.stop()

    def halt(self) -> None:
        self._orders.tell(HALTED)
        if self._grabs is not None:
            self._grabs.halt()

    @property
    def position(self) -> int:
        if self._ended is not None:
            return self._ended
        published = self._published()
        return published if self._grabs is None else self._grabs.reached(published)

    def _published(self) -> int:
        try:
            return checkpoints.read(self._checkpoint).position if self._checkpoint.exists() else self._slice.first
        except (UsageError, HostError):
            return self._slice.first

    @property
    def sending(self) -> bool:
        begun = bool(self._metrics.running.value)
        return self._ended is None and not (begun and not self._metrics.sending.value)

    @property
    def sent(self) -> int:
        return int(self._metrics.sent.total)

    @property
    def rate(self) -> float:
        return self._metrics.rate.value
