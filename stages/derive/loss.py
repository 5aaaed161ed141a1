"""How much a scan has missed: estimated, with the interval that holds the truth 19 times of 20. Pure.

*Capture and recapture*: some targets of a scan, drawn at random, are probed again. Of those that answer now, the scan
had found a part; what it had not found, it missed. That part is a proportion with Wilson's interval (Wilson 1927), good
also near 0 and 1, and with Chapman's estimator (Chapman 1951) it tells how many open targets there are in all. One
probe of ZMap's kind finds 97 to 99 of a hundred (Durumeric et al. 2013; Wan et al. 2020).

What it takes for granted: that the two probes of a target get lost independently of each other, and that between them
nobody comes or goes. Whoever answers neither time (a network that blocks this scanner) is in no estimate.

*Controls*: known responders, asked before, during and after. Less exact, but they see a line that is broken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Standard deviations to each side of 95 % of a normal distribution.
Z95: Final = 1.959964

#: Of 24 hours each is judged so much more strictly (Bonferroni), that a day is called odd without cause in one of 20.
Z_HOUR: Final = 3.08

#: Hits, and probes without one, that an hour and all others together should have had at least for it to be judged:
#: below, the normal approximation is none (Cochran 1954).
LEAST_EXPECTED: Final = 5.0


@dataclass(frozen=True, slots=True)
class Share:
    """A proportion and its interval, 0 to 1."""

    value: float
    low: float
    high: float

    @property
    def rest(self) -> Share:
        """What is missing to all."""
        return Share(1 - self.value, 1 - self.high, 1 - self.low)


def share(part: int, of: int, z: float = Z95) -> Share | None:
    """`part` of `of`, with Wilson's interval; None of nothing. Raises ValueError for more than all."""
    if not 0 <= part <= of:
        raise ValueError(f"{part} of {of}")
    if of == 0:
        return None
    p, zz = part / of, z * z
    middle = (p + zz / (2 * of)) / (1 + zz / of)
    half = z * math.sqrt(p * (1 - p) / of + zz / (4 * of * of)) / (1 + zz / of)
    return Share(p, 0.0 if part == 0 else max(0.0, middle - half), 1.0 if part == of else min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Population:
    """Open targets in all."""

    value: float
    low: float
    high: float  #: infinite when nothing was found twice


def population(first: int, second: int, both: int) -> Population:
    """Of how many `first` were found by a scan, when of `second` that were found again it had `both`: Chapman's
    estimator; its interval from that of the share. There are at least those that were seen, this time or that."""
    found = share(both, second)
    if found is None:
        return Population(float(first), float(first), math.inf)
    value = (first + 1) * (second + 1) / (both + 1) - 1
    low = max(float(first + second - both), first / found.high)
    high = max(low, first / found.low) if found.low else math.inf
    return Population(min(max(value, low), high), low, high)


def odd_hours(by_hour: Mapping[str, Sequence[int]]) -> list[str]:
    """Hours of the day whose hit rate is not that of the others: two proportions, by the normal approximation with the
    pooled variance. `by_hour`: hour -> [probes, open targets]; of these no more than probes count, as an answer may
    come an hour after its probe."""
    hours = {hour: (sent, min(hits, sent)) for hour, (sent, hits) in by_hour.items()}
    probes, found = sum(sent for sent, _ in hours.values()), sum(hits for _, hits in hours.values())
    odd = []
    for hour, (here, hits) in sorted(hours.items()):
        others = probes - here
        if probes == 0 or min(here, others) * min(found, probes - found) < LEAST_EXPECTED * probes:
            continue
        pooled = found / probes
        deviation = math.sqrt(pooled * (1 - pooled) * (1 / here + 1 / others))
        if abs(hits / here - (found - hits) / others) > Z_HOUR * deviation:
            odd.append(hour)
    return odd


def estimate(
    *,
    found: int,
    sent: int,
    icmp: int,
    sample: tuple[int, int, int] | None,
    controls: tuple[int, int],
    by_hour: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """What stands in the scan's record. `sample`: (targets probed again, that answered, of these found before);
    `controls`: (asked, answered), all looks together. What is not known is None."""
    asked, answered = controls
    again = None if sample is None else share(sample[2], sample[1])
    loss, by = (again, "sample") if again is not None else (share(answered, asked), "controls")
    lost = None if loss is None else loss.rest
    there = None if sample is None or again is None else population(found, sample[1], sample[2])
    said: dict[str, Any] = {
        "loss": None if lost is None else round(lost.value, 6),
        "loss_low": None if lost is None else round(lost.low, 6),
        "loss_high": None if lost is None else round(lost.high, 6),
        "loss_by": None if lost is None else by,
        "sampled": 0 if sample is None else sample[0],
        "sample_found": 0 if sample is None else sample[1],
        "sample_both": 0 if sample is None else sample[2],
        "controls": asked,
        "controls_answered": answered,
        "found": found,
        "sent": sent,
        "hit_rate": round(found / sent, 9) if sent else None,
        "icmp": icmp,
        "icmp_rate": round(icmp / sent, 9) if sent else None,
        "by_hour": {hour: list(pair) for hour, pair in sorted(by_hour.items())},
        "odd_hours": odd_hours(by_hour),
    }
    if there is not None and math.isfinite(there.high):
        said |= {"open": round(there.value), "open_low": math.floor(there.low), "open_high": math.ceil(there.high)}
    return said
