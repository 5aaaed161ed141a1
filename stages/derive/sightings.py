"""Which thing was seen where, from when till when: a certificate, its key, an SSH host key, at a service. Pure.

A sighting is a minimum and a maximum over observations, so folding some of them twice, or in another order, changes
nothing: the job may go over the same observations again. Only the leaf of a chain is sighted: an intermediate is
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stages.derive.sshkeys import ssh_key_of

Document = Mapping[str, Any]


class Thing(StrEnum):
    """What is sighted."""

    CERTIFICATE = "certificate"
    KEY = "key"
    SSH = "ssh"


@dataclass(slots=True)
class Sighting:
    """One thing at one service; `name`: what was asked for there, or empty."""

    thing: Thing
    hash: str  #: SHA-256 of the certificate, of its SubjectPublicKeyInfo, or of the host key's blob
    ip: str
    address: bytes
    port: int
    transport: str
    name: str
    first_seen: int
    last_seen: int


def leaf_of(observation: Document) -> str | None:
    """The SHA-256 of the certificate that a tls observation shows as its own."""
    chain = observation.get("chain")
    return chain[0] if chain else None


def fold(observations: Iterable[Document], keys: Mapping[str, str]) -> list[Sighting]:
    """The sightings of these observations, each thing and service once. `keys`: certificate -> hash of its key."""
    found: dict[tuple[Thing, str, bytes, int, str, str], Sighting] = {}
    for o in observations:
        for thing, digest in _things(o, keys):
            name = o.get("sni") or o.get("name") or ""
            ts = o["ts"]
            key = (thing, digest, o["address"], o["port"], o["transport"], name)
            known = found.get(key)
            if known is None:
                found[key] = Sighting(
                    thing, digest, o["ip"], o["address"], o["port"], o["transport"], name, first_seen=ts, last_seen=ts
                )
            else:
                known.first_seen = min(known.first_seen, ts)
                known.last_seen = max(known.last_seen, ts)
    return list(found.values())


def _things(o: Document, keys: Mapping[str, str]) -> Iterable[tuple[Thing, str]]:
    if o["kind"] == "tls":
        leaf = leaf_of(o)
        if leaf is not None:
            yield Thing.CERTIFICATE, leaf
            if leaf in keys:
                yield Thing.KEY, keys[leaf]
    elif o["kind"] == "banner":
        key = ssh_key_of(o)
        if key is not None:
            yield Thing.SSH, key
