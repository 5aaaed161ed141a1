"""Whether what an agent hands over as grabbed is what it was asked for. Pure.

An agent may lie about what a server has said, as about an open port; it cannot speak for another scan, another agent,
a target that is not in its slice, or in words that nobody has asked for. What is kept is the record as we have read
it, written anew: lengths and hashes in it are our own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stages.core.chains import chain_hashes
from stages.core.outcome import Via
from stages.core.records import Banner, Hit, Tls, record_id
from stages.core.routing import Routing
from stages.fleet.work import PAYLOADS, BannerGrab, TlsGrab, Work
from stages.proto import ready
from stages.proto.banner import Script
from stages.proto.payload import Payload

#: Certificates of one chain, as tlsgrab bounds them.
MAX_CHAIN: Final = 256

#: Plans at hand: one is made for each scan.
_MAX_PLANS: Final = 64


def probe_of(asked: BannerGrab) -> str:
    """The name of the dialogue, as it is in records."""
    if asked.say not in PAYLOADS:
        return asked.say
    return Script(payload=Payload.parse(ready.read_shipped(asked.say)), wait=asked.wait).probe


@lru_cache(_MAX_PLANS)
def _of_banners(asked: BannerGrab) -> tuple[str, Routing]:
    return probe_of(asked), Routing.for_banners(asked.ports, shared=True)


@lru_cache(_MAX_PLANS)
def _of_tls(asked: TlsGrab) -> Routing:
    return Routing.for_tls(asked.ports, shared=True)


def wrong(record: Banner | Tls, work: Work) -> str:
    """Why this record cannot be of this work; empty if it can. Scan, agent and place are looked at by others."""
    if record.name is not None or record.transport != "tcp" or record.via is not Via.CONNECT:
        return "a conversation that nobody asked for"
    if record.control is not None:
        return "a control that nobody asked for"
    hit = record_id("hit", record.scan, work.probe, "tcp", record.ip, record.port)
    if record.hit != hit:
        return "a conversation whose hit is another's"
    return _wrong_banner(record, work.banner) if isinstance(record, Banner) else _wrong_tls(record, work.tls)


def _wrong_banner(banner: Banner, asked: BannerGrab | None) -> str:
    if asked is None:
        return "a banner, and none was asked for"
    probe, routing = _of_banners(asked)
    if banner.probe != probe or not routing.takes(banner.port):
        return "a banner of another dialogue or port than was asked for"
    if len(banner.data) > asked.max_bytes or banner.datagrams is not None:
        return f"a banner of {len(banner.data)} bytes, at most {asked.max_bytes} were asked for"
    made = record_id("banner", banner.scan, banner.probe, "tcp", banner.ip, banner.port, None, banner.via)
    return "" if banner.id == made else "a record whose id is another's"


def _wrong_tls(tls: Tls, asked: TlsGrab | None) -> str:
    if asked is None:
        return "a handshake, and none was asked for"
    if tls.mode != asked.mode or not _of_tls(asked).takes(tls.port):
        return "a handshake of another mode or port than was asked for"
    if tls.rules is not None or tls.jarm is not None or tls.answers is not None:
        return "a handshake with what was not asked for"
    size = sum(map(len, tls.certificates))
    if len(tls.certificates) > MAX_CHAIN or size > asked.max_bytes:
        return f"a chain of {len(tls.certificates)} certificates, {size} bytes"
    if tls.chain != chain_hashes(tls.certificates):
        return "a chain whose certificates are others"
    made = record_id("tls", tls.scan, tls.via, "tcp", tls.ip, tls.port, None, tls.mode)
    return "" if tls.id == made else "a record whose id is another's"


def made_by(hit: Hit) -> str:
    """The id that a hit must have."""
    return record_id("hit", hit.scan, hit.probe, hit.transport, hit.ip, hit.port, hit.name)
