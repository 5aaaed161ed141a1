"""`longline notice serve`: sockets first, while there is the privilege; then the pages, until it is told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from stages.cli.notice import fresh
from stages.core.errors import LonglineError, UsageError
from stages.core.netset import NetSet
from stages.core.reload import Signature, signature

if TYPE_CHECKING:
    import socket
    import ssl

    from stages.core.settings import Loaded
    from stages.fleet.notice import Notice
    from stages.fleet.serving import Shown
    from stages.fleet.settings import NoticeSettings

log = logging.getLogger("longline.cli.notice")

#: Seconds between two looks at whether the certificate was renewed.
TICK: Final = 5.0


def serve(loaded: Loaded, settings: NoticeSettings, notice: Notice) -> int:
    import datetime as dt
    import os

    from stages.core.logs import set_up
    from stages.fleet.serving import Shown
    from stages.net import privileges

    if not settings.http and not settings.https:
        raise UsageError("--http", settings.http, "neither this nor --https: where?")
    set_up(os.environ)
    shown = None
    if settings.https:
        names = [notice.url.split("/")[2].partition(":")[0], *_single(notice)]
        shown = Shown(settings.certificate, settings.key, names, dt.datetime.now(dt.UTC))
    sockets = _bound(settings, shown)
    privileges.drop(privileges.KEPT & ~(1 << privileges.CAP_NET_BIND_SERVICE))
    return _serve(loaded, settings, notice, shown, sockets)


def _single(notice: Notice) -> list[str]:
    """Sources that are one address."""
    return [address for address in notice.addresses if "/" not in address and "-" not in address]


def _bound(settings: NoticeSettings, shown: Shown | None) -> list[tuple[socket.socket, ssl.SSLContext | None]]:
    from stages.fleet.serving import bound
    from stages.fleet.settings import parted

    made: list[tuple[socket.socket, ssl.SSLContext | None]] = []
    try:
        if settings.http:
            made.append((bound("--http", *parted(settings.http)), None))
        if shown is not None:
            made.append((bound("--https", *parted(settings.https)), shown.context))
    except LonglineError:
        for each, _ in made:
            each.close()
        raise
    return made


def _serve(
    loaded: Loaded,
    settings: NoticeSettings,
    notice: Notice,
    shown: Shown | None,
    sockets: Sequence[tuple[socket.socket, ssl.SSLContext | None]],
) -> int:
    import asyncio

    from stages.cli.assembly import watched
    from stages.core.lifecycle import Life, launch
    from stages.core.metrics import Metrics
    from stages.core.settings import MetricsSettings
    from stages.fleet.desk import SqliteDesk
    from stages.fleet.https import PageServer
    from stages.fleet.notice_site import MAX_BODY, Request, Response, Site

    async def main(life: Life) -> int:
        with_form = settings.form and shown is not None
        desk = await asyncio.to_thread(SqliteDesk, settings.requests) if with_form else None
        listed = Listed(settings.optout)
        site = Site(notice, desk, listed.read, fresh)

        async def answer(request: Request) -> Response:
            if site.needs_the_desk(request.path):
                return await asyncio.to_thread(site.answer, request, time.time())
            return site.answer(request, time.time())

        server = PageServer(answer, MAX_BODY)
        try:
            async with watched(loaded.get("metrics", MetricsSettings), Metrics(), {}):
                await server.start(sockets)
                for each, context in sockets:
                    host, port = each.getsockname()[:2]
                    log.info("the notice is at %s", f"http{'s' if context else ''}://{_in_url(host)}:{port}/")
                renewed = Renewed(settings, shown)
                while not life.stopping.is_set():
                    await asyncio.to_thread(renewed.look)
                    try:
                        async with asyncio.timeout(TICK):
                            await life.stopping.wait()
                    except TimeoutError:
                        pass
        finally:
            await server.close()
            if desk is not None:
                await asyncio.to_thread(desk.close)
        return 0

    return launch(main)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Listed:
    """The opt-out list, read again when its file changed; without a file nobody is on it. One that cannot be read
    leaves the old one in force."""

    def __init__(self, file: str) -> None:
        """Raises UsageError for a file that cannot be read now."""
        self._file = file
        self._lock = Lock()
        self._seen: Signature = None
        self._networks = NetSet()
        if signature(file) is None:
            log.warning("%s is not there: nobody is told that he is on the list", file)
        self._look()

    def read(self) -> NetSet:
        """Blocks."""
        with self._lock:
            try:
                self._look()
            except LonglineError as error:
                log.error("%s is not read again, the old list stays in force: %s", self._file, error)
            return self._networks

    def _look(self) -> None:
        seen = signature(self._file)
        if seen == self._seen or seen is None:
            return
        self._seen = seen  # what is wrong with it is told once, until it changes
        try:
            text = Path(self._file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("--optout", self._file, str(error)) from None
        self._networks = NetSet.parse(text.splitlines(), self._file)


class Renewed:
    """The certificate's files, read again when they changed."""

    def __init__(self, settings: NoticeSettings, shown: Shown | None) -> None:
        self._shown = shown
        self._files = [file for file in (settings.certificate, settings.key) if file is not None]
        self._seen = self._signatures()

    def look(self) -> None:
        """Blocks."""
        seen = self._signatures()
        if self._shown is None or seen == self._seen:
            return
        self._seen = seen
        try:
            self._shown.again()
        except LonglineError as error:
            log.error("the certificate is not read again, the old one is shown still: %s", error)
        else:
            log.info("the certificate was renewed")

    def _signatures(self) -> list[object]:
        return [signature(file) for file in self._files]
