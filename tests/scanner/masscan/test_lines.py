"""The formats of lines, byte by byte as masscan 1.3.2 writes them."""

from __future__ import annotations

import pytest

from stages.scanner.masscan.items import Banner, Item, Status
from stages.scanner.masscan.lines import BadLine, read_lines
from stages.scanner.masscan.writing import About, writer

ITEMS: list[Item] = [
    Status(1_390_380_064, "1.2.3.4", "tcp", 80, "open", 0x12, 48),
    Status(1_390_380_065, "1.2.3.4", "udp", 53, "closed", 0, 49),
    Banner(1_390_380_066, "1.2.3.4", "tcp", 80, "http", b"a\tb", 48),
]
WANTED = {
    "list": "#masscan\nopen tcp 80 1.2.3.4 1390380064\nclosed udp 53 1.2.3.4 1390380065\n"
    "banner tcp 80 1.2.3.4 1390380066 http a\\x09b\n# end\n",
    "grepable": "# Longline 1.0 scan initiated Wed Jan 22 08:40:00 2014\n"
    "# Ports scanned: TCP(1;80) UDP(1;53) SCTP(0;) PROTOCOLS(0;)\n"
    "Timestamp: 1390380064\tHost: 1.2.3.4 ()\tPorts: 80/open/tcp//http//\n"
    "Timestamp: 1390380065\tHost: 1.2.3.4 ()\tPorts: 53/closed/udp//domain//\n"
    "Host: 1.2.3.4 ()\tPort: 80\tService: http\tBanner: a\\x09b\n"
    "# Longline done at Wed Jan 22 08:41:40 2014\n",
    "unicornscan": "#masscan\nTCP open\t            http[   80]\t\tfrom 1.2.3.4  ttl 48 \n"
    "Host: 1.2.3.4 ()\tPorts: 53/closed/udp////\n# end\n",
    "hostonly": "1.2.3.4\n1.2.3.4\n",
    "interactive": "Discovered open port 80/tcp on 1.2.3.4\nDiscovered closed port 53/udp on 1.2.3.4\n"
    "Banner on port 80/tcp on 1.2.3.4: [http] a\\x09b\n",
}


@pytest.mark.parametrize("name", WANTED)
def test_as_masscan_writes_it(name: str) -> None:
    made = writer(name, About(1_390_380_000, "1.0", {"tcp": "80", "udp": "53"}, {"tcp": 1, "udp": 1}))
    assert (made.begin() + made.items(ITEMS) + made.end(1_390_380_100)).decode() == WANTED[name]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("open tcp 80 1.2.3.4 1\nwhat is this\n", 2),
        ("open tcp 80 1.2.3 1\n", 1),
        ("open tcp 70000 1.2.3.4 1\n", 1),
        ("# a\n\nopen tcp 80 1.2.3.4 99999999999\n", 3),
        ("name.example\n", 1),
    ],
)
def test_what_is_no_line_of_masscans(text: str, line: int) -> None:
    with pytest.raises(BadLine) as caught:
        list(read_lines(text.encode()))
    assert caught.value.line == line


def test_a_line_without_its_end_is_cut() -> None:
    assert list(read_lines(b"open tcp 80 1.2.3.4 1\nopen tcp 8")) == [Status(1, "1.2.3.4", "tcp", 80, "open", 0x12)]
