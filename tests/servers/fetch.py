"""What the servers and peers of the tests are made of, fetched before the tests run: `python -m tests.servers.fetch`.

The processes that run tests side by side cannot reach anything beyond loopback. What is not to be had here is left to
the test that needs it, which says so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Final

import pytest

from tests.servers import compose, images, kafka, mongo
from tests.servers.kustomize import kustomize
from tests.servers.pyjarm import pyjarm_home
from tests.servers.zgrab2 import zgrab2

#: What makes each of them, or says that it cannot.
PARTS: Final[dict[str, Callable[[], object]]] = {
    "Kafka": kafka.jars,
    "MongoDB wire server": mongo.jars,
    "zgrab2": zgrab2,
    "pyjarm": pyjarm_home,
    "images": images.build,
    "kustomize": kustomize,
    "compose": compose.reader,
}

#: What keeps one away; the others are fetched all the same.
_AWAY: Final = (OSError, RuntimeError, subprocess.SubprocessError, pytest.skip.Exception, pytest.fail.Exception)


def main() -> int:
    for name, fetch in PARTS.items():
        try:
            there = fetch()
        except _AWAY as error:
            there = None
            print(f"{name}: {error}", file=sys.stderr)
        print(f"{name}: {'ready' if there else 'not here'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
