"""masscan's formats as output modules: what is shown, each target once, whole files on a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner as Record
from stages.scanner import outputs
from stages.scanner.answers import BY_NUMBER, ICMP, RST, SYNACK
from stages.scanner.destination import FileDestination
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.masscan.items import Banner
from stages.scanner.masscan.reading import read_items
from stages.scanner.outputs.base import Ending, Format
from stages.scanner.outputs.masscan import about
from stages.scanner.parts import parse_part
from stages.scanner.rows import Answer, connected

PARTS = tuple(parse_part(text) for text in ("tcp_synscan:80-81", "udp:53", "icmp_echoscan"))


def answer(kind: int, port: int, repeat: int = 0) -> Answer:
    made = connected(0x01020304, port, kind, ts=5_000_000, rtt=None, icmp=(3, 1))
    return made._replace(bound=BY_NUMBER, repeat=repeat, ttl=64)


ANSWERS = [answer(SYNACK, 80), answer(SYNACK, 80, 1), answer(RST, 81), answer(ICMP, 81)]


def made(name: str, show: str = "open") -> Any:
    wanted = Format((), HitLines(HitSource("s", "tcp_synscan")), parts=PARTS, started_us=4_000_000, show=show)  # type: ignore[arg-type]
    return outputs.get(name)(wanted)


@pytest.mark.parametrize("name", outputs.MASSCAN)
@pytest.mark.parametrize(("show", "states"), [("open", ["open"]), ("closed", ["closed"]), ("all", ["open", "closed"])])
def test_what_is_shown(name: str, show: str, states: list[str]) -> None:
    module = made(name, show)
    assert isinstance(module, Ending)
    found = list(read_items(module.begin() + module.render(ANSWERS) + module.end()))
    if name == "hostonly":
        assert len(found) == len(states)
    else:
        assert [item.state for item in found if not isinstance(item, Banner)] == states


def test_a_file_tells_what_was_scanned() -> None:
    found = about(4_000_000, PARTS)
    assert (found.started, found.ports) == (4, {"tcp": "80-81", "udp": "53", "icmp": ""})
    assert found.counts == {"tcp": 2, "udp": 1, "icmp": 0}


@pytest.mark.parametrize("name", ["masscan-json", "xml"])
async def test_a_file_is_whole_after_each_write(name: str, tmp_path: Path) -> None:
    """Whoever is killed between two writes leaves what any reader takes."""
    path = tmp_path / "out"
    destination = FileDestination.open(str(path), made(name))
    await destination.begin(append=False)
    sizes = []
    for _ in range(3):
        whole = path.read_bytes()
        assert whole.endswith(b"]\n" if name == "masscan-json" else b"</nmaprun>\n")
        sizes.append(len(list(read_items(whole))))
        await destination.write(ANSWERS)
    await destination.close()
    assert sizes == [0, 1, 2]
    assert len(list(read_items(path.read_bytes()))) == 3


@pytest.mark.parametrize("name", outputs.MASSCAN)
async def test_a_file_is_gone_on_with(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    for append in (False, True, True):
        destination = FileDestination.open(str(path), made(name))
        await destination.begin(append=append)
        await destination.write(ANSWERS)
        await destination.close()
    assert len(list(read_items(path.read_bytes()))) == 3
    if name == "masscan-json":
        assert len(json.loads(path.read_text())) == 3


async def test_a_file_that_was_cut_is_gone_on_with(tmp_path: Path) -> None:
    """A kill inside the one system call of a write."""
    path = tmp_path / "out"
    for cut in (b"", b'{   "ip": "1.2', b']\n{"'):
        module = made("masscan-json")
        path.write_bytes(module.begin() + module.render(ANSWERS) + cut)
        destination = FileDestination.open(str(path), made("masscan-json"))
        await destination.begin(append=True)
        await destination.write(ANSWERS)
        await destination.close()
        assert len(json.loads(path.read_text())) == 2


@pytest.mark.parametrize("name", ["xml", "masscan-json", "ndjson", "masscan-list", "grepable", "binary", "interactive"])
async def test_what_ports_said_stands_there_too(name: str, tmp_path: Path) -> None:
    """Not what they did not say, nor what is no banner."""
    lines = [
        Record("s", 5_000_000, "1.2.3.4", 80, Outcome.OK, Phase.READ, data=data).dump()
        for data in (b"HTTP/1.0 200 OK\r\n\r\n", b"")
    ]
    place = tmp_path / "out"
    file = FileDestination.open(str(place), made(name))
    await file.begin(append=False)
    await file.write(ANSWERS)
    await file.write_lines([(b"", line) for line in lines])
    await file.close()
    banners = [item for item in read_items(place.read_bytes()) if isinstance(item, Banner)]
    assert [(one.ip, one.port, one.service, one.data) for one in banners] == [
        ("1.2.3.4", 80, "http", b"HTTP/1.0 200 OK\r\n\r\n")
    ]
