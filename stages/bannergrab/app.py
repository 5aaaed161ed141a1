"""A whole bannergrab: settings in, a runner out.

    runner = make_runner(settings, source=..., publisher=..., ...)
    summary = await runner.run()        # runner.stop() drains

What is heavy (sockets, the engines) is imported here and not by the settings.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from stages.bannergrab.formats import formatter
from stages.bannergrab.metrics import BannergrabMetrics
from stages.bannergrab.stage import BannergrabStage, GoOn, OpenEngine
from stages.core.descriptors import fit_concurrency, raise_descriptor_limit
from stages.core.errors import UsageError
from stages.core.grab import Reader
from stages.core.intake import LineReader, read_hit
from stages.core.metrics import Metrics
from stages.core.politeness import Gate
from stages.core.routing import Routing
from stages.core.runner import DEFAULT_HORIZON, Runner, RunnerMetrics
from stages.proto import ready
from stages.proto.banner import Script
from stages.proto.dialogues.registry import Named, talk_of
from stages.proto.payload import Payload
from stages.proto.until import parse_until

if TYPE_CHECKING:
    from stages.bannergrab.settings import BannergrabSettings
    from stages.core.bus.base import Publisher, Source, Topics
    from stages.core.job import Job
    from stages.core.politeness import Limits
    from stages.core.settings import RunnerSettings

#: What fits in one IPv4 datagram: 65,535 less the headers (RFC 791 3.1, RFC 768).
MAX_DATAGRAM: Final = 65_507

_DATA: Final = "-d/--data"

#: `--data template:FILE`: the file has ZMap's fields, not `%s`.
TEMPLATE: Final = "template:"

#: Bytes of the secret that random fields are drawn from.
_SECRET_BYTES: Final = 16


def load_payload(file: str) -> Payload:
    """Read a payload file; a bare name that is no file here may be one that comes with the program (`http-req`).

    Raises UsageError: missing, unreadable, too large, a field that there is not.
    """
    name = file.removeprefix(TEMPLATE)
    try:
        raw = ready.read(name)
        return Payload.parse(raw) if name == file else Payload.parse_fields(raw)
    except OSError as error:
        raise UsageError(_DATA, file, error.strerror or str(error)) from None
    except ValueError as error:
        raise UsageError(_DATA, file, str(error)) from None


def script_of(settings: BannergrabSettings) -> Script | Named:
    """What is said on every connection. Raises UsageError."""
    payload = load_payload(settings.data) if settings.data is not None else None
    if settings.over == "udp" and payload is not None:
        size = payload.max_length
        if not size:
            raise UsageError(_DATA, settings.data, "an empty datagram cannot be sent")
        if size > MAX_DATAGRAM:
            raise UsageError(_DATA, settings.data, f"{size} bytes; a datagram has at most {MAX_DATAGRAM}")
    script = Script(
        payload=payload,
        wait=settings.wait,
        first=settings.first,
        idle=settings.idle_timeout,
        total=settings.total_timeout,
        until=parse_until(settings.until) if settings.until is not None else None,
        secret=secrets.token_bytes(_SECRET_BYTES),
    )
    return talk_of(settings.talk, script)


def reader_of(settings: BannergrabSettings, *, shared: bool, scan: str, vantage: str) -> Reader:
    """How lines are read: `shared` logs hold records, a pipe whatever its users write (`stages.core.intake`)."""
    if shared:
        return read_hit
    return LineReader(settings.port, scan, vantage, transport=settings.over).read


def engine_of(settings: BannergrabSettings) -> OpenEngine:
    """The engine of the transport; opened inside the loop."""
    if settings.over == "udp":
        from stages.bannergrab.udp import UdpDialer

        return UdpDialer
    from stages.net.dialing import Dialer

    return partial(Dialer)


def make_stage(
    settings: BannergrabSettings,
    *,
    topics: Topics,
    shared: bool,
    blocked: Callable[[str], bool],
    text: bool = False,
    scan: str = "",
    vantage: str = "",
    metrics: Metrics | None = None,
    go_on: GoOn | None = None,
    alone: bool = False,
) -> BannergrabStage:
    """The stage. `shared`: a log that other stages read too (routing, records); otherwise a pipe. `text`: results go
    to a pipe, where `--format` holds. `scan`, `vantage`: of hits whose line does not name them. `go_on`: with the
    scanner's connections. `alone`: the log has no other reader, so that all of it is ours. Raises UsageError."""
    return BannergrabStage(
        settings,
        script_of(settings),
        topic=topics.banners,
        read=reader_of(settings, shared=shared, scan=scan, vantage=vantage),
        routing=Routing.for_banners(settings.ports, shared=shared and not alone),
        blocked=blocked,
        render=formatter((settings.format or "json") if text else "json", settings.port),
        metrics=BannergrabMetrics(metrics),
        open_engine=engine_of(settings),
        go_on=go_on,
    )


def make_runner(
    settings: BannergrabSettings,
    *,
    source: Source,
    publisher: Publisher,
    topics: Topics,
    runner: RunnerSettings,
    blocked: Callable[[str], bool],
    limits: Limits | None,
    shared: bool,
    text: bool = False,
    later: Source | None = None,
    horizon: float = DEFAULT_HORIZON,
    capacity: int | None = None,
    scan: str = "",
    vantage: str = "",
    metrics: Metrics | None = None,
    go_on: GoOn | None = None,
    alone: bool = False,
) -> Runner:
    """The runner of one bannergrab.

    `limits` None: no politeness. `capacity`: connections that this process may have open here, where several stages
    share its descriptors; default: what fits of `--concurrent` (a warning says when not all does). The rest is handed
    to `make_stage` and to `Runner`.
    """
    if capacity is None:
        capacity = fit_concurrency(settings.concurrent, raise_descriptor_limit()[0])
    metrics = metrics if metrics is not None else Metrics()
    stage = make_stage(
        settings,
        topics=topics,
        shared=shared,
        blocked=blocked,
        text=text,
        scan=scan,
        vantage=vantage,
        metrics=metrics,
        go_on=go_on,
        alone=alone,
    )
    gate: Gate[Job] | None = Gate(limits) if limits is not None else None
    return Runner(
        stage,
        source,
        publisher,
        settings=runner,
        gate=gate,
        topics=topics,
        metrics=RunnerMetrics(stage.name, metrics),
        capacity=min(settings.concurrent, capacity),
        later=later,
        horizon=horizon,
    )
