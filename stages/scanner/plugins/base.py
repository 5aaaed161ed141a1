"""What a plugin is: a class with some methods, of which each does nothing unless it is written.

    on_start -> (on_sent | keeps | on_result | on_progress)* -> on_end

The calls (but `keeps`) come from one thread that is the plugin's own, never two at a time. A slow one makes the scan
wait: answers queue up behind it, and above a bound sending pauses; receiving goes on. What it raises ends the scan,
with the plugin's name in the message and exit code 1; what was written by then is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from stages.scanner.rows import Answer
    from stages.scanner.spec import ScanSpec
    from stages.scanner.summary import Counters, Summary


@dataclass(frozen=True, slots=True)
class Sent:
    """Positions [first, last) of the scan's order, whose first probes have left."""

    first: int
    last: int
    of: Callable[[int, int], tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]]

    def targets(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        """Addresses (u32, host order) and ports (u16; 0 for probes without ports), in the order of sending. IPv4."""
        return self.of(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the scan is: once a second."""

    position: int  #: targets probed, of `last`
    last: int
    success: int  #: open targets so far
    written: int  #: results so far
    counters: Counters


class Plugin:
    """Base of all plugins. Made once a scan: `Class()`, or `Class(argument)` where one was given."""

    #: What is said to the answers that `on_result` returns, a word of --grab: wait, ssh, http-req, tls, or a file.
    #: Their records go where banners go. None: it returns nothing.
    grab: ClassVar[str | None] = None

    def on_start(self, spec: ScanSpec) -> None:
        """Before the first packet. The specification is frozen."""

    def on_sent(self, sent: Sent) -> None:
        """Some targets were probed; a few times a second, each target once."""

    def on_result(self, answers: Sequence[Answer]) -> Iterable[Answer] | None:
        """Results, as they are written: what the output filter lets through. Returns those to be talked to."""

    def keeps(self, answers: Sequence[Answer]) -> Iterable[bool]:
        """Which answers are results, one word for each: a filter beside --output-filter. Others are counted, and that
        is all. Unlike the other methods it is called on the thread that receives: be quick, or packets are lost."""
        return [True] * len(answers)

    def on_progress(self, progress: Progress) -> None:
        """Once a second."""

    def on_end(self, summary: Summary) -> None:
        """The scan has ended, or was stopped; `summary.reason` tells. Not called when an error ended it."""
