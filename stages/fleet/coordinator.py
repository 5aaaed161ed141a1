"""What a coordinator answers. No sockets here: `https.py` brings requests, with the certificate that was shown.

What an answer promises is committed before it is given. What comes from an agent is trusted by nobody: messages are
typed and bounded, a token must be of a lease that this agent holds now, and results must be of targets that stand at
the positions of that lease.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

import orjson

from stages import __version__
from stages.core.bus.base import Output, Publisher, Topics
from stages.core.errors import RecordError, Unavailable, UsageError
from stages.core.netset import NetSet
from stages.core.records import MAX_RECORD_BYTES, Hit, Scan, parse, prefix_key
from stages.fleet import ca, messages
from stages.fleet.ledger import Fenced, Ledger, Wrong
from stages.fleet.messages import MAX_RESULTS, PROTOCOL, Order
from stages.fleet.metrics import FleetMetrics
from stages.fleet.state import State
from stages.fleet.things import Held, Job
from stages.fleet.work import Strict, Work, netset

log = logging.getLogger("longline.fleet.coordinator")

#: Scans whose layout is kept at hand.
MAX_LAYOUTS: Final = 16


class Layout(Protocol):
    """Where the targets of one work stand."""

    def position(self, ip: str, port: int) -> int | None:
        """None: not a target."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of HTTP (RFC 9110 section 15) and a message."""

    status: int
    body: bytes


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Coordinator:
    """One for all agents. `tick` it every second."""

    def __init__(
        self,
        state: State,
        authority: ca.Authority,
        ledger: Ledger,
        publisher: Publisher,
        topics: Topics,
        *,
        layout: Callable[[Work], Layout],
        clock: Callable[[], float],
        metrics: FleetMetrics,
    ) -> None:
        """`clock`: seconds since the epoch. `layout` blocks a little."""
        self.ledger = ledger
        self._state = state
        self._authority = authority
        self._publisher = publisher
        self._topics = topics
        self._layout_of = layout
        self._clock = clock
        self._metrics = metrics
        self._good: dict[str, str] = {}
        self._layouts: dict[str, Layout] = {}
        self._optouts = messages.Optouts(version="", networks=())
        self._routes: Mapping[str, Callable[[str, bytes], Strict]] = {
            "/v1/hello": self._hello,
            "/v1/lease": self._lease,
            "/v1/begin": self._begin,
            "/v1/progress": self._progress,
            "/v1/refuse": self._refuse,
            "/v1/optout": self._optout_list,
            "/v1/check": self._check,
        }

    async def start(self) -> None:
        """Read what was kept. Raises HostError, Unavailable."""
        self.ledger.restore(self._state.things("jobs", "parts", "leases", "agents", "done", "meta"))
        self.ledger.restarted(self._clock())
        self._good = await self._state.good()
        self._metrics.watch(self.ledger, self._clock)

    def leave_alone(self, networks: Sequence[str]) -> None:
        """Who wants to be left alone, from now on: each agent hears of it with the next answer that it gets."""
        version = blake2b("\n".join(networks).encode(), digest_size=8).hexdigest() if networks else ""
        if version != self._optouts.version:
            self._optouts = messages.Optouts(version=version, networks=tuple(networks))
            log.info("%d networks want to be left alone", len(networks))

    async def tick(self) -> frozenset[str]:
        """What time brings. Returns the serial numbers of certificates that have just been revoked."""
        now = self._clock()
        self.ledger.expire(now)
        taken = []
        for number, what, body in await self._state.asked():
            taken.append(number)
            self._asked(what, body, now)
        good = await self._state.good()
        gone = self._good.keys() - good.keys()
        for alias in {self._good[serial] for serial in gone} - set(good.values()):
            self.ledger.forget(alias, now, "its certificate was revoked")
        self._good = good
        await self._tell(now)
        await self._state.keep(self.ledger.take_changes(), taken)
        return frozenset(gone)

    async def handle(self, path: str, serial: str | None, token: str, body: bytes) -> Answer:
        """One request; `serial` is that of the certificate that was shown, None without one. Raises HostError when the
        state cannot be kept: nothing may be answered then."""
        try:
            if path == "/v1/authority":
                said: Strict = messages.Enrolled(certificate="", authority=self._authority.pem.decode())
            elif path == "/v1/enrol":
                said = await self._enrol(body)
            else:
                alias = self._alias(serial)
                if path == "/v1/results":
                    said = await self._results(alias, token, body)
                elif path in self._routes:
                    said = self._routes[path](alias, body)
                else:
                    raise _Refused(404, f"no such way: {path[:100]}")
            answer = Answer(200, messages.dump(said))
        except _Refused as refused:
            answer = self._problem(refused.status, str(refused))
        except (ValueError, UsageError) as error:
            answer = self._problem(400, str(error))
        except Fenced as fenced:
            answer = self._problem(409, str(fenced))
        except Wrong as wrong:
            answer = self._problem(422, str(wrong))
        except Unavailable as error:
            log.warning("results cannot be written now: %s", error)
            answer = self._problem(503, "the coordinator cannot write now; try again")
        await self._state.keep(self.ledger.take_changes())
        return answer

    def _alias(self, serial: str | None) -> str:
        if serial is None:
            raise _Refused(401, "no certificate: enrol first (longline agent --token)")
        alias = self._good.get(serial)
        if alias is None:
            raise _Refused(403, "this certificate was revoked, or is not one of ours")
        self.ledger.seen(alias, self._clock())
        return alias

    def _problem(self, status: int, why: str) -> Answer:
        self._metrics.refused.add(1, str(status))
        return Answer(status, messages.dump(messages.Problem(error=why[:500])))

    # --- requests

    async def _enrol(self, body: bytes) -> messages.Enrolled:
        wanted = messages.parse(messages.Enrol, body)
        _same_protocol(wanted.protocol)
        now = self._clock()
        hashed = ca.hash_of(wanted.token)
        alias = await self._state.alias_of(hashed, now)
        if alias is None:
            raise _Refused(403, "token: unknown, used already, or too old")
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        certificate, serial, ends = self._authority.agent(wanted.request.encode(), alias, moment)
        if await self._state.spend_token(hashed, now, serial, ends) != alias:
            raise _Refused(403, "token: used already")
        self._good = await self._state.good()
        log.info("agent %s is enrolled", alias)
        return messages.Enrolled(certificate=certificate.decode(), authority=self._authority.pem.decode())

    def _hello(self, alias: str, body: bytes) -> Strict:
        hello = messages.parse(messages.Hello, body)
        _same_protocol(hello.protocol)
        now = self._clock()
        agent = self.ledger.hello(alias, hello.capabilities, hello.clock, hello.holds, now)
        welcome = messages.Welcome(
            protocol=PROTOCOL,
            optout=self._optouts.version,
            version=__version__,
            timeout=self.ledger.timeout,
            skew=round(agent.skew, 3),
        )
        return welcome

    def _lease(self, alias: str, body: bytes) -> Strict:
        given = self.ledger.lease(alias, self._clock())
        if isinstance(given, str):
            return messages.Lease(optout=self._optouts.version, wait=self.ledger.wait, reason=given)
        return messages.Lease(optout=self._optouts.version, slice=given)

    def _begin(self, alias: str, body: bytes) -> Strict:
        begin = messages.parse(messages.Begin, body)
        netset(begin.skipped, "skipped")
        self.ledger.begin(alias, begin.token, begin.digest, begin.skipped, self._clock())
        return Order()

    def _progress(self, alias: str, body: bytes) -> Strict:
        said = messages.parse(messages.Progress, body)
        stop = self.ledger.progress(
            alias, said.token, said.position, said.proof,
            sent=said.sent, rate=said.rate, pending=said.pending, finished=said.finished, now=self._clock(),
        )  # fmt: skip
        return Order(optout=self._optouts.version, stop=bool(stop), reason=stop)

    def _check(self, alias: str, body: bytes) -> Strict:
        """`longline agent --check`: the certificate is taken."""
        return Order()

    def _optout_list(self, alias: str, body: bytes) -> Strict:
        return self._optouts

    def _refuse(self, alias: str, body: bytes) -> Strict:
        said = messages.parse(messages.Refuse, body)
        self.ledger.refuse(alias, said.token, said.reason, self._clock())
        return Order()

    # --- results

    async def _results(self, alias: str, token: str, body: bytes) -> Order:
        """JSON Lines, all of one slice. Acknowledged when the log has them."""
        if len(body) > MAX_RESULTS:
            raise _Refused(413, f"{len(body)} bytes of results at once, at most {MAX_RESULTS}")
        if not token.isdecimal() or len(token) > 19:
            raise ValueError("token: not a number")
        now = self._clock()
        held = self.ledger.results(alias, int(token), (), now)
        if not held.begun:
            raise Wrong("results of a slice that was not begun")
        checked = [self._checked(alias, held, line) for line in body.splitlines() if line.strip()]
        await self._publisher.publish([output for _, output in checked])
        # Lost meanwhile: what is in the log is true and stays, and whoever has the slice now finds it again.
        self.ledger.results(alias, held.token, [position for position, _ in checked if position >= 0], now)
        self._metrics.results.add(len(checked))
        return Order(optout=self._optouts.version)

    def _checked(self, alias: str, held: Held, line: bytes) -> tuple[int, Output]:
        """(position, or -1 if it says nothing in a sample; as it goes to the log) of one result. Raises ValueError and
        Wrong."""
        if len(line) > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {len(line)} bytes")
        try:
            hit = parse(line)
        except RecordError as error:
            raise ValueError(f"a record: {error}") from None
        if not isinstance(hit, Hit):
            raise ValueError("a record that is no hit")
        job = self.ledger.jobs[held.scan]
        if (hit.scan, hit.vantage, hit.probe) != (held.scan, alias, job.work.probe):
            raise Wrong("a record of another scan, agent or probe")
        at = self._place(job).position(hit.ip, hit.port)
        if at is None or not held.first <= at < held.last:
            raise Wrong(f"a record of {hit.ip} port {hit.port}, which is not in the slice")
        if held.only is not None and hit.ip not in _networks(held.only):
            raise Wrong(f"a record of {hit.ip}, which was not asked for")
        made = Hit(
            scan=hit.scan, ts=hit.ts, ip=hit.ip, port=hit.port, transport=hit.transport, name=hit.name, probe=hit.probe
        )
        if hit.id != made.id:
            raise Wrong("a record whose id is another's")
        counts = not held.apart or hit.ip not in _networks(held.apart)
        return at if counts else -1, Output(self._topics.hits, prefix_key(hit.ip), line)

    def _place(self, job: Job) -> Layout:
        scan = job.work.scan
        if scan not in self._layouts:
            while len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.pop(next(iter(self._layouts)))
            self._layouts[scan] = self._layout_of(job.work)
        return self._layouts[scan]

    # --- what time brings

    def _asked(self, what: str, body: Mapping[str, object], now: float) -> None:
        try:
            if what == "submit":
                self.ledger.submit(Work.model_validate_json(orjson.dumps(body)), now)
            elif what == "stop":
                self.ledger.stop(str(body["scan"]), str(body["reason"]), now)
            elif what == "hold":
                self.ledger.hold(str(body["scan"]), str(body["reason"]), now)
        except (ValueError, KeyError) as error:
            log.error("%s cannot be done: %s", what, error)

    async def _tell(self, now: float) -> None:
        """The log hears of the scan's start and end. Should it hear twice: the records are the same, stored once."""
        for job in self.ledger.jobs.values():
            for event, at in (("start", job.submitted), ("end", job.ended)):
                if at and event not in job.told:
                    try:
                        await self._publisher.publish([_record(job, event, at, self._topics)])
                    except Unavailable as error:
                        log.warning("scan %s: its %s cannot be written now: %s", job.work.scan, event, error)
                        return
                    self.ledger.tell(job, event)
                    log.info("scan %s: %s%s", job.work.scan, event, f" ({job.stopped})" if job.stopped else "")


def _record(job: Job, event: str, at: float, topics: Topics) -> Output:
    work, ended = job.work, event == "end"
    counters = {"sent": job.sent, "written": job.hits, "positions": job.positions} if ended else None
    spec = {**work.model_dump(mode="json"), "spec": work.digest} if event == "start" else None
    position = job.positions if ended else None
    record = Scan(scan=work.scan, ts=int(at * 1e6), event=event, spec=spec, counters=counters, position=position)
    return Output(topics.scans, work.scan.encode(), record.dump())


def _networks(only: tuple[str, ...]) -> NetSet:
    return netset(only, "only")


def _same_protocol(theirs: int) -> None:
    if theirs != PROTOCOL:
        older = "agent" if theirs < PROTOCOL else "coordinator"
        raise _Refused(426, f"protocol {theirs} of the agent, {PROTOCOL} of the coordinator: the {older} is too old")
