"""Who does which part of which scan. Pure: time comes in, and what changed goes out to be kept (`take_changes`).

A scan begins as one part, all of its positions. An agent that asks gets a slice cut off the first part that fits it:
so many seconds of work at its own rate, fewer towards the end, so that all agents end at about the same time. It holds
the slice by a *lease*: a fencing token that only grows, and a deadline that each sign of life moves. What a lease has
done is kept up to the position it has shown; what is left when it is lost, given back or refused becomes a part again.
A message with the token of a lost lease changes nothing.

Two leases never cover the same position, so nothing is done twice but what a lost agent did and could not show, and a
sample: some positions of some slices are given to another agent too, and who has seen far less, or far more, than that
one is set aside. (Else an agent could say that it has scanned, and show the proof, and never have sent a packet.)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

import orjson

from stages.fleet.coverage import Done
from stages.fleet.messages import Capabilities, Slice
from stages.fleet.things import Agent, Change, Held, Job, Part
from stages.fleet.work import Work, proof

#: Seconds of work in a slice: what a lost agent costs at most; and at least, or asking and settling cost more than it.
SLICE_SECONDS: Final = 120.0
LEAST_SECONDS: Final = 5.0

#: Of what is left, an agent gets at most this share, divided by the agents there are (guided self-scheduling,
#: Polychronopoulos and Kuck 1987).
SHARE: Final = 0.5

#: Seconds until an agent for which there is nothing asks again.
WAIT: Final = 2.0

#: Times one after the other that an agent loses what it holds until it is set aside, and for how many seconds.
LOSSES: Final = 3
ASIDE_SECONDS: Final = 600.0

#: A slice that takes so many times as long as its agent's own rate says is taken back, and counts as lost. What else
#: its agent does, and how polite its grabs have to be, is its own affair: hence the factor, and the minutes for grabs.
SLOW: Final = 4.0
GRAB_SECONDS: Final = 600.0

#: One of so many slices of an agent is looked at again, the first one always: as much of it as should have so many
#: answers, by what the scan has found so far, but no more than so many seconds of work.
CHECK_EVERY: Final = 20
CHECK_ANSWERS: Final = 32
CHECK_SECONDS: Final = 10.0

#: Answers on either side below which a sample says nothing, and the share of them that both must have seen. One probe
#: finds 97 to 99 of a hundred (Wan et al. 2020), from elsewhere some 90; the half of it is no accident.
CHECK_LEAST: Final = 8
CHECK_SHARE: Final = 0.5

#: Agents that count as being there were heard so many seconds ago at most.
PRESENT: Final = 15.0

Ending = Literal["done", "lost", "refused", "returned", "wrong"]


class Fenced(Exception):
    """The token is of no lease that this agent holds."""


class Wrong(Exception):
    """What an agent says contradicts the work."""


class Ledger:
    """All of it, in memory; `state.py` keeps what `take_changes` returns."""

    def __init__(
        self, *, timeout: float, slice_seconds: float = SLICE_SECONDS, rng: random.Random | None = None
    ) -> None:
        """`rng`: draws the samples; without one there are none."""
        self._rng = rng
        self.timeout = timeout
        self.slice_seconds = slice_seconds
        self.wait = WAIT
        self.jobs: dict[str, Job] = {}
        self.parts: dict[int, Part] = {}
        self.leases: dict[int, Held] = {}
        self.agents: dict[str, Agent] = {}
        self.serial = 0  #: the last number given to a part, a lease or a line of the trace
        self._changes: dict[tuple[str, str], Change] = {}
        self._back = 0.0  # since then there is a coordinator

    # --- work

    def submit(self, work: Work, now: float) -> None:
        """Raises ValueError for a scan that is known with other contents; the same again is no second scan."""
        known = self.jobs.get(work.scan)
        if known is not None:
            if known.work != work:
                raise ValueError(f"scan {work.scan} exists, and is another one")
            return
        job = self.jobs[work.scan] = Job(work, now)
        self._keep_job(job)
        self._free(work.scan, 0, work.size, None, [])
        self._trace(now, "submitted", scan=work.scan, detail=f"{work.size} targets")

    def stop(self, scan: str, reason: str, now: float) -> None:
        """No slice of it is given away any more; those under way are told to stop."""
        job = self.jobs[scan]
        if not job.ended:
            job.stopped = reason
            job.ended = now
            self._keep_job(job)
            self._trace(now, "stopped", scan=scan, detail=reason)

    def hold(self, scan: str, reason: str, now: float) -> None:
        """Give no slice of it away for now, and have those under way brought back; without a reason it goes on."""
        job = self.jobs[scan]
        if not job.ended and job.waits != reason:
            job.waits = reason
            self._keep_job(job)
            self._trace(now, "held back" if reason else "goes on", scan=scan, detail=reason)

    def tell(self, job: Job, event: str) -> None:
        """The log has heard of the scan's `event`."""
        job.told.append(event)
        self._keep_job(job)

    # --- agents

    def hello(
        self, alias: str, can: Capabilities, clock: float, holds: Collection[int], now: float, *, process: str = ""
    ) -> Agent:
        """An agent begins. `holds`: tokens of leases whose results it has still to hand over; other leases that stand
        in its name were its forerunner's, which has left nothing of them. `process`: which of those with its
        certificate it is."""
        agent = self.agents.get(alias)
        if agent is None:
            agent = self.agents[alias] = Agent(alias, now, now)
        agent.version, agent.engine, agent.privileged = can.version, can.engine, can.privileged
        agent.probes, agent.grabs, agent.max_rate = can.probes, can.grabs, can.rate
        agent.started = agent.last_seen = now
        agent.process = process
        agent.skew = clock - now
        agent.rate, agent.pending = 0.0, 0
        for held in [h for h in self.leases.values() if h.agent == alias and h.token not in holds]:
            self._end(held, "returned", now, "its agent began anew")
        self._keep("agents", alias, asdict(agent))
        self._trace(now, "hello", agent=alias, detail=f"{can.version} {can.engine}")
        return agent

    def known(self, alias: str) -> None:
        """Raises Fenced for an agent that has not said hello."""
        self._agent(alias)

    def seen(self, alias: str, now: float) -> None:
        if (agent := self.agents.get(alias)) is not None:
            agent.last_seen = now

    def is_process(self, alias: str, process: str, now: float) -> bool:
        """Whether it was this one that said hello last: an agent is one process. Raises Fenced."""
        if self._agent(alias).process == process:
            return True
        detail = "another process with its certificate has come since: this one gets nothing"
        self._trace(now, "in use", agent=alias, detail=detail)
        return False

    def lease(self, alias: str, now: float, *, stopped: Callable[[str], bool] = lambda scan: False) -> Slice | str:
        """A slice, or why there is none now; `stopped`: of which scans none is given. Raises Fenced for an agent that
        has not said hello."""
        agent = self._agent(alias)
        agent.last_seen = now
        self._keep("agents", alias, asdict(agent))
        if agent.aside > now:
            return f"set aside for {agent.aside - now:.0f} s: {agent.why}"
        for held in self.leases.values():
            if (
                held.agent == alias and not held.begun and not stopped(held.scan)
            ):  # it never heard of it, or died before it began
                held.deadline = now + self.timeout
                return self._slice_of(held)
        part = self._fitting(agent, stopped)
        if part is None:
            return "nothing to do" if not self.parts else "nothing that fits"
        work = self.jobs[part.scan].work
        rate = min(agent.max_rate, work.max_rate or math.inf)
        first, last = part.first, part.first + self._slice(part, rate, now)
        if last == part.last:
            self._drop("parts", self.parts.pop(part.id).id)
        else:
            part.first = last
            self._keep("parts", part.id, asdict(part))
        self.serial += 1
        held = Held(
            self.serial, part.scan, alias, first, last, first, part.only, part.refused, rate, now, now + self.timeout,
            check=part.check, expected=part.expected, apart=part.apart,
        )  # fmt: skip
        self.leases[held.token] = held
        self._keep_lease(held)
        self._trace(now, "leased", scan=part.scan, agent=alias, token=held.token, detail=f"{first}-{last}")
        return self._slice_of(held)

    def begin(self, alias: str, token: int, digest: str, skipped: tuple[str, ...], now: float) -> None:
        """Raises Fenced; Wrong for another layout, which gives the slice to another agent."""
        held = self._held(alias, token, now)
        work = self.jobs[held.scan].work
        if digest != work.digest:
            self._end(held, "wrong", now, f"lays out other targets ({digest})")
            self._set_aside(self.agents[alias], now, "it lays out other targets: another version, or other lists")
            raise Wrong("your layout of the targets is another one: the versions of the two sides differ")
        if skipped and held.only is not None and not set(skipped) <= set(held.only):
            self._end(held, "wrong", now, "skips what it was not asked for")
            raise Wrong("skipped: networks that are not part of the slice")
        if held.begun and skipped != held.skipped:
            raise Wrong("skipped: was another list before")
        held.begun, held.skipped = True, skipped
        self._keep_lease(held)

    def progress(
        self, alias: str, token: int, position: int, shown: str, *,
        sent: int, rate: float, pending: int, finished: bool, now: float,
    ) -> str:  # fmt: skip
        """All before `position` is done. Returns why the agent should stop, or nothing. Raises Fenced, Wrong."""
        held = self._held(alias, token, now)
        agent, job = self.agents[alias], self.jobs[held.scan]
        if not held.begun and position > held.first:
            raise Wrong("position: the slice was not begun")
        if not held.at <= position <= held.last:
            self._end(held, "wrong", now, f"claims position {position} of {held.first}-{held.last}, was at {held.at}")
            raise Wrong(f"position: {position} is outside of {held.at}-{held.last}")
        if shown != proof(job.work.digest, held.first, position, held.only):
            self._end(held, "wrong", now, f"shows {shown} for {held.first}-{position}")
            raise Wrong("proof: it is not that of these positions")
        held.speed = 0.0 if finished else rate
        agent.rate = sum(one.speed for one in self.leases.values() if one.agent == alias)
        agent.pending = 0 if finished else pending  # the last word of a slice comes when all else of it has come
        grown = max(0, sent - held.sent)
        agent.sent += grown
        job.sent += grown
        held.sent += grown
        held.deadline = now + self.timeout
        changed = position > held.at
        held.at = position
        if position == held.last:
            agent.slices += 1
            agent.losses = 0
            self._end(held, "done", now, "")
        elif finished:
            self._end(held, "returned", now, f"ended at {position}")
        elif changed:
            self._keep_lease(held)
        self._keep("agents", alias, asdict(agent))
        if finished or not (job.stopped or job.waits):
            return ""
        return f"the scan was stopped: {job.stopped}" if job.stopped else f"the scan waits: {job.waits}"

    def refuse(self, alias: str, token: int, reason: str, now: float) -> None:
        """The agent will not do it. Raises Fenced."""
        held = self._held(alias, token, now)
        held.refused = [*held.refused, alias]
        self._end(held, "refused", now, reason)

    def results(self, alias: str, token: int, positions: Sequence[int], now: float) -> Held:
        """Results of these positions came under this token; what comes again, as its answer was lost, counts once.
        Raises Fenced."""
        held = self._held(alias, token, now)
        known = set(held.found)
        fresh = [position for position in dict.fromkeys(positions) if position not in known]
        held.hits += len(fresh)
        held.found += fresh
        agent, job = self.agents[alias], self.jobs[held.scan]
        agent.hits += len(fresh)
        agent.last_data = now
        if fresh:
            if not held.check:
                job.hits += len(fresh)
                self._keep_job(job)
            self._keep_lease(held)
            self._keep("agents", alias, asdict(agent))
        held.deadline = now + self.timeout
        return held

    def expire(self, now: float) -> list[Held]:
        """Take the slices of silent agents back, and of those that are far too slow. Returns their leases."""
        late = {held.token: f"silent for {self.timeout:.0f} s" for held in self.leases.values() if held.deadline < now}
        for held in self.leases.values():
            took, wanted = now - max(held.granted, self._back), self._seconds(held)
            if took > SLOW * wanted + self.timeout:
                late.setdefault(held.token, f"too slow: {took:.0f} s for {wanted:.0f} s of work")
        taken = [self.leases[token] for token in late]
        for held in taken:
            self._end(held, "lost", now, late[held.token])
        return taken

    def forget(self, alias: str, now: float, reason: str) -> None:
        """An agent that may not come back: what it holds is given to others."""
        for held in [h for h in self.leases.values() if h.agent == alias]:
            self._end(held, "lost", now, reason)

    def restarted(self, now: float) -> None:
        """The coordinator was away: nobody could show a sign of life, or how far it has come."""
        self._back = now
        for held in self.leases.values():
            held.deadline = max(held.deadline, now + self.timeout)

    # --- looked at

    def status(self, agent: Agent, now: float) -> Literal["online", "executing", "storing", "offline"]:
        """dnmap's four words."""
        if now - agent.last_seen > max(PRESENT, self.timeout):
            return "offline"
        if any(held.agent == agent.alias for held in self.leases.values()):
            return "executing" if agent.rate > 0 or not agent.pending else "storing"
        return "storing" if agent.pending else "online"

    def present(self, now: float) -> int:
        return sum(now - agent.last_seen <= PRESENT for agent in self.agents.values())

    def reached(self, scan: str) -> int:
        """Positions done of the whole scan, what is shown of leases under way included."""
        held = (h for h in self.leases.values() if h.scan == scan and h.only is None and not h.check)
        return self.jobs[scan].positions + sum(h.at - h.first for h in held)

    def waits_for(self, scan: str, now: float) -> str:
        """What none of the agents that are here can do of it; empty while one can, and when all is given away."""
        parts = [part for part in self.parts.values() if part.scan == scan and not part.check]
        if not parts or self.jobs[scan].ended:
            return ""
        here = [agent for agent in self.agents.values() if self.status(agent, now) != "offline" and agent.aside <= now]
        if not here:
            return "an agent"
        lacking = [[self._unfit(agent, part) for agent in here] for part in parts]
        if not all(all(whys) for whys in lacking):
            return ""
        return f"an agent that {' or '.join(sorted({why for whys in lacking for why in whys}))}"

    def take_changes(self) -> list[Change]:
        """What is to be kept since the last call, each thing as it is now."""
        changes, self._changes = list(self._changes.values()), {}
        return changes

    # --- within

    def _agent(self, alias: str) -> Agent:
        if alias not in self.agents:
            raise Fenced("say hello first")
        return self.agents[alias]

    def _held(self, alias: str, token: int, now: float) -> Held:
        agent = self._agent(alias)
        agent.last_seen = now
        held = self.leases.get(token)
        if held is None or held.agent != alias:
            raise Fenced(f"token {token} is of no lease of yours: the slice is somebody else's now")
        return held

    def _fitting(self, agent: Agent, stopped: Callable[[str], bool]) -> Part | None:
        for part in sorted(self.parts.values(), key=lambda part: not part.check):  # samples while the slice is fresh
            job = self.jobs[part.scan]
            if not (job.ended or job.waits or stopped(part.scan) or self._unfit(agent, part)):
                return part
        return None

    def _unfit(self, agent: Agent, part: Part) -> str:
        """What it takes to have it that this agent has not; empty if it can have it."""
        work = self.jobs[part.scan].work
        if work.agents and agent.alias not in work.agents:
            return f"is {' or '.join(work.agents[:3])}{', ...' if len(work.agents) > 3 else ''}"
        if work.probe not in agent.probes:
            return f"does probe module {work.probe}"
        # A sample is scanned again and not grabbed again: who is looked at twice is spoken to once.
        if not part.check and (missing := [grab for grab in work.grabs if grab not in agent.grabs]):
            return f"grabs {missing[0]}"
        return "may scan it" if agent.alias in part.refused else ""

    def _slice_of(self, held: Held) -> Slice:
        work = self.jobs[held.scan].work
        work = work.bare() if held.check else work
        return Slice(token=held.token, work=work, first=held.first, last=held.last, only=held.only, rate=held.rate)

    def _slice(self, part: Part, rate: float, now: float) -> int:
        """How many positions of the part this agent gets."""
        if part.check:
            return part.last - part.first
        left = sum(p.last - p.first for p in self.parts.values() if p.scan == part.scan and not p.check)
        share = left * SHARE / max(1, self.present(now))
        wanted = min(rate * self.slice_seconds, max(share, rate * LEAST_SECONDS))
        return min(part.last - part.first, max(1, math.ceil(wanted)))

    def _seconds(self, held: Held) -> float:
        """That the slice of a lease should take, by the rate that its agent has asked for."""
        work = self.jobs[held.scan].work
        attempts = work.probes * (1 + work.retries)
        probing = (held.last - held.first) * attempts / held.rate + work.retries * work.retry_interval
        return probing + work.cooldown + (GRAB_SECONDS if work.grabs and not held.check else 0.0)

    def _end(self, held: Held, how: Ending, now: float, detail: str) -> None:
        """The lease is over: what it has done counts, what it has not is to be done."""
        del self.leases[held.token]
        self._drop("leases", held.token)
        job = self.jobs[held.scan]
        if held.begun:
            job.agents[held.agent] = job.agents.get(held.agent, 0) + held.at - held.first
            self._keep_job(job)
        if held.check:
            self._checked(held, how, now)
        elif held.at > held.first:
            done = Done(held.first, held.at, held.only, held.skipped)
            job.done.append(done)
            self._keep("done", held.token, {"scan": held.scan, **asdict(done)})
            if held.skipped:
                self._free(held.scan, held.first, held.at, held.skipped, [*held.refused, held.agent])
            if how == "done":
                self._sample(held)
        if held.at < held.last and not held.check:
            self._free(held.scan, held.at, held.last, held.only, held.refused)
        if how == "lost":
            self._lost(self.agents[held.agent], now)
        elif how == "wrong":
            self._set_aside(self.agents[held.agent], now, detail)
        told = f"{held.first}-{held.at} of {held.last}" + (f": {detail}" if detail else "")
        self._trace(now, how, scan=held.scan, agent=held.agent, token=held.token, detail=told)
        self._close(job, now)

    def _close(self, job: Job, now: float) -> None:
        """The scan ends when nothing is left of it, and only if the union is exact."""
        scan = job.work.scan
        parts = any(part.scan == scan and not part.check for part in self.parts.values())
        busy = parts or any(held.scan == scan and not held.check for held in self.leases.values())
        if not busy and not job.ended:
            seen = job.coverage()
            if not seen.complete:
                for first, last, only in seen.missing:  # what we lost count of is done again
                    self._free(scan, first, last, only, [])
                return
            job.ended = now
            self._trace(now, "complete", scan=scan, detail=f"{seen.twice} positions twice")
        self._keep_job(job)

    def _sample(self, held: Held) -> None:
        """Have some of a slice done by another agent too, now and then."""
        agent = self.agents[held.agent]
        if self._rng is None or agent.slices % CHECK_EVERY != 1:
            return
        job = self.jobs[held.scan]
        most = max(1, math.ceil(held.rate * CHECK_SECONDS))
        wanted = math.ceil(CHECK_ANSWERS * job.sent / job.hits) if job.hits and job.sent else most
        size = min(held.last - held.first, most, max(1, wanted))
        first = held.first + self._rng.randrange(held.last - held.first - size + 1)
        expected = [position for position in held.found if first <= position < first + size]
        self.serial += 1
        part = Part(
            self.serial, held.scan, first, first + size, held.only, [held.agent], held.agent, expected, held.skipped
        )
        self.parts[part.id] = part
        self._keep("parts", part.id, asdict(part))

    def _checked(self, held: Held, how: Ending, now: float) -> None:
        """A sample was looked at: hold one agent's answers against the other's. Half of one says nothing."""
        agent = self.agents[held.check]
        if how != "done" or held.skipped:
            return
        mine, theirs = set(held.found), set(held.expected)
        agent.checks += 1
        self._keep("agents", agent.alias, asdict(agent))
        both = len(mine & theirs)
        for seen, what in ((mine, "has not found"), (theirs, "has found alone")):
            if len(seen) >= CHECK_LEAST and both < len(seen) * CHECK_SHARE:
                why = f"{what} {len(seen) - both} of {len(seen)} answers of a sample that {held.agent} scanned again"
                self._set_aside(agent, now, why)
                return

    def _lost(self, agent: Agent, now: float) -> None:
        agent.rate = 0.0
        if agent.last_seen < agent.lost:  # the same silence: it holds several slices at once
            return
        agent.losses, agent.lost = agent.losses + 1, now
        if agent.losses >= LOSSES:
            self._set_aside(agent, now, f"{agent.losses} slices lost one after the other")

    def _set_aside(self, agent: Agent, now: float, why: str) -> None:
        agent.aside, agent.why, agent.losses = now + ASIDE_SECONDS, why, 0
        self._keep("agents", agent.alias, asdict(agent))
        self._trace(now, "set aside", agent=agent.alias, detail=why)

    def _free(self, scan: str, first: int, last: int, only: tuple[str, ...] | None, refused: list[str]) -> None:
        self.serial += 1
        part = self.parts[self.serial] = Part(self.serial, scan, first, last, only, refused)
        self._keep("parts", part.id, asdict(part))

    def _trace(self, now: float, event: str, *, scan: str = "", agent: str = "", token: int = 0, detail: str) -> None:
        self.serial += 1
        body = {"at": now, "event": event, "scan": scan, "agent": agent, "token": token, "detail": detail}
        self._keep("trace", self.serial, body)

    def _keep_job(self, job: Job) -> None:
        body = {name: getattr(job, name) for name in ("submitted", "ended", "stopped", "waits", "sent", "hits")}
        body |= {"told": list(job.told), "agents": dict(job.agents), "work": job.work.model_dump(mode="json")}
        self._keep("jobs", job.work.scan, body)

    def _keep_lease(self, held: Held) -> None:
        self._keep("leases", held.token, asdict(held))

    def _keep(self, table: Any, key: object, body: dict[str, Any]) -> None:
        self._changes[table, str(key)] = Change(table, str(key), body)
        self._changes["meta", "serial"] = Change("meta", "serial", {"value": self.serial})

    def _drop(self, table: Any, key: object) -> None:
        self._changes[table, str(key)] = Change(table, str(key), None)

    # --- read back

    def restore(self, changes: Iterable[Change]) -> None:
        """Take what was kept, in any order, into an empty ledger."""
        kept = sorted(_bodies(changes), key=lambda each: (len(each[1]), each[1]))  # numbers in their order
        for table, key, body in kept:
            if table == "jobs":
                work = Work.model_validate_json(orjson.dumps(body.pop("work")))
                self.jobs[key] = Job(work=work, **body)
            elif table == "parts":
                body["apart"] = tuple(body["apart"])
                self.parts[int(key)] = Part(**{**body, "only": _tuple(body["only"])})
            elif table == "leases":
                body["skipped"], body["apart"] = tuple(body["skipped"]), tuple(body["apart"])
                self.leases[int(key)] = Held(**{**body, "only": _tuple(body["only"])})
            elif table == "agents":
                self.agents[key] = Agent(
                    **{**body, "probes": tuple(body["probes"]), "grabs": tuple(body.get("grabs", ()))}
                )
            elif table == "meta":
                self.serial = body["value"]
        for table, _, body in kept:
            if table == "done":
                done = Done(body["first"], body["last"], _tuple(body["only"]), tuple(body["skipped"]))
                self.jobs[body["scan"]].done.append(done)


def _bodies(changes: Iterable[Change]) -> Iterator[tuple[str, str, Any]]:
    return ((c.table, c.key, dict(c.body)) for c in changes if c.body is not None)


def _tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
