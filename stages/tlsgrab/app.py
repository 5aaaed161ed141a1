"""A whole tlsgrab: settings in, a runner out.

runner = make_runner(settings, source=..., publisher=..., ...)
summary = await runner.run()        # runner.stop() drains
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stages.core.descriptors import fit_concurrency, raise_descriptor_limit
from stages.core.grab import Reader
from stages.core.intake import LineReader, read_hit
from stages.core.metrics import Metrics
from stages.core.politeness import Gate
from stages.core.records import Tls
from stages.core.routing import Routing
from stages.core.runner import DEFAULT_HORIZON, Runner, RunnerMetrics
from stages.tlsgrab.metrics import TlsgrabMetrics
from stages.tlsgrab.modes import mode_of
from stages.tlsgrab.rules import judge_of
from stages.tlsgrab.stage import GoOn, TlsgrabStage

if TYPE_CHECKING:
    from stages.core.bus.base import Publisher, Source, Topics
    from stages.core.job import Job
    from stages.core.politeness import Limits
    from stages.core.settings import RunnerSettings
    from stages.tlsgrab.settings import TlsgrabSettings


def _zgrab2(record: Tls) -> bytes:
    from stages.core.zgrab2 import tls_line
    from stages.proto.x509.zcrypto import certificate_json

    return tls_line(record, certificate_json)


def make_runner(
    settings: TlsgrabSettings,
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
    """The runner of one tlsgrab.

    `shared`: a log that other stages read too (routing, records); otherwise a pipe. `text`: results go to a pipe, where
    `--format` holds. `limits` None: no politeness.
    `capacity`: connections that this process may have open here, where several stages share its descriptors; default:
    what fits of `--concurrent` (a warning says when not all does). `scan`, `vantage`: of hits whose line does not name
    them. `go_on`: with the scanner's connections. `alone`: the log has no other reader, so that all of it is ours.
    Raises UsageError: rules that cannot be read.
    """
    if capacity is None:
        capacity = fit_concurrency(settings.concurrent, raise_descriptor_limit()[0])
    metrics = metrics if metrics is not None else Metrics()
    judge = judge_of(settings.rules, settings.mode)
    read: Reader = (
        read_hit if shared else LineReader(settings.port, scan, vantage, literal_names=settings.sni_literal).read
    )
    stage = TlsgrabStage(
        settings,
        mode_of(settings, {} if judge is None else judge.hellos),
        topic=topics.tls,
        read=read,
        routing=Routing.for_tls(settings.ports, shared=shared and not alone),
        blocked=blocked,
        metrics=TlsgrabMetrics(metrics),
        judge=judge,
        render=_zgrab2 if text and settings.format == "zgrab2" else Tls.dump,
        go_on=go_on,
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
