"""The lines that a grab reads from a pipe, as hits. Pure.

    192.0.2.1                      192.0.2.1:443               192.0.2.1,443           192.0.2.1,443,example.org
    2001:db8::1                    [2001:db8::1]:443           # a comment
    192.0.2.1,example.org          192.0.2.1,example.org,tag   192.0.2.1,,tag,443      zgrab2's and LZR's order
    saddr,sport,ttl                192.0.2.1,443,57            CSV under ZMap's header, columns in any order
    {"saddr": "192.0.2.1", "sport": 443}                       ZMap's JSON
    synack, 192.0.2.1, 192.0.2.9, 80, 40000, ...   ZMap's `extended_file`, with its header or without
    {"kind": "hit", ...}                                       our own

A second column that is a number is a port, as no host name is one. A header may stand anywhere, and holds until the
next. In an answer the target is the source: `saddr` and `sport`.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any, Final, NoReturn

import orjson

from stages.core.errors import RecordError
from stages.core.netset import is_name
from stages.core.outcome import DeadReason
from stages.core.records import MAX_RECORD_BYTES, Hit, Scan, is_ip, parse

#: Columns that name the target's address, its port, and its name; the first that is there counts.
ADDRESS_COLUMNS: Final = ("saddr", "ip")
PORT_COLUMNS: Final = ("sport", "port")
NAME_COLUMNS: Final = ("name", "domain")

_ADDRESS_COLUMNS: Final = frozenset(ADDRESS_COLUMNS)

#: Classification of a target that somebody listed and nobody probed.
LISTED: Final = "listed"

#: A tag is kept up to this length: it becomes the classification.
MAX_TAG: Final = 64

#: Digits of a number in CSV: what 64 bits hold, and far from where int() refuses.
MAX_DIGITS: Final = 20

#: The last second that RFC 3339 can write.
MAX_SECONDS: Final = 253_402_300_799

#: Columns of ZMap's `extended_file`, which forge-socket read without its header too.
EXTENDED_FILE: Final = (
    "response", "saddr", "daddr", "sport", "dport", "seq", "ack", "in_cooldown", "is_repeat", "timestamp",
)  # fmt: skip
#: What its first column says: a success and a failure.
_SYNACK: Final = "synack"
_RESPONSES: Final = frozenset({_SYNACK, "rst"})

#: ZMap's fields of the answer -> keys of `Hit.tcp`. `seq` and `ack` are those of `extended_file`.
_TCP: Final = {
    "seq": "seq",
    "ack": "ack",
    "seqnum": "seq",
    "acknum": "ack",
    "window": "window",
    "tcpopt_mss": "mss",
    "tcpopt_wscale": "wscale",
    "tcpopt_sack_perm": "sack",
    "tcpopt_ts_val": "ts_val",
    "tcpopt_ts_ecr": "ts_ecr",
    "ipid": "ipid",
}

#: How our own records begin: they need not be parsed twice.
_OURS: Final = b'{"kind":'

_BOM: Final = b"\xef\xbb\xbf"

#: What most lines of most lists are: an address, or one with its port. It says the same as the long way, sooner.
_BARE: Final = re.compile(rb"\s*([0-9]{1,3}(?:\.[0-9]{1,3}){3})(?:[,:]([0-9]{1,5}))?\s*").fullmatch


def _no_target(detail: str) -> NoReturn:
    raise RecordError(DeadReason.TARGET, detail)


def canonical(ip: str) -> str:
    """The one spelling of an address, so that the same target has the same id; IPv4-mapped becomes IPv4.

    Raises RecordError (target) if it is no address.
    """
    if not is_ip(ip):
        _no_target(f"{ip!r} is not an address")
    if ":" not in ip:
        return ip
    address = IPv6Address(ip)
    return str(address.ipv4_mapped or address)


def read_hit(line: bytes, ts_us: int) -> Hit | None:
    """A line of a shared log: records only, and only hits are a grab's. Raises RecordError."""
    record = parse(line)
    return record if isinstance(record, Hit) else None


class LineReader:
    """Reads lines as hits. It holds the header that was seen last; one reader per input."""

    def __init__(
        self,
        default_port: int | None,
        scan: str,
        vantage: str = "",
        probe: str = "input",
        *,
        transport: str = "tcp",
        connects: bool = True,
        literal_names: bool = False,
    ) -> None:
        """`default_port`: for lines without one. `scan`, `vantage`, `probe`, `transport`: of hits that do not say.
        `connects`: port 0 is an error, as nothing listens on it. `literal_names`: an address in a name's place is a
        name to ask for."""
        self._default_port = default_port
        self._scan = scan
        self._vantage = vantage
        self._probe = probe
        self._transport = transport
        self._connects = connects
        self._literal = literal_names
        self._columns: Sequence[str] | None = None

    def read(self, line: bytes, ts_us: int) -> Hit | None:
        """The hit of one line; None for a header, a comment, a blank line, the start or end of a scan.

        `ts_us` is the time of a line that holds none. Raises RecordError: undecodable, oversized, schema, target.
        """
        if len(line) > MAX_RECORD_BYTES:
            raise RecordError(DeadReason.OVERSIZED, f"{len(line)} bytes, at most {MAX_RECORD_BYTES}")
        if self._columns is None and (bare := _BARE(line)) is not None:
            ip, port = bare.groups()
            return self._listed(canonical(ip.decode()), None if port is None else port.decode(), ts_us)
        line = line.removeprefix(_BOM).strip()
        if line.startswith(b"{"):
            return self._json(line, ts_us)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise RecordError(DeadReason.UNDECODABLE, f"not UTF-8: {error.reason} at byte {error.start}") from None
        if "#" in text:
            text = text.partition("#")[0].rstrip()
        if not text:
            return None
        fields = _fields(text)
        if not _ADDRESS_COLUMNS.isdisjoint(fields):
            self._columns = fields
            return None
        if self._columns is not None:
            return self._row(fields, ts_us)
        if len(fields) == len(EXTENDED_FILE) and fields[0] in _RESPONSES:
            return self._answer(dict(zip(EXTENDED_FILE, fields, strict=True)), ts_us)
        return self._plain(fields, ts_us)

    def _json(self, line: bytes, ts_us: int) -> Hit | None:
        if line.startswith(_OURS):
            return self._record(line)
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise RecordError(DeadReason.UNDECODABLE, str(error)) from None
        if "kind" not in values and not _ADDRESS_COLUMNS.isdisjoint(values):
            return self._answer(values, ts_us)
        return self._record(line)

    def _record(self, line: bytes) -> Hit | None:
        record = parse(line)
        if isinstance(record, Scan):
            return None
        if not isinstance(record, Hit):
            raise RecordError(DeadReason.SCHEMA, f"a {type(record).__name__.lower()}, where hits are read")
        if record.port or not self._connects:
            return record
        # An answer without a port (ICMP echo): the host is there, and the default port is what to ask it.
        return replace(record, port=self._port(None), transport=self._transport, id="")

    def _row(self, fields: Sequence[str], ts_us: int) -> Hit:
        assert self._columns is not None
        if len(fields) != len(self._columns):
            # A plain line behind a header: lists are put together with cat(1).
            if len(fields) == 1:
                return self._plain(fields, ts_us)
            raise RecordError(DeadReason.SCHEMA, f"{len(fields)} columns under a header of {len(self._columns)}")
        return self._answer(dict(zip(self._columns, fields, strict=True)), ts_us)

    def _answer(self, values: Mapping[str, Any], ts_us: int) -> Hit:
        """A hit out of ZMap's fields by name: texts of CSV or values of JSON."""
        ip, at = _host_port(str(_first(values, ADDRESS_COLUMNS) or ""))
        port = _first(values, PORT_COLUMNS)
        name = _first(values, NAME_COLUMNS)
        tcp = {ours: _integer(values, theirs) for theirs, ours in _TCP.items() if _present(values, theirs)}
        classification = values.get("classification") or values.get("response")
        return Hit(
            scan=self._scan,
            vantage=self._vantage,
            ts=_time(values, ts_us),
            ip=ip,
            port=self._port(at if at is not None else port),
            transport=self._transport,
            name=_name(name, literal=self._literal),
            probe=self._probe,
            classification=str(classification) if classification else LISTED,
            success=_flag(values, "success", default=values.get("response", _SYNACK) == _SYNACK),
            repeat=_flag(values, "repeat", default=_flag(values, "is_repeat", default=False)),
            cooldown=_flag(values, "cooldown", default=_flag(values, "in_cooldown", default=False)),
            ttl=_integer(values, "ttl"),
            source={"ip": values["daddr"], "port": _integer(values, "dport")} if _present(values, "daddr") else None,
            tcp=tcp if tcp and self._transport == "tcp" else None,
        )

    def _plain(self, fields: Sequence[str], ts_us: int) -> Hit:
        """A hit out of columns by position."""
        ip, at = _host_port(fields[0])
        second, third, fourth = (*fields[1:4], "", "", "")[:3]
        if len(fields) > 4:
            _no_target(f"{len(fields)} columns without a header")
        port, name, tag = (second, third, "") if second.isdigit() else (fourth, second, third)
        if second.isdigit() and (fourth or third.isdigit()):
            _no_target("columns without a header that are not ip,port,name")
        if at is not None and port:
            _no_target(f"two ports: {at} and {port}")
        asked = _name(name, literal=self._literal)
        return self._listed(ip, at if at is not None else port, ts_us, asked, tag[:MAX_TAG] or LISTED)

    def _listed(
        self, ip: str, port: str | None, ts_us: int, name: str | None = None, classification: str = LISTED
    ) -> Hit:
        return Hit(
            self._scan,
            ts_us,
            ip,
            self._port(port),
            self._vantage,
            self._transport,
            name,
            self._probe,
            classification,
        )

    def _port(self, value: object) -> int:
        """The port to ask, or the default for none. Raises RecordError (target)."""
        if value is None or value == "":
            if self._default_port is None:
                _no_target("no port, and no default port (-p)")
            return self._default_port
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
            _no_target(f"{value!r} is not a port")
        port = int(text)
        if port == 0 and self._connects:
            _no_target("port 0 cannot be connected to")
        return port


def _fields(text: str) -> list[str]:
    """The columns of a line; quoted ones may hold commas."""
    if '"' in text:
        try:
            return [field.strip() for field in next(csv.reader((text,), strict=True))]
        except csv.Error as error:
            raise RecordError(DeadReason.UNDECODABLE, f"not CSV: {error}") from None
    return [field.strip() for field in text.split(",")]


def _host_port(text: str) -> tuple[str, str | None]:
    """(address, port or None) of `ip`, `ip:port`, `[v6]`, `[v6]:port`, `v6`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _no_target(f"{text!r} is not [address]:port")
        if ":" not in host:
            _no_target(f"{host!r} is not an IPv6 address")
        return canonical(host), rest[1:] if rest else None
    host, colon, port = text.partition(":")
    if colon and ":" not in port:
        if not port:
            _no_target(f"{text!r}: no port behind the colon")
        return canonical(host), port
    return canonical(text), None


def _name(value: object, *, literal: bool) -> str | None:
    """A name to ask for. An address is none, as a server name is never an address (RFC 6066 section 3), unless
    `literal`."""
    if value is None or value == "":
        return None
    if is_ip(str(value)):
        return str(value).lower() if literal else None
    if not is_name(str(value)):
        _no_target(f"{value!r} is not a host name")
    return str(value).rstrip(".").lower()


def _present(values: Mapping[str, Any], key: str) -> bool:
    return values.get(key) not in (None, "")


def _first(values: Mapping[str, Any], columns: Sequence[str]) -> Any:
    return next((values[column] for column in columns if _present(values, column)), None)


def _integer(values: Mapping[str, Any], key: str) -> int | None:
    """An optional number, not negative. Raises RecordError (schema) if it is none."""
    if not _present(values, key):
        return None
    value = values[key]
    if isinstance(value, int) and value >= 0:
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        return int(value)
    raise RecordError(DeadReason.SCHEMA, f"{key} is {value!r}, not a number")


def _time(values: Mapping[str, Any], ts_us: int) -> int:
    """When the answer came, microseconds since the epoch; `ts_us` if the line does not say."""
    seconds = _integer(values, "timestamp_ts")
    if seconds is None:
        return _local_time(values["timestamp"]) if _present(values, "response") else ts_us
    if seconds > MAX_SECONDS:
        raise RecordError(DeadReason.SCHEMA, f"timestamp_ts is {seconds}, after the year 9999")
    return seconds * 1_000_000 + (_integer(values, "timestamp_us") or 0) % 1_000_000


def _local_time(value: object) -> int:
    """`extended_file` writes the time of its host, `2013-08-11 19:16:05.799`, without saying which that is: ours."""
    try:
        return int(dt.datetime.fromisoformat(str(value)).timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise RecordError(DeadReason.SCHEMA, f"timestamp is {value!r}, not a time") from None


def _flag(values: Mapping[str, Any], key: str, *, default: bool) -> bool:
    """ZMap's booleans: 0 and 1 in CSV, also true and false in JSON."""
    value = values.get(key)
    if value is None or value == "":
        return default
    if value in (0, 1, "0", "1", "true", "false"):
        return value in (1, "1", "true")
    raise RecordError(DeadReason.SCHEMA, f"{key} is {value!r}, not 0 or 1")
