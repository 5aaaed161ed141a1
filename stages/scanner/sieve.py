"""Lines that begin with an address, let through or not: what `longline blocklist` does with each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stages.core.lists import Lists
from stages.core.netset import NetSet, parse_address
from stages.core.special import default_blocks


class Sieve:
    """Remembers what it let through: the addresses as numbers, some 60 bytes each."""

    def __init__(self, lists: Lists, *, default_blocklist: bool, once: bool, strict: bool) -> None:
        """`once`: each address passes once. `strict`: what is no address is dropped."""
        block = lists.block.union(default_blocks()) if default_blocklist else lists.block
        self._block: NetSet = block
        self._allow = lists.allow
        self._seen: set[tuple[int, int]] | None = set() if once else None
        self._strict = strict

    def passed(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines that pass, each with its end; the last may come without one."""
        for line in lines:
            text = line.strip()
            if text and self._passes(text):
                yield line if line.endswith(b"\n") else line + b"\n"

    def _passes(self, text: bytes) -> bool:
        try:
            version, number = key = parse_address(text.partition(b",")[0].strip().decode("ascii"))
        except ValueError:
            return not self._strict
        if number in (self._block.v4 if version == 4 else self._block.v6):
            return False
        if self._allow is not None and number not in (self._allow.v4 if version == 4 else self._allow.v6):
            return False
        if self._seen is None:
            return True
        if key in self._seen:
            return False
        self._seen.add(key)
        return True
