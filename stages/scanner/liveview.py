"""The view of a scan on a terminal: a few lines that are drawn anew each second, in the place of a line a second.

      2:13   43%  #################-----------------------  about 2m56s left
    sent     1,234,567   10.0 Kp/s   9.98 Kp/s avg
    open        12,345    101 p/s     100 p/s avg   1.00% of probes
    lost             0   dropped by this host
    answers  synack 12,345  rst 2,345

`lines` is pure; `Screen` draws over what it drew before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from stages.scanner.progress import Progress, Sample, clock_text, left_text, rate_text

#: Characters of the bar.
BAR: Final = 40
#: Kinds of answers that are named, the most frequent ones.
KINDS: Final = 5
#: Columns of a terminal that does not tell.
WIDTH: Final = 80


def lines(progress: Progress, sample: Sample, kinds: Mapping[str, float], *, sending: bool) -> list[str]:
    """The view now; call it about once a second. `kinds`: answers by classification."""
    look = progress.look(sample, sending=sending)
    done = round(look.part * BAR)
    left = f"about {left_text(look.left)} left" if look.left is not None else ""
    sent = f"{rate_text(look.send)}p/s" if look.sending else "done"
    most = sorted(((count, name) for name, count in kinds.items() if count), reverse=True)[:KINDS]
    shown = [
        f"{clock_text(look.age):>8}  {look.part:4.0%}  {'#' * done}{'-' * (BAR - done)}  {left}",
        f"sent     {sample.sent:>14,}  {sent:>11}  {rate_text(look.send_average)}p/s avg",
        f"open     {sample.received:>14,}  {rate_text(look.receive) + 'p/s':>11}  "
        f"{rate_text(look.receive_average)}p/s avg  {look.hit_rate:.2%} of probes",
    ]
    if sample.banners:
        shown.append(f"banners  {sample.banners:>14,}  {rate_text(look.banners) + '/s':>11}")
    shown.append(f"lost     {sample.drops:>14,}  {rate_text(look.drops) + 'p/s':>11}  dropped by this host")
    shown.append("answers  " + "  ".join(f"{name} {count:,.0f}" for count, name in most))
    return shown


class Screen:
    """Draws on a terminal (ECMA-48: cursor to a line above, erase to the end of a line)."""

    def __init__(self, stream: TextIO, width: int = WIDTH) -> None:
        self._stream = stream
        self._width = width
        self._drawn = 0

    def draw(self, shown: Sequence[str]) -> None:
        """Raises OSError when nobody looks any more."""
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        rows = [f"{line[: self._width - 1]}\x1b[K\n" for line in shown]
        rows += ["\x1b[K\n"] * (self._drawn - len(shown))
        self._drawn = max(self._drawn, len(shown))
        self._stream.write(up + "".join(rows))
        self._stream.flush()
