"""Reading allow and block lists from files.

A list that cannot be read as a whole is refused as a whole: half a blocklist is worse than an error. Who wants half
of it all the same says --ignore-blocklist-errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stages.core.errors import ListError, UsageError
from stages.core.netset import NetSet, Resolve, Span, parse_lines
from stages.core.settings import ListSettings
from stages.core.special import lifted_by

log = logging.getLogger("longline.core.lists")

#: Entries in memory before they are merged into ranges: bounds the memory of a list of many million addresses.
_MERGE_EVERY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Lists:
    """What the list files of a process say."""

    block: NetSet = field(default_factory=NetSet)
    allow: NetSet | None = None  #: None: no allowlist, everything is allowed
    lifts: frozenset[str] = frozenset()  #: special-purpose ranges that entries of the allowlist lie wholly inside
    named: bool = False  #: some entry is a host name: its addresses may change although no file does


def read_lists(settings: ListSettings, resolve: Resolve) -> Lists:
    """Read all files. Blocks on files and names: call it in a thread where a loop turns.

    Raises UsageError for a file that cannot be read and for an allowlist that allows nothing, ListError for a line.
    """
    on_error = _warn if settings.ignore_blocklist_errors else None
    block, _, named = _read(settings.blocklist_file, "--blocklist-file", resolve, on_error, lifting=False)
    if settings.exclude:
        spans = list(parse_lines(settings.exclude, "--exclude", resolve))
        block, named = block.union(NetSet.of(spans)), named or any(span.named for span in spans)
    if not settings.allowlist_file:
        return Lists(block=block, named=named)
    allow, lifts, also_named = _read(settings.allowlist_file, "--allowlist-file", resolve, on_error, lifting=True)
    if not allow:
        raise UsageError("--allowlist-file", ", ".join(settings.allowlist_file), "the allowlist is empty")
    return Lists(block, allow, lifts, named or also_named)


def lifts(spans: Iterable[Span]) -> frozenset[str]:
    """The special-purpose ranges that explicitly written targets lift; what a host name stands for lifts nothing."""
    return frozenset(network for span in spans if not span.named and (network := lifted_by(span)) is not None)


def _warn(error: ListError) -> None:
    log.warning("left out: %s", error)


def _read(
    files: Sequence[str],
    option: str,
    resolve: Resolve,
    on_error: Callable[[ListError], None] | None,
    *,
    lifting: bool,
) -> tuple[NetSet, frozenset[str], bool]:
    """(addresses, special ranges that its entries lift if they do, whether names are among them)."""
    result = NetSet()
    lifted: set[str] = set()
    named = False
    spans: list[Span] = []
    for file in files:
        try:
            with Path(file).open(encoding="utf-8") as lines:
                for span in parse_lines(lines, file, resolve, on_error=on_error):
                    spans.append(span)
                    named = named or span.named
                    if len(spans) >= _MERGE_EVERY:
                        lifted |= lifts(spans) if lifting else frozenset()
                        result = result.union(NetSet.of(spans))
                        spans.clear()
        except OSError as error:
            raise UsageError(option, file, error.strerror or str(error)) from None
        except UnicodeDecodeError as error:
            raise UsageError(option, file, f"not a text in UTF-8: {error.reason} at byte {error.start}") from None
    if lifting:
        lifted |= lifts(spans)
    return result.union(NetSet.of(spans)), frozenset(lifted), named
