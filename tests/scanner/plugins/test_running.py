"""Calls reach plugins in order, in a thread of their own, each position once; a fault ends the scan."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from stages.scanner.answers import SYNACK
from stages.scanner.plugins.base import Plugin, Progress, Sent
from stages.scanner.plugins.running import PROGRESS_SECONDS, PluginFailed, Plugins
from stages.scanner.rows import Answer, connected
from stages.scanner.spec import ScanSpec
from stages.scanner.summary import Counters, Summary


class Noted(Plugin):
    grab = "wait"

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.threads: set[int] = set()

    def note(self, *what: Any) -> None:
        self.calls.append(what)
        self.threads.add(threading.get_ident())

    def on_start(self, spec: ScanSpec) -> None:
        self.note("start", spec.last)

    def on_sent(self, sent: Sent) -> None:
        self.note("sent", sent.first, sent.last, sent.targets())

    def on_result(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        self.note("result", len(answers))
        return answers[1:]

    def on_progress(self, progress: Progress) -> None:
        self.note("progress", progress.position)

    def on_end(self, summary: Summary) -> None:
        self.note("end", summary.reason)


def answer(position: int) -> Answer:
    return connected(0x0A000001, 80, SYNACK, ts=0, rtt=None)._replace(position=position)


def at(position: int) -> Progress:
    return Progress(position, 8, 0, 0, Counters())


async def settled(plugins: Plugins) -> None:
    """What was handed over before is done: there is one thread."""
    await plugins._run(lambda: None)


async def test_calls_in_their_order(spec: ScanSpec, summary: Summary) -> None:
    noted = Noted()
    plugins = Plugins([noted], lambda first, last: (first, last))
    await plugins.begin(spec, 1)
    plugins.look(10.0, at(3))
    await settled(plugins)
    plugins.look(10.1, at(5))  # too soon for anything
    await settled(plugins)
    plugins.look(10.5, at(6))
    await settled(plugins)
    plugins.look(10.0 + PROGRESS_SECONDS, at(6))  # nothing was sent since
    await settled(plugins)
    batch = [answer(2), answer(4)]
    await plugins.write(batch)
    assert plugins.chosen(batch) == [batch[1]]
    await plugins.write([])
    await plugins.end(8, summary)
    await plugins.close()
    assert noted.calls == [
        ("start", spec.last),
        ("sent", 1, 3, (1, 3)),
        ("progress", 3),
        ("sent", 3, 6, (3, 6)),
        ("progress", 6),
        ("result", 2),
        ("sent", 6, 8, (6, 8)),
        ("end", "complete"),
    ]
    assert len(noted.threads) == 1
    assert threading.get_ident() not in noted.threads


async def test_who_is_busy_is_told_later_and_more(spec: ScanSpec, summary: Summary) -> None:
    free, begun = threading.Event(), threading.Event()

    class Slow(Noted):
        def on_progress(self, progress: Progress) -> None:
            begun.set()
            assert free.wait(60)

    slow = Slow()
    plugins = Plugins([slow], lambda first, last: None)
    await plugins.begin(spec, 0)
    plugins.look(1.0, at(2))
    assert begun.wait(60)
    for second in range(2, 6):
        plugins.look(float(second), at(second + 1))
    free.set()
    await plugins.end(8, summary)
    await plugins.close()
    assert [call[1:3] for call in slow.calls if call[0] == "sent"] == [(0, 2), (2, 8)]


@pytest.mark.parametrize("method", ["on_start", "on_sent", "on_result", "on_progress", "on_end"])
async def test_a_fault_names_plugin_and_method(method: str, spec: ScanSpec, summary: Summary) -> None:
    def broken(self: Plugin, *what: object) -> None:
        raise KeyError("lost")

    plugins = Plugins([type("Broken", (Plugin,), {method: broken})()], lambda first, last: None)

    async def whole() -> None:
        await plugins.begin(spec, 0)
        plugins.look(1.0, at(1))
        await settled(plugins)
        plugins.look(2.0, at(2))
        await plugins.write([answer(0)])
        await plugins.end(8, summary)

    with pytest.raises(PluginFailed, match=rf"^plugin Broken: {method}: KeyError: 'lost'$"):
        await whole()
    await plugins.close()


async def test_who_says_nothing_can_have_nobody_talked_to() -> None:
    class Silent(Plugin):
        def on_result(self, answers: Sequence[Answer]) -> Sequence[Answer]:
            return answers

    plugins = Plugins([Silent()], lambda first, last: None)
    with pytest.raises(PluginFailed, match="returns answers, but its `grab` says nothing"):
        await plugins.write([answer(0)])
    await plugins.close()
