"""`longline doctor --notice FILE`: asks DNS and the source addresses themselves, and nobody else."""

from __future__ import annotations

import datetime as dt
import http.client
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from stages.cli import notice_findings as findings
from stages.cli.findings import FAIL, Finding
from stages.core.errors import UsageError
from stages.net import confine

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.fleet.notice import Notice

#: Seconds for a page, and bytes of it that are read: the contact stands near its beginning.
SECONDS: Final = 5.0
MAX_PAGE: Final = 256 * 1024


class Asks(Protocol):
    """`dnsasking.Resolver`."""

    def reverse(self, ip: str) -> tuple[str, ...]: ...

    def forward(self, name: str, version: int) -> tuple[str, ...]: ...


def look(file: str, loaded: Loaded, resolver: Asks, http_port: int = 80, https_port: int = 443) -> Iterator[Finding]:
    """All findings. Blocks."""
    from stages.cli.notice import read_notice

    try:
        notice = read_notice(file)
    except UsageError as error:
        yield Finding(FAIL, "notice", str(error), "longline notice check")
        return
    yield findings.read(notice, file, dt.datetime.now(dt.UTC).date())
    looked_at, wide = findings.looked_at(notice)
    yield from map(findings.too_wide, wide)
    for ip in looked_at:
        yield _named(ip, resolver)
        yield _page(notice, ip, http_port, secure=False)
        yield _page(notice, ip, https_port, secure=True)
    yield _probe_text(notice, loaded)


def _named(ip: str, resolver: Asks) -> Finding:
    try:
        names = resolver.reverse(ip)
        back = [each for name in names for each in resolver.forward(name, 6 if ":" in ip else 4)]
    except OSError as error:
        return findings.unanswered("reverse DNS", ip, error.strerror or str(error))
    return findings.named(ip, names, back)


def _page(notice: Notice, ip: str, port: int, *, secure: bool) -> Finding:
    usual = 443 if secure else 80
    host = f"[{ip}]" if ":" in ip else ip
    where = f"http{'s' if secure else ''}://{host}{'' if port == usual else f':{port}'}/"
    try:
        confine.check_address(ip)
    except confine.ConfinedError as error:
        return findings.unanswered("notice", where, error.strerror or str(error))
    connection: http.client.HTTPConnection
    if secure:
        context = ssl.create_default_context()
        # An address shows whatever certificate it has; what matters here is that it answers.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(ip, port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(ip, port, timeout=SECONDS)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read(MAX_PAGE).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        return findings.page(notice, where, None, "", why or str(error) or type(error).__name__)
    finally:
        connection.close()
    return findings.page(notice, where, answer.status, body)


def _probe_text(notice: Notice, loaded: Loaded) -> Finding:
    from stages.bannergrab.settings import BannergrabSettings
    from stages.proto import ready
    from stages.proto.dialogues.base import Target
    from stages.proto.dialogues.http import request

    settings = loaded.get("bannergrab", BannergrabSettings)
    if settings.data is not None:
        try:
            said = ready.read(settings.data.removeprefix("template:"))
        except OSError as error:
            return findings.unanswered("probe text", settings.data, error.strerror or str(error))
        return findings.probe_text(notice, settings.data, said)
    if settings.talk in ("http", "identify"):
        return findings.probe_text(notice, f"--talk {settings.talk}", request(Target("192.0.2.1", 80)))
    return findings.probe_text(notice, "bannergrab", None)
