from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.cli.slicegrabs import Grabbing
from stages.cli.slices import CARRIED, FleetScanner, Layout, SliceOfScan, prepared_of, settings_of, work_of
from stages.core.bus.base import Output, Topics
from stages.core.errors import UsageError
from stages.core.netset import NetSet
from stages.core.records import Banner, Hit, Scan, parse
from stages.core.settings import ListSettings, PolitenessSettings
from stages.core.whoami import operator
from stages.fleet.messages import Capabilities, Slice
from stages.fleet.work import BannerGrab, TlsGrab, Work
from stages.scanner.permutation import Permutation
from stages.scanner.settings import ScannerSettings
from tests.fleet.house import Logbook
from tests.servers.talkers import say, talker

NO_LISTS = ListSettings()


def asked(**more: object) -> ScannerSettings:
    body = {"targets": ("10.0.0.0/28", "192.0.2.8/30"), "target_ports": "80,443", "scan": "s", "seed": 9, **more}
    return ScannerSettings.model_validate(body)


def test_a_work_is_the_same_scan_as_it_was_asked_for() -> None:
    work = work_of(asked(retries=2, cooldown_time=3, rate=50), NO_LISTS)
    assert (work.size, work.retries, work.cooldown, work.max_rate) == (40, 2, 3.0, 50.0)
    assert work.ranges == ("10.0.0.0-10.0.0.15", "192.0.2.8-192.0.2.11")
    again = settings_of(work)
    assert (again.seed, again.ports, again.retries, again.cooldown_time) == (9, (80, 443), 2, 3.0)
    assert prepared_of(work).spec.digest() == work.digest
    assert Work.model_validate_json(work.model_dump_json()) == work


def test_a_work_says_who_answers_for_it_and_under_which_approval() -> None:
    work = work_of(asked(approval="board 17", operator="Alice"), NO_LISTS)
    assert (work.approval, work.operator) == ("board 17", "Alice")
    assert work_of(asked(), NO_LISTS).operator == operator()
    assert work_of(asked(), NO_LISTS).digest == work.digest, "the same positions"


def test_the_lists_of_who_submits_hold_everywhere(tmp_path: Path) -> None:
    (tmp_path / "block").write_text("10.0.0.4/30\n")
    work = work_of(asked(), ListSettings(blocklist_file=(str(tmp_path / "block"),)))
    assert work.ranges == ("10.0.0.0-10.0.0.3", "10.0.0.8-10.0.0.15", "192.0.2.8-192.0.2.11")
    assert work.size == 32


def test_an_exact_list_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "ips").write_text("192.0.2.1\n192.0.2.7\n")
    work = work_of(asked(targets=(), list_of_ips_file=str(tmp_path / "ips")), ListSettings(default_blocklist=False))
    assert (work.ranges, work.size) == (("192.0.2.1-192.0.2.1", "192.0.2.7-192.0.2.7"), 4)


def test_every_target_stands_at_its_position_and_nothing_else_does() -> None:
    work = work_of(asked(), NO_LISTS)
    layout, prepared = Layout(work), prepared_of(work)
    space = prepared.targets.space(prepared.ports)
    addresses, ports = space.at(Permutation(work.size, work.seed).at(np.arange(work.size, dtype=np.uint64)))
    for position, (address, port) in enumerate(zip(addresses.tolist(), ports.tolist(), strict=True)):
        ip = ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
        assert layout.position(ip, port) == position
    for ip, port in (("10.0.0.16", 80), ("10.0.0.0", 81), ("9.255.255.255", 80), ("2001:db8::1", 80)):
        assert layout.position(ip, port) is None


def test_what_is_to_be_grabbed_goes_with_it_and_changes_no_position() -> None:
    plain, grabbed = work_of(asked(), NO_LISTS), work_of(asked(), NO_LISTS, BannerGrab(), TlsGrab())
    assert grabbed.grabs == ("banner", "tls")
    assert grabbed.bare() == plain
    with pytest.raises(UsageError, match="icmp_echoscan"):
        work_of(asked(probe_module="icmp_echoscan", target_ports=None), NO_LISTS, tls=TlsGrab())


class Book(Logbook):
    async def settle(self, outputs: list[Output], source: Any, positions: Any) -> None:
        await self.publish(outputs)
        await source.commit(positions)


def begun(work: Work, publisher: Any, folder: Path, leave_alone: NetSet) -> SliceOfScan:
    can = Capabilities(version="0", engine="connect", privileged=False, probes=("tcp_synscan",), rate=100.0)
    scanner = FleetScanner("alice", can, Topics(), None, Grabbing(5, PolitenessSettings()))
    slice = Slice(token=1, work=work, first=0, last=work.size, rate=100.0)
    return scanner.scan(slice, rate=100.0, leave_alone=leave_alone, publisher=publisher, checkpoint=folder / "c")


async def test_a_slice_is_scanned_and_grabbed(tmp_path: Path) -> None:
    with talker(say(b"220 there\r\n")) as (ip, port):
        work = work_of(
            asked(targets=(f"{ip}/31",), target_ports=str(port), cooldown_time=1), NO_LISTS,
            BannerGrab(say="wait", ports="*"),
        )  # fmt: skip
        book = Book()
        slice = begun(work, book, tmp_path, NetSet())
        assert slice.position == 0
        await asyncio.wait_for(slice.run(), 60)
        assert (slice.position, slice.sent) == (2, 2)
    found = [parse(output.value) for output in book.outputs if output.topic != Topics().scans]
    assert [(type(one), one.ip, one.port) for one in found if not isinstance(one, Scan)] == [
        (Hit, ip, port), (Banner, ip, port)
    ]  # fmt: skip
    assert isinstance(found[1], Banner)
    assert (found[1].data, found[1].vantage) == (b"220 there\r\n", "alice")


async def test_whom_a_slice_leaves_alone_its_grabs_leave_alone(tmp_path: Path) -> None:
    work = work_of(asked(), NO_LISTS, BannerGrab())
    slice = begun(work, Book(), tmp_path, NetSet.parse(["10.0.0.1"], "test"))
    [policy] = slice._policies
    assert [policy.blocked(f"10.0.0.{n}") for n in (1, 2, 3)] == [True, False, False]
    slice.leave_alone(NetSet.parse(["10.0.0.2"], "test"))
    assert [policy.blocked(f"10.0.0.{n}") for n in (1, 2, 3)] == [True, True, False]


async def test_a_slice_with_grabs_is_not_begun_where_none_are_done(tmp_path: Path) -> None:
    work = work_of(asked(), NO_LISTS, BannerGrab())
    can = Capabilities(version="0", engine="connect", privileged=False, probes=("tcp_synscan",), rate=9.0)
    slice = Slice(token=1, work=work, first=0, last=5, rate=9.0)
    scanner = FleetScanner("alice", can, Topics(), None)
    publisher: Any = None
    with pytest.raises(UsageError, match="none are done here"):
        scanner.scan(slice, rate=9.0, leave_alone=NetSet(), publisher=publisher, checkpoint=tmp_path / "c")


def test_a_probe_without_ports() -> None:
    work = work_of(asked(probe_module="icmp_echoscan", target_ports=None), NO_LISTS)
    assert work.ports == ""
    assert {Layout(work).position(f"10.0.0.{n}", 0) for n in range(16)} <= set(range(20))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"targets": ("2001:db8::/126",)}, "IPv6"),
        ({"scan": None}, "needs a name"),
        ({"scan": "a b"}, "scan"),
        ({"max_results": 5}, "scanner.max_results"),
        ({"shards": 2}, "scanner.shards"),
        ({"first_target": 5}, "scanner.first_target"),
        ({"output_file": "x"}, "scanner.output_file"),
        ({"targets": ("0.0.0.0/32",)}, "nothing to scan|TARGET"),
    ],
)
def test_what_cannot_be_asked_of_a_fleet_is_named(more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        work_of(asked(**more), ListSettings(lift=False) if "0.0.0.0/32" in str(more) else NO_LISTS)


def test_what_is_carried_are_settings_of_a_scan() -> None:
    assert set(ScannerSettings.model_fields) >= CARRIED


def test_a_work_from_elsewhere_that_is_no_scan_is_told() -> None:
    good = work_of(asked(), NO_LISTS)
    for wrong in ({"ports": "99999"}, {"probe": "nothing"}, {"ranges": ("10.0.0.9-10.0.0.1",)}):
        with pytest.raises(UsageError):
            prepared_of(good.model_copy(update=wrong))
