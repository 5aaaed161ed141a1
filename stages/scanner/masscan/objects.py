"""masscan's JSON and NDJSON. Pure.

JSON is one array; between two objects stands a line with a comma, so that a line begins with `{` or is `,`. A whole
array stands in the file at all times (`stages.scanner.masscan.writing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final

import orjson

from stages.scanner.masscan.items import Banner, Item, State, Status, reason_of, reason_text
from stages.scanner.masscan.services import masscan_name
from stages.scanner.masscan.words import json_escaped, json_unescaped
from stages.scanner.masscan.writing import About, Data, whole_lines

_OPEN: Final = b"[\n"
_OBJECT_END: Final = b"}\n"
#: How old versions ended their array: no JSON.
_OLD_END: Final = b"{finished: 1}"


class BadJson(ValueError):
    """Not JSON, or no object of this kind; says where."""


class JsonWriter:
    """One array."""

    closed = True

    def __init__(self, about: About) -> None:
        del about
        self._first = True

    def begin(self) -> bytes:
        return _OPEN

    def items(self, items: Sequence[Item]) -> bytes:
        if not items:
            return b""
        text = ",\n".join([self._object(item) for item in items])
        if not self._first:
            text = ",\n" + text
        self._first = False
        return text.encode()

    def end(self, now: int) -> bytes:
        del now
        return b"]\n"

    def keep(self, data: Data) -> int:
        at = data.rfind(_OBJECT_END)
        if at >= 0:
            self._first = False
            return at + len(_OBJECT_END)
        return data.rfind(_OPEN) + len(_OPEN) if data.rfind(_OPEN) >= 0 else 0

    def _object(self, item: Item) -> str:
        if isinstance(item, Banner):
            what = f'"service": {{"name": "{masscan_name(item.service)}", "banner": "{json_escaped(item.data)}"}} '
        else:
            what = f'"status": "{item.state}", "reason": "{reason_text(item.reason)}", "ttl": {item.ttl}'
        return (
            f'{{   "ip": "{item.ip}",   "timestamp": "{item.ts}", "ports": '
            f'[ {{"port": {item.port}, "proto": "{item.proto}", {what}}} ] }}\n'
        )


class NdjsonWriter:
    """An object a line."""

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
        head = f'{{"ip":"{item.ip}","timestamp":"{item.ts}","port":{item.port},"proto":"{item.proto}","rec_type":'
        if isinstance(item, Banner):
            name, text = masscan_name(item.service), json_escaped(item.data)
            return f'{head}"banner","data":{{"service_name":"{name}","banner":"{text}"}}}}\n'
        reason = reason_text(item.reason)
        return f'{head}"status","data":{{"status":"{item.state}","reason":"{reason}","ttl":{item.ttl}}}}}\n'


def read_json(data: bytes) -> Iterator[Item]:
    """The items of an array; of one that was cut, those on whole lines. Raises BadJson."""
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        yield from _from_lines(data, str(error))
        return
    if not isinstance(whole, list):
        raise BadJson("no array of objects")
    for entry in whole:
        yield from _items(entry)


def _from_lines(data: bytes, problem: str) -> Iterator[Item]:
    """Of an array that no reader takes: an object stands on a line of its own."""
    *lines, _ = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        line = line.strip().rstrip(b",")
        if line in (b"", b"[", b"]", _OLD_END):
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadJson(f"line {number}, column {error.colno}: {line[:60]!r}: {problem}") from None
        yield from _items(entry)


def read_ndjson(data: bytes) -> Iterator[Item]:
    """The items of a file of lines; a last line without its end is left out. Raises BadJson."""
    *lines, _ = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadJson(f"line {number}, column {error.colno}: {line[:60]!r}: {error.msg}") from None
        yield _flat(_object(entry))


def _items(entry: Any) -> Iterator[Item]:
    entry = _object(entry)
    ports = entry.get("ports")
    if not isinstance(ports, list):
        raise BadJson(f"{str(entry)[:60]}: no list of ports")
    for port in ports:
        port = _object(port)
        kind, data = "status", port
        if port.get("service") is not None:
            said = _object(port["service"])
            kind, data = "banner", {"service_name": said.get("name"), "banner": said.get("banner")}
        yield _flat({**entry, **port, "rec_type": kind, "data": data})


def _flat(entry: dict[str, Any]) -> Item:
    try:
        ts, ip = _number(entry["timestamp"], 0xFFFFFFFF), str(ip_address(_text(entry["ip"])))
        proto, port, data = _text(entry["proto"]), _number(entry["port"], 0xFFFF), _object(entry["data"])
        if entry["rec_type"] == "banner":
            banner = json_unescaped(_text(data["banner"]))
            return Banner(ts, ip, proto, port, _text(data["service_name"]), banner)
        word = data["status"]
        state: State = "open" if word == "open" else "closed" if word == "closed" else "arp"
        if word != state:
            raise BadJson(f"{str(word)[:20]!r} is no state")
        return Status(ts, ip, proto, port, state, reason_of(_text(data["reason"])), _number(data["ttl"], 255))
    except KeyError as error:
        raise BadJson(f"{str(entry)[:60]}: no {error}") from None
    except ValueError as error:
        raise BadJson(f"{str(entry)[:60]}: {error}") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadJson(f"{str(value)[:40]!r} is no object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadJson(f"{str(value)[:40]!r} is no text")
    return value


def _number(value: Any, most: int) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 0 <= value <= most:
        raise BadJson(f"{str(value)[:20]!r} is no number up to {most}")
    return int(value)
