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
from stages.core.orders import Standing
from stages.core.records import MAX_RECORD_BYTES, Banner, Hit, Scan, Tls, parse, prefix_key
from stages.fleet import ca, grabs, messages
from stages.fleet.ledger import Fenced, Ledger, Wrong
from stages.fleet.messages import MAX_RESULTS, PROTOCOL, SKEW, Order
from stages.fleet.metrics import FleetMetrics
from stages.fleet.state import State
from stages.fleet.things import Held, Job
from stages.fleet.work import Strict, Work, netset

log = logging.getLogger("longline.fleet.coordinator")

#: The protocol of agents that do not name it when they ask for a slice: they were greeted by an older coordinator.
_BEFORE_ASKING: Final = 1

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
        self._ended: dict[str, str] = {}
        self._told: set[str] = set()  #: serial numbers of ended certificates of which the log has heard
        self._layouts: dict[str, Layout] = {}
        self._optouts = messages.Optouts(version="", networks=())
        self._standing = Standing()
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
        self._good, self._ended = await self._state.enrolled(self._clock())
        self._metrics.watch(self.ledger, self._clock)

    def heed(self, standing: Standing) -> None:
        """Orders that stand: slices of what is stopped end with the next sign of life of who has them, and none is
        given."""
        self._standing = standing

    def leave_alone(self, networks: Sequence[str]) -> None:
        """Who wants to be left alone, from now on: each agent hears of it with the next answer that it gets."""
        version = blake2b("\n".join(networks).encode(), digest_size=8).hexdigest() if networks else ""
        if version != self._optouts.version:
            self._optouts = messages.Optouts(version=version, networks=tuple(networks))
            log.info("%d networks want to be left alone", len(networks))

    async def tick(self) -> frozenset[str]:
        """What time brings. Returns the serial numbers of certificates that have just been revoked, or ended."""
        now = self._clock()
        self.ledger.expire(now)
        taken = []
        for number, what, body in await self._state.asked():
            taken.append(number)
            self._asked(what, body, now)
        good, self._ended = await self._state.enrolled(now)
        gone = self._good.keys() - good.keys()
        for serial in gone:
            if (alias := self._good[serial]) not in good.values():
                why = "has ended" if serial in self._ended else "was revoked"
                self.ledger.forget(alias, now, f"its certificate {why}")
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
        if alias is None and (alias := self._ended.get(serial)) is not None:
            if serial not in self._told:
                self._told.add(serial)
                log.warning("agent %s cannot come: its certificate has ended; longline fleet enrol %s", alias, alias)
            raise _Refused(403, f"the certificate of {alias} has ended: enrol again (longline agent --token)")
        if alias is None:
            raise _Refused(403, "this certificate was revoked, or is not one of ours")
        self.ledger.seen(alias, self._clock())
        return alias

    def _problem(self, status: int, why: str) -> Answer:
        self._metrics.refused.add(1, str(status))
        return Answer(status, messages.dump(messages.Problem(error=why[:500])))

    # --- requests

    async def _enrol(self, body: bytes) -> messages.Enrolled:
        _same_protocol(body)
        wanted = messages.parse(messages.Enrol, body)
        now = self._clock()
        hashed = ca.hash_of(wanted.token)
        alias = await self._state.alias_of(hashed, now)
        if alias is None:
            raise _Refused(403, "token: unknown, used already, or too old")
        asked = ca.alias_asked(wanted.request.encode())
        if asked not in (alias, ca.ANY_ALIAS):
            log.warning("agent %s: somebody would be called %.63r with its token", alias, asked)
            raise _Refused(409, f"the token is of the alias {alias}; {asked[:63]!r} takes a token of its own")
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        certificate, serial, ends = self._authority.agent(wanted.request.encode(), alias, moment)
        if await self._state.spend_token(hashed, now, serial, ends) != alias:
            raise _Refused(403, "token: used already")
        self._good, self._ended = await self._state.enrolled(now)
        log.info("agent %s is enrolled", alias)
        return messages.Enrolled(certificate=certificate.decode(), authority=self._authority.pem.decode())

    def _hello(self, alias: str, body: bytes) -> Strict:
        try:
            _same_protocol(body)
        except _Refused as refused:
            log.warning("agent %s is not taken: %s", alias, refused)
            raise
        hello = messages.parse(messages.Hello, body)
        now = self._clock()
        agent = self.ledger.hello(alias, hello.capabilities, hello.clock, hello.holds, now, process=hello.process)
        if abs(agent.skew) > SKEW:
            log.warning("agent %s: its clock is %+.1f s off ours", alias, agent.skew)
        welcome = messages.Welcome(
            protocol=PROTOCOL,
            optout=self._optouts.version,
            version=__version__,
            timeout=self.ledger.timeout,
            skew=round(agent.skew, 3),
        )
        return welcome

    def _lease(self, alias: str, body: bytes) -> Strict:
        self.ledger.known(alias)
        _same_protocol(body, unsaid=_BEFORE_ASKING)
        ask, now = messages.parse(messages.Ask, body), self._clock()
        if not self.ledger.is_process(alias, ask.process, now):
            log.warning("alias %s is in use by two processes: the earlier one is sent away", alias)
            raise _Refused(403, f"alias in use: another process has come as {alias} since; each host takes a token")
        if (order := self._standing.everything) is not None:
            return messages.Lease(optout=self._optouts.version, wait=self.ledger.wait, reason=_words(order.text()))
        against = self._standing.against
        given = self.ledger.lease(alias, now, stopped=lambda scan: scan in ask.without or against(scan) is not None)
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
        return self._order(said.token, stop, finished=said.finished)

    def _order(self, token: int, stop: str, *, finished: bool = False) -> Order:
        """What the holder of a slice hears: whether it is to end."""
        held = self.ledger.leases.get(token)
        if held is not None and not finished and (order := self._standing.against(held.scan)) is not None:
            stop = order.text()
        return Order(optout=self._optouts.version, stop=bool(stop), reason=_words(stop))

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
        return self._order(held.token, "")

    def _checked(self, alias: str, held: Held, line: bytes) -> tuple[int, Output]:
        """(position, or -1 if it says nothing in a sample; as it goes to the log) of one result. Raises ValueError and
        Wrong."""
        if len(line) > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {len(line)} bytes")
        try:
            record = parse(line)
        except RecordError as error:
            raise ValueError(f"a record: {error}") from None
        if isinstance(record, Scan):
            raise ValueError("a record that is no hit and no grab")
        job = self.ledger.jobs[held.scan]
        if (record.scan, record.vantage) != (held.scan, alias):
            raise Wrong("a record of another scan or agent")
        at = self._place(job).position(record.ip, record.port)
        if at is None or not held.first <= at < held.last:
            raise Wrong(f"a record of {record.ip} port {record.port}, which is not in the slice")
        if held.only is not None and record.ip not in _networks(held.only):
            raise Wrong(f"a record of {record.ip}, which was not asked for")
        key = prefix_key(record.ip)
        if not isinstance(record, Hit):
            if why := grabs.wrong(record, job.work.bare() if held.check else job.work):
                raise Wrong(why)
            topic = self._topics.banners if isinstance(record, Banner) else self._topics.tls
            return -1, Output(topic, key, _written(record))
        if record.probe != job.work.probe or record.name is not None:
            raise Wrong("a record of another probe")
        if record.id != grabs.made_by(record):
            raise Wrong("a record whose id is another's")
        counts = not held.apart or record.ip not in _networks(held.apart)
        return at if counts else -1, Output(self._topics.hits, key, line)

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
    counters: dict[str, object] | None = None
    if ended:
        counters = {"sent": job.sent, "written": job.hits, "positions": job.positions, "agents": job.agents}
    spec = {**work.model_dump(mode="json"), "spec": work.digest} if event == "start" else None
    position = job.positions if ended else None
    record = Scan(scan=work.scan, ts=int(at * 1e6), event=event, spec=spec, counters=counters, position=position)
    return Output(topics.scans, work.scan.encode(), record.dump())


def _written(record: Banner | Tls) -> bytes:
    """Raises ValueError: what was read as a number, or as text, need not be one that can be written."""
    try:
        line = record.dump()
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a record: {error}") from None
    if len(line) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(line)} bytes")
    return line


def _words(text: str) -> str:
    """As much as a message takes."""
    return text[: messages.MAX_WORDS]


def _networks(only: tuple[str, ...]) -> NetSet:
    return netset(only, "only")


def _same_protocol(body: bytes, unsaid: int | None = None) -> None:
    """Of what another version says nothing else need be as we know it. `unsaid`: the version of who names none."""
    theirs = messages.protocol_of(body) or unsaid
    if theirs is not None and theirs != PROTOCOL:
        older = "agent" if theirs < PROTOCOL else "coordinator"
        raise _Refused(426, f"protocol {theirs} of the agent, {PROTOCOL} of the coordinator: the {older} is too old")
