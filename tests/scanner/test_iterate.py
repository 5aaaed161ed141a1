from __future__ import annotations

import struct
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import UsageError
from stages.core.settings import ListSettings
from stages.scanner import iterate as iterating
from stages.scanner.iterate import iterate
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import Prepared, prepare
from stages.scanner.settings import ScannerSettings
from tests.servers.preparing import prepared


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterating, "CHUNK", 3000)  # more than two blocks of the kernels


def written(scan: Prepared, *, binary: bool = False, ports: bool = True) -> bytes:
    out = bytearray()
    count = iterate(scan, out.extend, binary=binary, ports=ports)
    assert count == scan.spec.last
    return bytes(out)


def right(scan: Prepared) -> list[tuple[int, int]]:
    """(address, port) of the scan's IPv4 targets, by numpy."""
    spec, space = scan.spec, scan.targets.space(scan.ports)
    positions = np.arange(spec.last, dtype=np.uint64) * np.uint64(spec.shards) + np.uint64(spec.shard)
    addresses, ports = space.at(Permutation(space.size, spec.seed).at(positions))
    return list(zip(addresses.tolist(), ports.tolist(), strict=True))


@pytest.mark.parametrize("threads", [1, 2, 4, 7])
@pytest.mark.parametrize("fields", [
    {}, {"max_targets": "17%"}, {"shards": 7, "shard": 3}, {"target_ports": "0,9,10,99,100,999,1000,9999,10000,65535"},
], ids=str)  # fmt: skip
def test_lines_and_bytes_are_the_targets_in_order(threads: int, fields: dict[str, object]) -> None:
    targets = ("0.0.0.0/21", "9.99.100.255", "100.9.99.0/26", "255.255.255.0-255.255.255.254")
    scan = prepared(*targets, sender_threads=threads, seed=4, **fields)
    expected = right(scan)
    assert len(expected) > 300
    assert written(scan).decode() == "".join(f"{IPv4Address(address)},{port}\n" for address, port in expected)
    assert written(scan, ports=False).decode() == "".join(f"{IPv4Address(address)}\n" for address, _ in expected)
    assert written(scan, binary=True) == b"".join(struct.pack("!IH", address, port) for address, port in expected)


def test_an_exact_list_and_ipv6(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("10.0.0.9\n::1\n10.0.0.1\n10.0.0.9\n")
    scan = listed(tmp_path / "list")
    lines = written(scan).decode().splitlines()
    assert sorted(lines[:4]) == ["10.0.0.1,443", "10.0.0.1,80", "10.0.0.9,443", "10.0.0.9,80"]
    assert sorted(lines[4:]) == ["::1,443", "::1,80"]
    with pytest.raises(UsageError, match="no room for an IPv6 target"):
        written(scan, binary=True)


def listed(path: Path, **fields: object) -> Prepared:
    settings = ScannerSettings(list_of_ips_file=str(path), target_ports="80,443", seed=1, **fields)  # type: ignore[arg-type]
    return prepare(settings, ListSettings(), now_us=0, resolve=None)


@pytest.mark.parametrize("shards", [2, 5, 8])
def test_shards_of_both_versions_together_are_the_whole(tmp_path: Path, shards: int) -> None:
    """Position K + i * N of the scan, also where IPv6 begins in the middle of a round."""
    (tmp_path / "list").write_text("10.0.0.9\n10.0.0.1\n10.0.0.7\n::1\n2001:4860::1\n2001:4860::2\n")
    whole = written(listed(tmp_path / "list")).decode().splitlines()
    parts = [
        written(listed(tmp_path / "list", shards=shards, shard=shard)).decode().splitlines() for shard in range(shards)
    ]
    assert parts == [whole[shard::shards] for shard in range(shards)]


def test_an_error_of_the_one_who_takes_it_ends_the_threads() -> None:
    class Full(OSError):
        pass

    def refuse(data: object) -> None:
        raise Full

    with pytest.raises(Full):
        iterate(prepared("10.0.0.0/16", sender_threads=4), refuse, binary=True, ports=True)
