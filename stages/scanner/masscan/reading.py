"""Any of masscan's files, told apart by its first bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stages.scanner.masscan.binary import MAGIC, read_binary
from stages.scanner.masscan.items import Item
from stages.scanner.masscan.lines import read_lines
from stages.scanner.masscan.objects import read_json, read_ndjson
from stages.scanner.masscan.xml import read_xml


def read_items(data: bytes) -> Iterator[Item]:
    """The items of a file in any of the formats. Raises ValueError that says where it is none."""
    head = data.lstrip()[:1]
    if data.startswith(MAGIC):
        return read_binary(data)
    if head == b"<":
        return read_xml(data)
    if head == b"[":
        return read_json(data)
    if head == b"{":
        return read_ndjson(data) if b'"rec_type"' in data.split(b"\n", 1)[0] else read_json(data)
    return read_lines(data)
