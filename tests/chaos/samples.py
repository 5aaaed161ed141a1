"""One record of each topic, as the stages write them, and whether a line is a record at all."""

from __future__ import annotations

from stages.core.bus.base import Topics
from stages.core.errors import RecordError
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Hit, Scan, Tls, parse

_TS = 1_795_245_000_000_000

#: A port that no grab of the experiment takes: what stays readable is passed over.
PORT = 9


def samples(topics: Topics) -> list[tuple[str, bytes]]:
    """(topic, line)"""
    at = ("poison", _TS, "10.0.0.1", PORT)
    hit = Hit(*at)
    banner = Banner(*at, Outcome.OK, Phase.READ, data=b"hello")
    tls = Tls(*at, Outcome.OK, Phase.CERTIFICATE)
    scan = Scan("poison", _TS, "progress", "here", None, {"sent": 1}, 1)
    return [
        (topics.hits, hit.dump()),
        (topics.banners, banner.dump()),
        (topics.tls, tls.dump()),
        (topics.scans, scan.dump()),
    ]


def readable(line: bytes) -> bool:
    """Whether it is a record; what a stage makes of it is another matter."""
    try:
        parse(line)
    except RecordError:
        return False
    return True
