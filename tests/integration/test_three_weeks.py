"""Three weeks of a campaign from two places: what the schedule has swept, what is derived from it, and the truth.

Time is a number. Services go away for half an hour, as nobody can see, and for half a day; one probe of a hundred is
lost; one of the two places is sick for two days and sees nobody, its controls neither.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from stages.campaign.schedule import Lane
from stages.derive.availability import Rules, State, Swept, step
from tests.campaign.test_schedule import DAY, HOUR, T0, assert_alone, plan
from tests.campaign.world import Ran, World
from tests.derive import sweeps

SERVICES = [f"10.0.{n}.1" for n in range(40)]
RULES = Rules(misses=3, vantages=2)
WEEKS = 21 * DAY
LOSS = 0.01

#: From, to: alice sees nothing.
SICK = (T0 + 9 * DAY, T0 + 11 * DAY)

#: Seconds from one refresh to the next, and what it may be late.
REFRESH = HOUR
LATE = 10 * 60.0


def truth(draw: random.Random) -> dict[str, list[tuple[float, float]]]:
    """When each service is away, from, to."""
    away = defaultdict(list)
    for ip in SERVICES:
        at = T0 + draw.uniform(0.5, 3) * DAY
        while at < T0 + WEEKS - 2 * DAY:
            lasts = draw.uniform(12, 30) * HOUR if draw.random() < 0.4 else draw.uniform(0.1, 0.5) * HOUR
            if not HOUR < visible((at, at + lasts)) < 4 * HOUR:  # that could be seen or not
                away[ip].append((at, at + lasts))
            at += lasts + draw.uniform(0.5, 4) * DAY
    return away


def visible(span: tuple[float, float]) -> float:
    """For how long both places could see that the service is away."""
    start, end = span
    return end - start - max(0.0, min(end, SICK[1]) - max(start, SICK[0]))


def us(at: float) -> int:
    return round(at * 1e6)


def test_three_weeks_of_outages_are_those_of_the_truth() -> None:
    draw = random.Random(3)
    away = truth(draw)
    watch = plan(known_every=REFRESH, vantages=["local", "alice"])
    ran = World([watch], lambda lane: 5 * HOUR if lane.kind == "full" else 60.0, T0).run(T0 + WEEKS)
    assert_alone(ran)
    states: dict[str, State] = {}
    services: dict[str, dict[str, Any]] = {}
    downs: dict[str, list[list[int]]] = defaultdict(list)
    for sweep, turns in sorted(swept_of(ran).items(), key=lambda item: item[1][-1].ended):
        lane, number = sweep
        sick = lane.vantage == "alice" and any(turn.ended > SICK[0] and turn.began < SICK[1] for turn in turns)
        for ip in SERVICES:
            turn = draw.choice(turns)
            at = draw.uniform(turn.began, turn.ended)
            there = not any(start <= at < end for start, end in away[ip])
            seen = there and draw.random() > LOSS and not (lane.vantage == "alice" and SICK[0] <= at < SICK[1])
            if seen:
                known = services.setdefault(ip, {**sweeps.service(ip=ip), "first_seen": us(at), "last_seen": 0})
                known["last_seen"] = max(known["last_seen"], us(at))
                known["hit"] = {"ts": known["last_seen"], "id": "h", "scan": "s"}
        judged = Swept(
            f"{lane.kind}-{lane.vantage}-{number}", lane.vantage, us(turns[0].began), us(turns[-1].ended), not sick,
            True, sweeps.everything,
        )  # fmt: skip
        for ip, service in services.items():
            states[ip], events = step(service, states.get(ip), judged, RULES, {})
            for event in events:
                if event.type == "service_down":
                    downs[ip].append([event.details["down_since"], 0])
                elif event.type == "service_up" and "until" in event.details:
                    # A full sweep that has begun before all the others that missed it may end after they have.
                    assert event.details["down_since"] <= downs[ip][-1][0]
                    downs[ip][-1] = [event.details["down_since"], event.details["until"]]
    long = {ip: [span for span in spans if visible(span) > 4 * HOUR] for ip, spans in away.items()}
    assert sum(map(len, long.values())) > 50
    assert sum(map(len, away.values())) > 2 * sum(map(len, long.values())), "and more that nobody can see"
    for ip in SERVICES:
        assert len(downs[ip]) == len(long[ip]), (ip, downs[ip], long[ip])
        for (since, until), (start, end) in zip(downs[ip], long[ip], strict=True):
            assert us(start - REFRESH - LATE) <= since <= us(start + REFRESH + LATE), ip
            assert us(end) <= until <= us(end + REFRESH + LATE), ip


def swept_of(ran: list[Ran]) -> dict[tuple[Lane, int], list[Ran]]:
    """The turns of each sweep that was completed."""
    turns: dict[tuple[Lane, int], list[Ran]] = defaultdict(list)
    for each in sorted(ran, key=lambda each: each.began):
        turns[each.lane, each.number].append(each)
    return {sweep: found for sweep, found in turns.items() if found[-1].why == "complete"}
