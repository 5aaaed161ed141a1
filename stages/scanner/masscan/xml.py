"""nmap's XML as masscan writes it: a host element for each port. Pure.

Two things are more than masscan has, for nmap's DTD (nmap.dtd) demands them and readers stumble without: the state of
the host, and what of the ports was scanned.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from stages.scanner.masscan.items import Banner, Item, State, Status, reason_of, reason_text
from stages.scanner.masscan.services import masscan_name
from stages.scanner.masscan.words import escaped, unescaped
from stages.scanner.masscan.writing import About, Data

#: A host stands on one line.
_HOST_END: Final = b"</host>\n"
_HEAD_END: Final = b"<!-- ports -->\n"

_SCANS: Final = {"tcp": "syn", "udp": "udp", "sctp": "sctpinit", "icmp": "ipproto"}


class BadXml(ValueError):
    """Not XML, or not of this kind; says where."""


class XmlWriter:
    """nmap XML."""

    closed = True

    def __init__(self, about: About) -> None:
        self._about = about
        self._up: set[str] = set()
        self._open = self._shut = 0

    def begin(self) -> bytes:
        about = self._about
        scanned = "".join(
            f'<scaninfo type="{_SCANS.get(name, "ipproto")}" protocol="{"ip" if name == "icmp" else name}" '
            f'numservices="{about.counts.get(name, 0)}" services={quoteattr(ports)}/>\n'
            for name, ports in about.ports.items()
        )
        return (
            '<?xml version="1.0"?>\n'
            f"<!-- Longline {about.version}, in masscan's form -->\n"
            f'<nmaprun scanner="masscan" start="{about.started}" version="1.0-BETA" xmloutputversion="1.03">\n'
            f"{scanned}"
        ).encode() + _HEAD_END

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([self._host(item) for item in items]).encode()

    def end(self, now: int) -> bytes:
        elapsed = max(now - self._about.started, 0)
        shown = f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y-%m-%d %H:%M:%S}"
        return (
            "<runstats>\n"
            f'<finished time="{now}" timestr="{shown}" elapsed="{elapsed}" />\n'
            f'<hosts up="{self._open}" down="{self._shut}" total="{self._open + self._shut}" />\n'
            "</runstats>\n</nmaprun>\n"
        ).encode()

    def keep(self, data: Data) -> int:
        for mark in (_HOST_END, _HEAD_END):
            at = data.rfind(mark)
            if at >= 0:
                return at + len(mark)
        return 0

    def _host(self, item: Item) -> str:
        family = "ipv6" if ":" in item.ip else "ipv4"
        head = f'<host endtime="{item.ts}"><status state="up" reason="response" reason_ttl="{item.ttl}"/>'
        head += (
            f'<address addr="{item.ip}" addrtype="{family}"/><ports><port protocol="{item.proto}" portid="{item.port}">'
        )
        if isinstance(item, Banner):
            inner = f'<state state="open" reason="response" reason_ttl="{item.ttl}" />'
            inner += f'<service name="{masscan_name(item.service)}" banner="{escaped(item.data)}"></service>'
        else:
            self._open += item.state == "open"
            self._shut += item.state == "closed"
            reason = reason_text(item.reason)
            inner = f'<state state="{item.state}" reason="{reason}" reason_ttl="{item.ttl}"/>'
        return f"{head}{inner}</port></ports></host>\n"


def read_xml(data: bytes) -> Iterator[Item]:
    """The items of a file; of one that was cut, those before the cut. Raises BadXml."""
    if b"<!ENTITY" in data:
        raise BadXml("entities of its own: no file of masscan's or ours has them")
    parser: Any = ElementTree.XMLPullParser(("end",))
    problem: Exception | None = None
    try:
        parser.feed(data)
    except ElementTree.ParseError as error:
        problem = error
    try:
        for _, element in parser.read_events():
            if element.tag == "host":
                yield from _items(element)
                element.clear()
    except ElementTree.ParseError as error:
        problem = error
    except ValueError as error:
        raise BadXml(str(error)) from None
    if problem is not None:
        raise BadXml(str(problem))


def _items(host: ElementTree.Element) -> Iterator[Item]:
    ts = _number(host.get("endtime", "0"))
    address = next((each.get("addr", "") for each in host.iter("address") if each.get("addrtype") != "mac"), "")
    ip = str(ip_address(address))
    for port in host.iter("port"):
        proto, number = port.get("protocol", "tcp"), _number(port.get("portid", ""), 0xFFFF)
        state, service = port.find("state"), port.find("service")
        if state is None:
            raise ValueError(f"port {number} of {ip} has no state")
        ttl = _number(state.get("reason_ttl", "0"), 255)
        banner = None if service is None else service.get("banner")
        if banner is not None and service is not None:
            yield Banner(ts, ip, proto, number, service.get("name", ""), unescaped(banner), ttl)
            continue
        word = state.get("state", "")
        if word not in ("open", "closed", "arp"):
            continue
        known: State = "open" if word == "open" else "closed" if word == "closed" else "arp"
        yield Status(ts, ip, proto, number, known, reason_of(state.get("reason", "")), ttl)


def _number(text: str, most: int = 0xFFFFFFFF) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise ValueError(f"{text[:20]!r} is no number up to {most}")
    return int(text)
