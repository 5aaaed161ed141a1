"""What the kernel is told so that it stays quiet, as nft(8) writes it, and what it says when asked (nft -j). Pure.

One table a lease, in the family ip:

    set addresses     the scan's source addresses, each with a timeout: should everybody who could take the rule away
                      be killed, it matches nothing any more once the timeout has passed
    chain quiet       prerouting, before `raw`, so that neither connection tracking nor TCP sees what is dropped; packet
                      sockets saw it before
        1. accept     what belongs to a socket of this host: an adopted connection, and any other program's whose port
                      the kernel chose among ours
        2. drop       SYN-ACKs (`synack`) or every TCP packet (`tcp`) to one of the addresses and ports; its comment is
                      the mark of the owner

`accept` ends this chain only: what others have hooked sees these packets as before. A table is ours if its name is of
our kind and its rule bears a mark; whether the owner lives is known by its pid, the start time of that pid, and the
boot and the pid namespace in which they hold (proc(5)).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Literal

What = Literal["synack", "tcp"]
WHATS: Final[tuple[What, ...]] = ("synack", "tcp")

#: Source addresses of one scan; a /22 of them.
MAX_ADDRESSES: Final = 1024
#: Before `raw` (-300), where rules of others that count or mark begin; after reassembly (-400).
PRIORITY: Final = -310
NAME: Final = re.compile(r"longline_(\d{1,10})_(\d{1,5})")

_MARK: Final = re.compile(r"longline pid=(\d{1,10}) start=(\d{1,20}) boot=([0-9a-f-]{36}) pidns=(\d{1,20})")
_PORTS: Final = 65_536


@dataclass(frozen=True)
class Mark:
    """Whose a table is. At most 128 bytes as text: nft takes no longer comment."""

    pid: int
    start: int  #: clock ticks after boot
    boot: str
    pidns: int  #: inode of the pid namespace in which `pid` counts

    def __str__(self) -> str:
        return f"longline pid={self.pid} start={self.start} boot={self.boot} pidns={self.pidns}"

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        found = _MARK.fullmatch(text)
        return cls(int(found[1]), int(found[2]), found[3], int(found[4])) if found else None


@dataclass(frozen=True)
class Rule:
    """What is dropped. Raises ValueError naming what is wrong."""

    addresses: tuple[str, ...]
    ports: tuple[int, int]  #: first and last
    what: What

    def __post_init__(self) -> None:
        if not 1 <= len(self.addresses) <= MAX_ADDRESSES:
            raise ValueError(f"{len(self.addresses)} source addresses: 1 to {MAX_ADDRESSES} are possible")
        for address in self.addresses:
            IPv4Address(address)  # its ValueError names the text
        first, last = self.ports
        if not 0 < first <= last < _PORTS:
            raise ValueError(f"source ports {first}-{last} are no range between 1 and {_PORTS - 1}")
        if self.what not in WHATS:
            raise ValueError(f"{self.what!r} is none of {', '.join(WHATS)}")

    def covers(self, address: str, port: int, what: What) -> bool:
        return self.what == what and address in self.addresses and self.ports[0] <= port <= self.ports[1]


def _elements(addresses: tuple[str, ...], expiry: int) -> str:
    return ", ".join(f"{address} timeout {expiry}s" for address in dict.fromkeys(addresses))


def _match(rule: Rule) -> str:
    first, last = rule.ports
    ports = str(first) if first == last else f"{first}-{last}"
    # A RST is not to be dropped, and what else is set beside SYN and ACK does not matter to whom it is for.
    flags = " tcp flags & (syn | rst | ack) == (syn | ack)" if rule.what == "synack" else ""
    return f"ip daddr @addresses tcp dport {ports}{flags}"


def setup(table: str, rule: Rule, mark: Mark, expiry: int, *, sparing: bool) -> str:
    """One transaction: all of it is there, or nothing. `expiry` in seconds.

    `sparing` False leaves rule 1 out, for kernels without nft_socket.
    """
    spare = f"add rule ip {table} quiet {_match(rule)} socket transparent {{ 0, 1 }} counter accept\n"
    return (
        f"create table ip {table}\n"
        f"add set ip {table} addresses {{ type ipv4_addr; flags timeout; }}\n"
        f"add element ip {table} addresses {{ {_elements(rule.addresses, expiry)} }}\n"
        f"add chain ip {table} quiet {{ type filter hook prerouting priority {PRIORITY}; policy accept; }}\n"
        f"{spare if sparing else ''}"
        f'add rule ip {table} quiet {_match(rule)} counter drop comment "{mark}"\n'
    )


def renewal(table: str, rule: Rule, expiry: int) -> str:
    """The timeouts anew, in one transaction: no packet finds the set empty."""
    return (
        f"flush set ip {table} addresses\n"
        f"add element ip {table} addresses {{ {_elements(rule.addresses, expiry)} }}\n"
    )  # fmt: skip


def tables(listing: str) -> list[str]:
    """Names of our kind in what `nft -j list tables ip` said. Raises ValueError."""
    names = (str(entry["name"]) for kind, entry in _entries(listing) if kind == "table" and entry["family"] == "ip")
    return [name for name in names if NAME.fullmatch(name)]


def mark_of(listing: str) -> Mark | None:
    """The mark in what `nft -j list table` said; None if there is none. Raises ValueError."""
    rules = [entry for kind, entry in _entries(listing) if kind == "rule"]
    marks = {mark for rule in rules if (mark := Mark.parse(str(rule.get("comment", "")))) is not None}
    return marks.pop() if len(marks) == 1 else None


def verify(listing: str, rule: Rule, mark: Mark, *, sparing: bool) -> None:
    """Raise ValueError, saying what differs, unless `nft -j list table` shows what `setup` asked for."""
    entries = _entries(listing)
    chains = [entry for kind, entry in entries if kind == "chain"]
    hooks = [(chain.get("hook"), chain.get("prio"), chain.get("policy")) for chain in chains]
    if hooks != [("prerouting", PRIORITY, "accept")]:
        raise ValueError(f"chains are hooked as {hooks}")
    there = {address for kind, entry in entries if kind == "set" for address in _addresses(entry.get("elem", []))}
    if there != set(rule.addresses):
        raise ValueError(f"addresses are {', '.join(sorted(there)) or 'none'}")
    rules = [entry for kind, entry in entries if kind == "rule"]
    verdicts = ["accept", "drop"] if sparing else ["drop"]
    if [next(iter(entry["expr"][-1])) for entry in rules] != verdicts:
        raise ValueError(f"rules are {[entry['expr'] for entry in rules]}")
    if Mark.parse(str(rules[-1].get("comment", ""))) != mark:
        raise ValueError(f"the mark is {rules[-1].get('comment')!r}")
    first, last = rule.ports
    wanted: dict[str, list[Any]] = {"daddr": ["@addresses"], "dport": [first if first == last else [first, last]]}
    if rule.what == "synack":
        wanted["flags"] = [["ack", "syn"]]
    for entry in rules:
        if (found := _matches(entry["expr"])) != wanted:
            raise ValueError(f"a rule matches {found}")


def dropped(listing: str) -> int:
    """Packets that the drop rule has counted in what `nft -j list table` said."""
    return sum(
        int(part["counter"]["packets"])
        for kind, entry in _entries(listing)
        if kind == "rule" and "drop" in entry["expr"][-1]
        for part in entry["expr"]
        if "counter" in part
    )


def _entries(listing: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        found = json.loads(listing)["nftables"]
        return [(kind, entry) for item in found for kind, entry in item.items() if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"nft did not answer in JSON: {listing[:80]!r}") from None


def _addresses(elements: list[Any]) -> list[str]:
    return [str(element["elem"]["val"] if isinstance(element, dict) else element) for element in elements]


def _matches(expressions: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Field of a header: what it is compared with. Versions of nft write lists of flags in their own ways."""
    found: dict[str, list[Any]] = {}
    for match in (part["match"] for part in expressions if "match" in part):
        left, right = match["left"], match["right"]
        if "&" in left:
            left = left["&"][0]
        if "payload" not in left:
            continue
        if isinstance(right, dict):
            right = next(iter(right.values()))
        if left["payload"]["field"] == "flags":
            right = sorted(right) if isinstance(right, list) else right
        found.setdefault(left["payload"]["field"], []).append(right)
    return found
