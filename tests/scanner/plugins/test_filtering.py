"""Plugins as filters: over arrays and over rows, beside the scan's own, and what happens when one breaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from stages.scanner.filters import compile_filter
from stages.scanner.plugins.base import Plugin
from stages.scanner.plugins.filtering import filtered
from stages.scanner.plugins.running import PluginFailed
from stages.scanner.rows import Answer, rows
from tests.servers.answers import array


class Odd(Plugin):
    def keeps(self, answers: Sequence[Answer]) -> Iterable[bool]:
        return (answer.position % 2 == 1 for answer in answers)


class Broken(Plugin):
    def keeps(self, answers: Sequence[Answer]) -> Iterable[bool]:
        return []


ANSWERS = array(*({"position": at, "port": 80 + at // 4} for at in range(8)))


def test_both_must_let_it_through() -> None:
    wanted = filtered(compile_filter("sport = 80", "tcp_synscan"), [Plugin(), Odd()])
    assert not wanted.everything
    assert wanted.mask(ANSWERS).tolist() == [False, True, False, True] + [False] * 4
    assert [wanted.keeps(row) for row in rows(ANSWERS)] == wanted.mask(ANSWERS).tolist()


def test_without_such_a_plugin_nothing_changes() -> None:
    own = compile_filter("", "tcp_synscan")
    assert filtered(own, [Plugin()]) is own
    assert filtered(own, [Odd()]).mask(ANSWERS).sum() == 4


def test_who_says_too_little_has_failed() -> None:
    with pytest.raises(PluginFailed, match="plugin Broken: keeps: ValueError"):
        filtered(compile_filter("", "tcp_synscan"), [Broken()]).mask(ANSWERS)
