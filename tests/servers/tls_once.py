"""A tlsgrab over the addresses given as arguments, all on one port, inside this namespace; prints the records."""

from __future__ import annotations

import asyncio
import sys

from tests.tlsgrab.conftest import grab, hit


def main() -> None:
    port, *hosts = sys.argv[1:]
    lines = [hit((host, int(port))) for host in hosts]
    got = asyncio.run(grab(lines, conn_timeout=1.0, conn_timeout_min=1.0, handshake_timeout=1.0))
    print("\n".join(record.dump().decode() for record in got.records))


if __name__ == "__main__":
    main()
