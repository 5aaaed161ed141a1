"""Takes a lease as a scanner does, and holds it: `python -m tests.servers.hold_lease how ADDRESS FIRST LAST`.

    drop      capabilities are dropped (net.privileges.Setup); renewed until killed, or until standard input ends
    raise     an exception ends the process
    exit      sys.exit within the block
    forget    the lease is forgotten, not released, and the process ends

Prints the name of the table once it holds the lease.
"""

from __future__ import annotations

import select
import sys

from stages.net.firewall import Lease
from stages.net.privileges import CAP_NET_ADMIN, Setup, capabilities

#: Seconds between two renewals.
_RENEWAL = 0.02


def main(how: str, address: str, first: str, last: str) -> None:
    with Setup() as setup:
        lease = setup.run(lambda: Lease.take([address], (int(first), int(last))))
        assert not capabilities() >> CAP_NET_ADMIN & 1
        print(lease.table, flush=True)
        if how == "forget":
            return
        with lease:
            if how == "raise":
                raise RuntimeError("as asked")
            if how == "exit":
                sys.exit(3)
            while not select.select([sys.stdin], [], [], _RENEWAL)[0]:
                lease.renew()


if __name__ == "__main__":
    main(*sys.argv[1:])
