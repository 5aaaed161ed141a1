"""`longline campaign run`: the files read, everything put together, and the conductor's life."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stages.campaign.plan import HERE, Campaign, read
from stages.cli.sections import SECTIONS, load_settings
from stages.core.errors import UsageError
from stages.core.layers import Given
from stages.core.section import nearest

if TYPE_CHECKING:
    from stages.campaign.sweep import Executor
    from stages.core.settings import Loaded
    from stages.fleet.state import State
    from stages.net.privileges import Setup

#: Of these the command line has options.
TYPED: Final = ("campaign", "fleet", "store", "bus", "metrics")

#: What of [scanner] each sweep has of its own, or makes no sense in one that is to be gone on with.
OF_A_SWEEP: Final = frozenset(
    (
        "scan", "vantage", "checkpoint", "resume", "output_file", "output_module", "output_fields", "output_filter",
        "output_args", "publish", "dryrun", "fast_dryrun", "first_target", "max_targets", "max_results", "max_runtime",
        "shards", "shard", "plugin", "list_probe_modules", "list_output_modules", "list_output_fields", "pcap",
        "pcap_sent", "rotate", "rotate_size", "rotate_offset", "rotate_dir", "append_output", "header_row", "show",
        "status_line", "quiet",
    )
)  # fmt: skip


def campaign_of(file: str) -> Campaign:
    """Blocks. Raises UsageError that names the place."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UsageError("FILE", file, error.strerror or str(error)) from None
    return read(file, data)


def given_by(campaign: Campaign) -> list[Given]:
    """What the file says of the stages. Raises UsageError that names the place."""
    found = []
    for section, values in campaign.sections.items():
        names = SECTIONS[section].names()
        for key, value in values.items():
            plain = key.replace("-", "_")
            place = campaign.at(section, key)
            if plain not in names:
                raise UsageError(place, None, f"no such setting{nearest(plain, tuple(names))}")
            if section == "scanner" and names[plain] in OF_A_SWEEP:
                raise UsageError(place, value, "each sweep has one of its own")
            found.append(Given(section, names[plain], value, place))
    if campaign.plan.approval:  # of every scan: sweeps, samples, looks at the controls
        found.append(Given("scanner", "approval", campaign.plan.approval, campaign.at("campaign", "approval")))
    return found


def run(args: argparse.Namespace, files: Sequence[str]) -> int:
    loaded: list[tuple[Campaign, Loaded]] = []
    for file in files:
        campaign = campaign_of(file)
        if any(other.plan.name == campaign.plan.name for other, _ in loaded):
            raise UsageError(
                campaign.at("campaign", "name"), campaign.plan.name, "two files have a campaign of this name"
            )
        loaded.append((campaign, load_settings(args, *TYPED, given_in=given_by(campaign))))

    from stages.cli.slices import LastingSetup

    setup = LastingSetup()
    with setup:  # before there are other threads: numpy starts some when it is imported
        try:
            return _run(loaded, setup, args.once)
        finally:
            setup.end()


def _run(loaded: list[tuple[Campaign, Loaded]], setup: Setup, once: bool) -> int:
    import asyncio
    import os
    import random
    import time
    from contextlib import ExitStack

    from stages.campaign.conductor import Conductor, Surroundings
    from stages.campaign.journal import Journal, alone
    from stages.campaign.metrics import CampaignMetrics
    from stages.campaign.settings import CampaignSettings
    from stages.cli.assembly import started, topics_of, watched
    from stages.cli.campaign_assess import Assessments
    from stages.cli.heeding import heed_of
    from stages.cli.sweeps import LocalSweeps
    from stages.core.bus.base import Output
    from stages.core.bus.urls import open_publisher
    from stages.core.lifecycle import Life, launch
    from stages.core.logs import set_up
    from stages.core.metrics import Metrics
    from stages.core.records import Scan
    from stages.core.settings import PIPE, BusSettings, MetricsSettings
    from stages.derive.loss import estimate

    for campaign, settings in loaded:
        check(campaign, settings)
    set_up(os.environ)
    shared = loaded[0][1]
    kept = shared.get("campaign", CampaignSettings)
    embedded = shared.get("bus", BusSettings).sink == PIPE
    by_name = {campaign.plan.name: settings for campaign, settings in loaded}
    if embedded:
        first = loaded[0][0]
        for campaign, _ in loaded:
            if set(campaign.plan.grabs) != set(first.plan.grabs):
                place, value = campaign.at("campaign", "grabs"), list(campaign.plan.grabs)
                raise UsageError(place, value, f"is not as in {first.file}; without --bus they share their grabs")
        by_name = {name: _embedded(settings) for name, settings in by_name.items()}
        shared = _embedded(shared)
    bus = shared.get("bus", BusSettings)
    folder = Path(kept.folder)

    async def main(life: Life) -> int:
        with ExitStack() as stack:
            return await _live(life, stack)

    async def _live(life: Life, stack: ExitStack) -> int:
        lock, metrics = asyncio.Lock(), Metrics()
        heed, assessments = heed_of(shared, metrics, reads=False), Assessments(shared)
        here: dict[str, LocalSweeps] = {}
        fleet = await asyncio.to_thread(_fleet, shared, [campaign for campaign, _ in loaded])

        def executor(campaign: Campaign, vantage: str) -> Executor:
            name = campaign.plan.name
            local = LocalSweeps(
                campaign, by_name[name], folder / name, setup, embedded=embedded, lock=lock, orders=heed
            )
            here[name] = local
            if vantage == HERE:
                return local
            from stages.cli.fleet_sweeps import FleetSweeps

            assert fleet is not None
            return FleetSweeps(by_name[name], folder / name, fleet)

        async def tell(record: Scan) -> None:
            publisher = open_publisher(bus.sink, bus, main=topics_of(bus).scans, stage="campaign")
            try:
                await publisher.start()
                await publisher.publish([Output(topics_of(bus).scans, record.scan.encode(), record.dump())])
            finally:
                await publisher.close()
            for local in list(here.values())[:1]:
                await local.drain()

        counted = CampaignMetrics(metrics)
        if embedded:
            store = bus.sink.partition(":")[2]
            stack.enter_context(
                alone(f"{store}.campaigns.lock", f"other campaigns run over {store}: give --bus, or one command")
            )
        journal = await asyncio.to_thread(Journal, kept.journal)
        conductor = Conductor(
            [campaign for campaign, _ in loaded],
            journal,
            Surroundings(
                executor=executor, tell=tell, assess=assessments.assess,
                ordered=lambda name: heed.standing.against(name) is not None,
                estimate=estimate, clock=time.time, sleep=asyncio.sleep, rng=random.Random(), metrics=counted,
            ),
        )  # fmt: skip
        try:
            async with watched(shared.get("metrics", MetricsSettings), metrics, {"campaign": lambda: conductor.ready}):
                if await started(heed, life):
                    await conductor.run(life.stopping, once=once)
        finally:
            await heed.close()
            await asyncio.to_thread(journal.close)
            if fleet is not None:
                await asyncio.to_thread(fleet.close)
        return 0

    return launch(main)


def check(campaign: Campaign, loaded: Loaded) -> None:
    """Raise UsageError for what could not be scanned. Blocks."""
    from stages.core.errors import ListError
    from stages.core.resolving import resolver
    from stages.core.settings import ListSettings
    from stages.scanner.prepare import prepare
    from stages.scanner.settings import ScannerSettings

    scanner = loaded.get("scanner", ScannerSettings)
    if scanner.parts and campaign.plan.known_every is not None:
        place = campaign.at("scanner", "probe")
        raise UsageError(
            place, None, "known services are looked at with one kind of probe: -M and -p, or no known_every"
        )
    try:
        prepare(scanner, loaded.get("lists", ListSettings), now_us=0, resolve=resolver())
    except ListError:
        raise
    except UsageError as error:
        raise UsageError(f"{campaign.file}: {error.place}", error.value, error.problem) from None


def _embedded(loaded: Loaded) -> Loaded:
    """The log is the file of the store. Raises UsageError where that is no file."""
    from stages.cli.pipeline import embedded
    from stages.core.settings import BusSettings

    _, bus = embedded(loaded)
    return loaded.changed("bus", **{name: getattr(bus, name) for name in BusSettings.model_fields})


def _fleet(loaded: Loaded, campaigns: Sequence[Campaign]) -> State | None:
    """The coordinator's state, if some campaign has agents for vantages. Blocks. Raises UsageError."""
    if all(vantage == HERE for campaign in campaigns for vantage in campaign.plan.vantages):
        return None
    from stages.fleet.settings import FleetSettings
    from stages.fleet.state import State

    return State(loaded.get("fleet", FleetSettings).state, make=False)
