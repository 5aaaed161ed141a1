"""Dial the targets given as arguments (`HOST PORT` pairs) inside this namespace; print what came of each as JSON."""

from __future__ import annotations

import json
import sys

from stages.bannergrab.endings import outcome_of
from tests.servers.dialling import Engine, script


def main() -> None:
    poller, loop, seconds, *rest = sys.argv[1:]
    targets = [(host, int(port)) for host, port in zip(rest[::2], rest[1::2], strict=True)]
    talk = script(b"hello %s\r\n\r\n", first=1.0, idle=1.0)
    got = Engine(poller, loop).converse(targets, talk.begin, connect_timeout=float(seconds))
    print(
        json.dumps(
            {
                one.host: {
                    "outcome": outcome_of(one),
                    "phase": one.phase,
                    "errno": one.errno,
                    "icmp": one.icmp,
                    "failed": one.failed,
                    "timed_out": one.timed_out,
                    "left_host": one.left_host,
                    "body": one.body.decode("latin-1"),
                    "fault": repr(one.fault) if one.fault else None,
                }
                for one in got
            }
        )
    )


if __name__ == "__main__":
    main()
