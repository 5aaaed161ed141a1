"""In a pipe, as ZMap and banner-grab are used: with Debian's ZMap, and with our own scanner."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from stages.simnet.compare import Found, compare
from stages.simnet.network import Simnet
from stages.simnet.realservers import find
from stages.simnet.wiring import FAR_MAC, NEAR_LINK
from tests.integration import plans
from tests.integration.workers import LONGLINE, PATIENCE
from tests.require import require

#: ZMap of Debian 12. Its own blocklist names 10.0.0.0/8; it finds no gateway on a veth by itself.
ZMAP = ["zmap", "-q", "-G", FAR_MAC, "-i", NEAR_LINK, "-b", "/dev/null", "-r", "5000", "-c", "2", "-o", "-"]

#: What stands for no banner at all, as banner-grab wrote it; it is not base64.
NOTHING = b"X"

#: ZMap without its default filter gives every answer, repeats and refusals too.
OPEN_ONLY = ["--output-filter", "success = 1 && repeat = 0"]


def piped(net: Simnet, folder: Path, first: Sequence[str], second: Sequence[str]) -> tuple[list[bytes], str]:
    """`first | second`; (lines of the second, what both said). Both must end well."""
    with (folder / "said").open("wb") as said:
        source = net.run(first, stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL, cwd=folder)
        assert source.stdout is not None
        with source.stdout:
            sink = net.run(second, stdin=source.stdout, stdout=subprocess.PIPE, stderr=said, cwd=folder)
        output, _ = sink.communicate(timeout=PATIENCE)
        codes = source.wait(PATIENCE), sink.returncode
    text = (folder / "said").read_text()
    assert codes == (0, 0), text
    return output.splitlines(), text


def banner(line: bytes) -> Found:
    d = orjson.loads(line)
    return Found(d["ip"], d["port"], d["outcome"], base64.b64decode(d["data"]))


def tls(line: bytes) -> Found:
    d = orjson.loads(line)
    return Found(d["ip"], d["port"], d["outcome"], chain=tuple(d["chain"]), version=d["version"])


def assert_as_the_truth_says(net: Simnet, found: Sequence[Found], port: int) -> None:
    difference = compare([e for e in net.expected() if e.port == port], found)
    assert not difference, "\n".join(difference.lines())
    assert difference.right > 100


@pytest.fixture
def zmap() -> list[str]:
    require(find("zmap"), "ZMap (Debian: zmap)")
    return ZMAP


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ([], ["-p", "80"]),
        (["-O", "csv", "-f", "saddr,sport,ttl", *OPEN_ONLY], []),
        (["-O", "json", "-f", "ttl,saddr,sport", *OPEN_ONLY], []),
    ],
    ids=["addresses", "csv with its header", "json"],
)
def test_debians_zmap_into_bannergrab(
    town: Simnet, tmp_path: Path, zmap: list[str], fields: list[str], port: list[str]
) -> None:
    lines, _ = piped(
        town,
        tmp_path,
        [*zmap, "-p", "80", *fields, *town.spec.targets],
        [LONGLINE, "bannergrab", *port, "-c", "500", *plans.BANNERS],
    )
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)


@pytest.mark.slow
def test_scan_into_bannergrab(town: Simnet, tmp_path: Path) -> None:
    words = ["-p", "80", "-o", "-", "-r", "5000", "-c", "2", *town.spec.targets]
    lines, _ = piped(
        town,
        tmp_path,
        [LONGLINE, "scan", *words],
        [LONGLINE, "bannergrab", "-p", "80", "-c", "500", "-f", "base64", *plans.BANNERS],
    )
    pairs = [line.split(b" ") for line in lines]
    got = {ip.decode(): b"" if data == NOTHING else base64.b64decode(data, validate=True) for ip, data in pairs}
    assert len(got) == len(lines)
    wanted = {e.ip: e.data for e in town.expected() if e.port == 80}
    assert got == wanted


@pytest.mark.slow
def test_scan_into_tlsgrab_by_full_records(town: Simnet, tmp_path: Path) -> None:
    words = ["-p", "443", "-O", "hits", "-r", "5000", "-c", "2", *town.spec.targets]
    lines, _ = piped(town, tmp_path, [LONGLINE, "scan", *words], [LONGLINE, "tlsgrab", *plans.TLS])
    assert_as_the_truth_says(town, [tls(line) for line in lines], 443)
    records = [orjson.loads(line) for line in lines]
    assert all(record["hit"] for record in records), "a conversation names the hit that led to it"
    assert len({record["scan"] for record in records}) == 1


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_pipe(town: Simnet, tmp_path: Path) -> None:
    """`| head`: bannergrab ends as a program that SIGPIPE ended, the scan before it too, and neither shows a bug."""
    command = (
        f"{LONGLINE} scan -p 80 -o - -r 2000 -c 2 {town.spec.targets[0]} | "
        f"{LONGLINE} bannergrab -p 80 -d http-req --per-prefix 0 | head -n 3; echo ${{PIPESTATUS[@]}}"
    )
    with (tmp_path / "said").open("wb") as said:
        shell = town.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=said, cwd=tmp_path, env=dict(os.environ)
        )
        output, _ = shell.communicate(timeout=PATIENCE)
    *banners, codes = output.decode().splitlines()
    text = (tmp_path / "said").read_text()
    assert len(banners) == 3
    assert "Traceback" not in text
    first, second, third = map(int, codes.split())
    assert (second, third) == (141, 0), text
    assert first in (0, 141), text
