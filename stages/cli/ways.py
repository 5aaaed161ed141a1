"""The ways to a coordinator: HTTPS, or a log that it reads too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stages.core.settings import BusSettings
    from stages.fleet import ca
    from stages.fleet.link import Way

#: What begins the URL of a log.
LOGS: Final = ("kafka:", "sqlite:")

#: Bytes of a box's name: random, so that nobody else has it.
BOX_BYTES: Final = 16

_UNFIT: Final = re.compile(r"[^A-Za-z0-9.,_-]")


def checked(url: str, bus: BusSettings) -> str:
    """In its one spelling: with port, or the first part of the topics' names. Raises UsageError."""
    if not url.startswith(LOGS):
        from stages.fleet import https

        return https.checked(url)
    from stages.core.bus.urls import open_publisher
    from stages.fleet.logway import place_of

    log, prefix = place_of(url, bus.prefix)
    open_publisher(log, bus)  # it says what is wrong with the URL
    return f"{log}/{prefix}" if log.startswith("kafka:") else log


def way_to(url: str, bus: BusSettings, identity: ca.Identity | None, *, authority: bytes | None = None) -> Way:
    """To the coordinator of a URL from `checked`. `identity` None: without a certificate; `authority`: the PEM to
    trust then, None: nobody is checked. Blocks on files. Raises UsageError, HostError."""
    if not url.startswith(LOGS):
        from stages.fleet.https import Client

        return Client(url, identity, authority=authority)
    import secrets
    import time

    from stages.core.bus.base import Topics
    from stages.core.bus.urls import open_publisher, open_tail
    from stages.core.errors import HostError
    from stages.fleet.envelope import Signer
    from stages.fleet.logway import LogWay, place_of

    signer = None
    if identity is not None:
        signer = Signer(identity)
        try:
            authority = identity.authority.read_bytes()
        except OSError as error:
            raise HostError(f"{identity.authority}: {error.strerror}") from None
    log, prefix = place_of(url, bus.prefix)
    topics, box = Topics(prefix), secrets.token_hex(BOX_BYTES)
    publisher, tail = open_publisher(log, bus), open_tail(log, topics.work, box.encode(), bus)
    return LogWay(url, publisher, tail, topics, box, signer=signer, authority=authority, clock=time.time)


def place(folder: Path, url: str) -> Path:
    """Where the certificate for one coordinator is: what our own user typed names it, nothing that came from there."""
    return folder / _UNFIT.sub("_", url.removeprefix("https://").replace("://", "_").replace("[", "").replace("]", ""))
