"""Settings of `scan --grab` and `scan --hold`: what becomes of the connections that the scan opens.

What is said there, and the times for it, are those of bannergrab or tlsgrab; what is typed here wins over their
sections. Nothing heavy is imported: `longline --help` reads this file.
"""

from __future__ import annotations

from typing import Final

import pydantic

from stages.core.settings import Seconds, Section, Size, opt

#: Connections continued at once. A conversation takes a second or two, so it is some 25,000 banners a second.
DEFAULT_CONCURRENT: Final = 50_000

#: A banner is one record of at most MAX_RECORD_BYTES, base64 inside: 4/3 of this, and room (bannergrab's own bound).
LARGEST_MAX_BYTES: Final = 700_000

#: The words of --grab that are no payload file: part 3's certificate mode, and to say nothing and read.
TLS: Final = "tls"
WAIT: Final = "wait"

#: Seconds that the kernel stays quiet when the scan is over: later nobody goes on with a hit (--max-hit-age).
DEFAULT_HOLD: Final = 10.0


class GrabSettings(Section):
    """Grab: the scan goes on with the connections it opens"""

    what: str | None = opt(
        None,
        "--grab",
        metavar="WHAT",
        help="go on with each connection and print banners: a payload file as of bannergrab --data (http-req, FILE,"
        " template:FILE), wait, a dialogue of bannergrab --talk (ssh, esmtp, ...), or tls for certificates",
    )
    output: str | None = opt(
        None,
        "--grab-output",
        metavar="FILE",
        help="write banners there; default: where hits go, both as JSON Lines (-O hits, the default with --grab)",
    )
    concurrent: int = opt(
        DEFAULT_CONCURRENT, "--grab-concurrent", metavar="N", help="connections continued at once, at most", ge=1
    )
    wait: Seconds | None = opt(
        None, "--wait", metavar="SECONDS", help="with a payload: let the server speak first for so long"
    )
    read_timeout: Seconds | None = opt(
        None,
        "--read-timeout",
        metavar="SECONDS",
        help="seconds to wait for an answer; default: as the grab stages",
        gt=0,
    )
    idle_timeout: Seconds | None = opt(
        None, "--idle-timeout", metavar="SECONDS", help="seconds without a byte after the first one", gt=0
    )
    total_timeout: Seconds | None = opt(
        None, "--total-timeout", metavar="SECONDS", help="seconds for one conversation", gt=0
    )
    max_bytes: Size | None = opt(
        None, "--max-bytes", metavar="SIZE", help="bytes kept of one server, at most", gt=0, le=LARGEST_MAX_BYTES
    )
    hold: bool = opt(
        False,
        "--hold",
        help="leave connections open for `bannergrab --via raw` or `--via adopt`: this host resets none of them",
    )
    hold_time: Seconds = opt(
        DEFAULT_HOLD, "--hold-time", metavar="SECONDS", help="with --hold: for so long after the last answer", gt=0
    )

    @pydantic.model_validator(mode="after")
    def _together(self) -> GrabSettings:
        if self.hold and self.what is not None:
            raise ValueError("--hold leaves connections to another stage, --grab goes on with them here: one of them")
        if self.what is None:
            for name in ("output", "wait", "read_timeout", "idle_timeout", "total_timeout", "max_bytes"):
                if getattr(self, name) is not None:
                    flag = self.option(name).flags[0]
                    raise ValueError(f"{flag} is about --grab, and there is none")
        return self
