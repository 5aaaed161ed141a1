"""Answers counted as ZMap counts them: in all and unique, in the cooldown, by port. For the metadata and the summary.

It stands between engine and delivery (`stages.scanner.chosen`), on the engine's thread, and works on whole arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from stages.scanner.answers import ICMP, KNOCK, RST, SUCCESSES, AnswerArray
from stages.scanner.rows import Answer, rows

#: Values of a byte.
_BYTE: Final = 256


def _lookup(kinds: tuple[int, ...]) -> Any:
    found = np.zeros(_BYTE, np.bool_)
    found[list(kinds)] = True
    return found


_SUCCESS: Final = _lookup(SUCCESSES)


@dataclass(slots=True)
class Counts:
    """Successes are SYN-ACKs, echo replies, ...; what is unique is no repeat."""

    success_total: int = 0
    success_unique: int = 0
    cooldown_total: int = 0  #: successes in the cooldown
    cooldown_unique: int = 0
    failure_total: int = 0  #: all that are no success
    rst_total: int = 0
    rst_unique: int = 0
    icmp_total: int = 0
    app: Callable[[Answer], object] | None = None  #: says of an answer whether the application meant yes, where it can
    app_total: int = 0
    app_unique: int = 0
    ports: Counter[int] = field(default_factory=Counter)  #: unique successes by the target's port

    def add(self, answers: AnswerArray | list[Answer]) -> None:
        """Count them."""
        if isinstance(answers, list):
            kind = np.array([row.kind for row in answers], np.uint8)
            repeat = np.array([row.repeat for row in answers], np.uint8)
            cooldown = np.array([row.cooldown for row in answers], np.uint8)
            port = np.array([row.port for row in answers], np.uint16)
        else:
            kind, repeat, cooldown, port = (answers[name] for name in ("kind", "repeat", "cooldown", "port"))
        success, first, cooling = _SUCCESS[kind], repeat == 0, cooldown != 0
        rst = (kind == RST) | (kind == KNOCK)
        self.success_total += int(success.sum())
        self.success_unique += int((success & first).sum())
        self.cooldown_total += int((success & cooling).sum())
        self.cooldown_unique += int((success & cooling & first).sum())
        self.failure_total += int((~success).sum())
        self.rst_total += int(rst.sum())
        self.rst_unique += int((rst & first).sum())
        self.icmp_total += int((kind == ICMP).sum())
        if self.app is not None:
            for row in answers if isinstance(answers, list) else rows(answers):
                if self.app(row):
                    self.app_total += 1
                    self.app_unique += not row.repeat
        ports, many = np.unique(port[success & first], return_counts=True)
        self.ports.update(dict(zip(ports.tolist(), many.tolist(), strict=True)))
