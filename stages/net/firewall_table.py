"""One lease's table in the kernel, by nft: set up and verified, renewed, deleted; and what dead owners left."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from stages.net import firewall_rules as rules
from stages.net import nft
from stages.net.firewall_owner import life

#: Seconds that the kernel keeps the addresses beyond the lease, so that the keeper is the first to notice.
SLACK_SECONDS: Final = 10
#: Another's transaction may come between: deleting is tried at once, and again after so many seconds.
RETRY_SECONDS: Final = (0.0, 0.1, 0.5, 1.0)


class Table:
    """`name` is "" while it is not there."""

    def __init__(self, program: str, rule: rules.Rule, mark: rules.Mark, expiry: int) -> None:
        """`program`: where nft is. `expiry`: seconds of the lease."""
        self.name = ""
        self.rule = rule
        self.sparing = True  #: what belongs to sockets of this host is let through
        self._nft = program
        self._mark = mark
        self._expiry = expiry + SLACK_SECONDS

    def create(self, name: str) -> None:
        """Raises nft.Exists: there is one of that name; FirewallError, Forbidden, Missing."""
        try:
            self._load(rules.setup(name, self.rule, self._mark, self._expiry, sparing=True))
        except (nft.Forbidden, nft.Missing, nft.Exists):
            raise
        except nft.FirewallError:  # a kernel without nft_socket, or an nft that does not know it
            self._load(rules.setup(name, self.rule, self._mark, self._expiry, sparing=False))
            self.sparing = False
        self.name = name
        listing = nft.run(self._nft, "-j", "list", "table", "ip", name)
        try:
            rules.verify(listing, self.rule, self._mark, sparing=self.sparing)
        except ValueError as error:
            raise nft.FirewallError(f"nft did not set up what it was told: {error}") from None

    def renew(self) -> None:
        """The time of the addresses begins anew. Raises nft.Absent: somebody deleted the table; FirewallError."""
        self._load(rules.renewal(self.name, self.rule, self._expiry))

    def remove(self) -> None:
        """Idempotent, raises nothing: what could not be deleted ends by its time, and the next lease clears it."""
        name, self.name = self.name, ""
        if not name:
            return
        for pause in RETRY_SECONDS:
            time.sleep(pause)
            try:
                nft.run(self._nft, "delete", "table", "ip", name)
                return
            except nft.Absent:
                return
            except OSError:
                continue

    def _load(self, text: str) -> None:
        nft.run(self._nft, "-f", "-", text=text)


def clear(program: str) -> tuple[list[str], list[str]]:
    """Delete what dead owners left: names of the tables that are not ours, and of those that were deleted.

    A table with a name of our kind is left alone if it has no mark of ours, or one of an owner that cannot be judged.
    Raises FirewallError.
    """
    foreign, cleared = [], []
    for name in rules.tables(nft.run(program, "-j", "list", "tables", "ip")):
        try:
            mark = rules.mark_of(nft.run(program, "-j", "list", "table", "ip", name))
        except nft.Absent:  # its owner has just taken it away
            continue
        except (nft.Forbidden, nft.Missing):
            raise
        except (nft.FirewallError, ValueError):  # holds what this nft cannot show: not what ours hold
            mark = None
        if mark is None:
            foreign.append(name)
        elif life(mark) == "dead":
            with suppress(nft.Absent):
                nft.run(program, "delete", "table", "ip", name)
                cleared.append(name)
    return foreign, cleared
