"""XML: an nmap reader takes it, its elements are those of nmap's DTD, and damage is told."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from libnmap.parser import NmapParser

from stages.scanner.masscan.items import Banner, Item, Status
from stages.scanner.masscan.writing import About
from stages.scanner.masscan.xml import BadXml, XmlWriter, read_xml

ABOUT = About(1_390_380_000, "1.0", {"tcp": "80,443", "udp": "53", "icmp": ""}, {"tcp": 2, "udp": 1})
ITEMS: list[Item] = [
    Status(1_390_380_064, "1.2.3.4", "tcp", 80, "open", 0x12, 48),
    Status(1_390_380_065, "1.2.3.5", "tcp", 81, "closed", 0x14, 49),
    Status(1_390_380_066, "2001:db8::1", "udp", 53, "open", 0, 50),
    Banner(1_390_380_067, "1.2.3.4", "tcp", 80, "http", b'HTTP/1.0 200 OK\r\nServer: "a<b>"', 48),
]

#: Attributes that nmap's DTD requires, of the elements that are written.
REQUIRED = {
    "nmaprun": {"scanner", "version", "xmloutputversion"},
    "scaninfo": {"type", "protocol", "numservices", "services"},
    "status": {"state", "reason", "reason_ttl"},
    "address": {"addr"},
    "port": {"protocol", "portid"},
    "state": {"state", "reason", "reason_ttl"},
    "service": {"name"},
    "finished": {"time"},
    "hosts": {"total"},
}
#: Values that it allows.
ALLOWED = {
    ("scaninfo", "type"): {"syn", "ack", "bounce", "connect", "null", "xmas", "window", "maimon", "fin", "udp",
                           "sctpinit", "sctpcookieecho", "ipproto"},
    ("scaninfo", "protocol"): {"ip", "tcp", "udp", "sctp"},
    ("status", "state"): {"up", "down", "unknown", "skipped"},
    ("address", "addrtype"): {"ipv4", "ipv6", "mac"},
}  # fmt: skip


def document() -> str:
    made = XmlWriter(ABOUT)
    return (made.begin() + made.items(ITEMS) + made.end(1_390_380_100)).decode()


def test_libnmap_reads_it() -> None:
    report = NmapParser.parse_fromstring(document())
    hosts = [(host.address, host.status, host.get_ports(), host.ipv6) for host in report.hosts]
    assert [host[:3] for host in hosts] == [
        ("1.2.3.4", "up", [(80, "tcp")]), ("1.2.3.5", "up", [(81, "tcp")]), ("2001:db8::1", "up", [(53, "udp")]),
        ("1.2.3.4", "up", [(80, "tcp")]),
    ]  # fmt: skip
    assert report.hosts[0].get_open_ports() == [(80, "tcp")]
    assert report.hosts[1].get_open_ports() == []
    assert report.hosts[3].get_service(80).service == "http"
    assert (report.started, report.endtime, report.hosts_total) == (1_390_380_000, 1_390_380_100, 3)


def test_every_element_has_what_the_dtd_requires() -> None:
    for element in ElementTree.fromstring(document()).iter():
        assert REQUIRED.get(element.tag, set()) <= set(element.attrib), element.tag
        for name, value in element.attrib.items():
            assert value in ALLOWED.get((element.tag, name), {value})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"<a>&b;</a>", "undefined entity"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "entities of its own"),
        (b"<a></b>", "mismatched tag"),
        (b'<r><host><address addr="x"/></host></r>', "'x' does not appear"),
        (b'<r><host><address addr="1.2.3.4"/><port portid="70000"><state state="open"/></port></host></r>', "'70000'"),
        (b'<r><host><address addr="1.2.3.4"/><port portid="7"/></host></r>', "port 7 of 1.2.3.4 has no state"),
    ],
)
def test_what_is_no_file_of_this_kind(text: bytes, named: str) -> None:
    with pytest.raises(BadXml, match=named):
        list(read_xml(text))


def test_what_stands_before_the_damage_is_read() -> None:
    whole = document().encode()
    items = read_xml(whole[: whole.index(b"<runstats>")] + b"</x>")
    assert [next(items) for _ in ITEMS] == ITEMS
    with pytest.raises(BadXml):
        next(items)
