"""masscan's formats of lines: list, grepable, unicornscan's, and hosts alone. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from stages.scanner.masscan.items import Banner, Item, State, Status, usual_reason
from stages.scanner.masscan.services import masscan_name, port_name
from stages.scanner.masscan.words import escaped, unescaped
from stages.scanner.masscan.writing import About, Data, whole_lines


class BadLine(ValueError):
    """A line that the format does not have."""

    def __init__(self, line: int, column: int, text: str, problem: str) -> None:
        super().__init__(f"{line}:{column}: {text[:80]!r}: {problem}")
        self.line = line


class ListWriter:
    """`open tcp 80 1.2.3.4 1390380064`."""

    closed = False

    def __init__(self, about: About) -> None:
        del about

    def begin(self) -> bytes:
        return b"#masscan\n"

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([self._line(item) for item in items]).encode()

    def end(self, now: int) -> bytes:
        del now
        return b"# end\n"

    def keep(self, data: Data) -> int:
        return whole_lines(data, (b"# end",))

    def _line(self, item: Item) -> str:
        what = f"{item.proto} {item.port} {item.ip} {item.ts}"
        if isinstance(item, Banner):
            return f"banner {what} {masscan_name(item.service)} {escaped(item.data)}\n"
        return f"{item.state} {what}\n"


class GrepableWriter:
    """`Timestamp: 1390380064 Host: 1.2.3.4 () Ports: 80/open/tcp//http//`, with tabs."""

    closed = False

    def __init__(self, about: About) -> None:
        self._about = about

    def begin(self) -> bytes:
        about = self._about
        ports = " ".join(
            f"{name}({about.counts.get(transport, 0)};{about.ports.get(transport, '')})"
            for name, transport in (("TCP", "tcp"), ("UDP", "udp"), ("SCTP", "sctp"), ("PROTOCOLS", "oproto"))
        )
        return (
            f"# Longline {about.version} scan initiated {_date(about.started)}\n# Ports scanned: {ports}\n"
        ).encode()

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([self._line(item) for item in items]).encode()

    def end(self, now: int) -> bytes:
        return f"# Longline done at {_date(now)}\n".encode()

    def keep(self, data: Data) -> int:
        return whole_lines(data, (b"# Longline done", b"# Masscan done"))

    def _line(self, item: Item) -> str:
        if isinstance(item, Banner):
            service = masscan_name(item.service)
            return f"Host: {item.ip} ()\tPort: {item.port}\tService: {service}\tBanner: {escaped(item.data)}\n"
        name = port_name(item.proto, item.port)
        return (
            f"Timestamp: {item.ts}\tHost: {item.ip} ()\tPorts: {item.port}/{item.state}/{item.proto}//{name}//\n"
        )  # fmt: skip


class UnicornscanWriter:
    """`TCP open  http[   80]  from 1.2.3.4  ttl 48`. What is not TCP is a line of the grepable kind."""

    closed = False

    def __init__(self, about: About) -> None:
        del about

    def begin(self) -> bytes:
        return b"#masscan\n"

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([self._line(item) for item in items if isinstance(item, Status)]).encode()

    def end(self, now: int) -> bytes:
        del now
        return b"# end\n"

    def keep(self, data: Data) -> int:
        return whole_lines(data, (b"# end",))

    def _line(self, item: Status) -> str:
        if item.proto != "tcp":
            return f"Host: {item.ip} ()\tPorts: {item.port}/{item.state}/{item.proto}////\n"
        name = port_name(item.proto, item.port)
        return f"TCP {item.state}\t{name:>16}[{item.port:>5}]\t\tfrom {item.ip}  ttl {item.ttl} \n"


class HostonlyWriter:
    """An address a line, for each open port one."""

    closed = False

    def __init__(self, about: About) -> None:
        del about

    def begin(self) -> bytes:
        return b""

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([f"{item.ip}\n" for item in items if isinstance(item, Status)]).encode()

    def end(self, now: int) -> bytes:
        del now
        return b""

    def keep(self, data: Data) -> int:
        return whole_lines(data, ())


class ScreenWriter:
    """`Discovered open port 80/tcp on 1.2.3.4`: what masscan prints where no file is named."""

    closed = False

    def __init__(self, about: About) -> None:
        del about

    def begin(self) -> bytes:
        return b""

    def items(self, items: Sequence[Item]) -> bytes:
        return "".join([self._line(item) for item in items]).encode()

    def end(self, now: int) -> bytes:
        del now
        return b""

    def keep(self, data: Data) -> int:
        return whole_lines(data, ())

    def _line(self, item: Item) -> str:
        where = f"port {item.port}/{item.proto} on {item.ip}"
        if isinstance(item, Banner):
            return f"Banner on {where}: [{masscan_name(item.service)}] {escaped(item.data)}\n"
        return f"Discovered {item.state} {where}\n"


_SCREEN: Final = re.compile(r"Discovered (open|closed|arp) port (\d+)/(\w+) on (\S+) *").fullmatch
_SCREEN_BANNER: Final = re.compile(r"Banner on port (\d+)/(\w+) on (\S+): \[(\S+)\] (.*)", re.DOTALL).fullmatch
_LIST: Final = re.compile(r"(open|closed|arp) (\S+) (\d+) (\S+) (\d+)").fullmatch
_LIST_BANNER: Final = re.compile(r"banner (\S+) (\d+) (\S+) (\d+) (\S+) ?(.*)", re.DOTALL).fullmatch
_GREP: Final = re.compile(
    r"(?:Timestamp: (\d+)\t)?Host: (\S+) \(\)\tPorts: (\d+)/(open|closed|arp)/(\w+)//[^/\t]*//"
).fullmatch
_GREP_BANNER: Final = re.compile(r"Host: (\S+) \(\)\tPort: (\d+)\tService: (\S+)\tBanner: (.*)", re.DOTALL).fullmatch
_UNICORN: Final = re.compile(r"TCP (open|closed|arp)\t *(\S+)\[ *(\d+)\]\t\tfrom (\S+)  ttl (\d+) ?").fullmatch


def read_lines(data: bytes) -> Iterator[Item]:
    """The items of a file of lines, whichever of the formats. A last line without its end is cut: it is left out.

    What a format does not tell is what is usual (`reason`), or 0 (`ts`, `ttl`). Raises BadLine.
    """
    text = data.decode("utf-8", "replace")
    *lines, cut = text.split("\n")
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#"):
            continue
        try:
            item = _item(line)
        except ValueError as error:
            raise BadLine(number, 1, line, str(error)) from None
        if item is None:
            raise BadLine(number, 1, line, "no line of masscan's list, grepable, unicornscan or host formats")
        yield item
    del cut


def _item(line: str) -> Item | None:
    if match := _LIST(line):
        state, proto, port, ip, ts = match.groups()
        return _status(ts, ip, proto, port, state)
    if match := _LIST_BANNER(line):
        proto, port, ip, ts, service, banner = match.groups()
        return Banner(_number(ts), _address(ip), proto, _port(port), service, unescaped(banner))
    if match := _GREP(line):
        when, ip, port, state, proto = match.groups()
        return _status(when or "0", ip, proto, port, state)
    if match := _GREP_BANNER(line):
        ip, port, service, banner = match.groups()
        return Banner(0, _address(ip), "tcp", _port(port), service, unescaped(banner))
    if match := _SCREEN(line):
        state, port, proto, ip = match.groups()
        return _status("0", ip, proto, port, state)
    if match := _SCREEN_BANNER(line):
        port, proto, ip, service, banner = match.groups()
        return Banner(0, _address(ip), proto, _port(port), service, unescaped(banner))
    if match := _UNICORN(line):
        state, _, port, ip, ttl = match.groups()
        return _status("0", ip, "tcp", port, state)._replace(ttl=_number(ttl, 255))
    if " " not in line and "\t" not in line:
        return Status(0, _address(line), "tcp", 0, "open", usual_reason("tcp", "open"))
    return None


def _status(ts: str, ip: str, proto: str, port: str, state: str) -> Status:
    known: State = "open" if state == "open" else "closed" if state == "closed" else "arp"
    return Status(_number(ts), _address(ip), proto, _port(port), known, usual_reason(proto, state))


def _address(text: str) -> str:
    return str(ip_address(text))


def _port(text: str) -> int:
    return _number(text, 0xFFFF)


def _number(text: str, most: int = 0xFFFFFFFF) -> int:
    if len(text) > 10 or int(text) > most:
        raise ValueError(f"{text[:20]} is above {most}")
    return int(text)


def _date(seconds: int) -> str:
    """As ctime(3) has it, in UTC."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%a %b} {moment.day:2} {moment:%H:%M:%S %Y}"
