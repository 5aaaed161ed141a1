"""Mode `jarm`: ten hellos to one target, one after the other, each on a connection of its own.

Each connection waits at the gate for its turn, so politeness holds for them as for ten targets. The first hello says
whether it is worth while: where nobody answers, or with something that is no TLS, it stays at one connection. A
connection that cannot be made later is made again, and a hello that is met with silence counts as not answered; of
both together a target has `failures`, then it is given up, and says so, instead of a hash with holes in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.proto.tls import foreign
from stages.proto.tls.clear import ClearReader
from stages.proto.tls.codes import HANDSHAKE
from stages.proto.tls.hello import RANDOM, Template
from stages.proto.tls.jarm import HELLOS, NOTHING, answer_of, hash_of, needed
from stages.proto.tls.names import suite_name, version_name
from stages.proto.tls.records import ForeignError, TlsFormatError, record
from stages.tlsgrab.attempts import Attempt

if TYPE_CHECKING:
    from stages.proto.tls.hello import HelloSpec

#: Seconds to wait for the rest of an answer that has begun: a round trip, and one lost segment.
LINGER: Final = 2.0

#: Bytes of randomness for one hello: its random, and its session id.
RANDOM_BYTES: Final = 2 * RANDOM

_SPECS: Final = {spec.name: spec for spec in HELLOS}
_TEMPLATES: Final = {spec.name: Template(spec) for spec in HELLOS}

_HIT_FIELDS: Final = tuple(each.name for each in fields(Hit))
_QUIET: Final = frozenset({Outcome.SILENT, Outcome.TIMEOUT})


class JarmHandshake:
    """One of the ten: a dialogue, and a `Handshake`."""

    __slots__ = ("_clear", "_head", "_name", "_random", "_spec", "error", "first", "idle", "total")

    def __init__(self, hello: str, name: bytes, random: bytes, *, first: float, idle: float, total: float) -> None:
        """`hello`: its name, "" for the first. `name`: of the host, as it goes into the hello. `random`: RANDOM_BYTES
        of them. Times in seconds: for the first byte, between two, in all."""
        self._spec: HelloSpec = _SPECS[hello] if hello else HELLOS[0]
        self._name = name
        self._random = random
        self._clear = ClearReader()
        self._head = b""
        self.error: str | None = None
        self.first = first
        self.idle = min(idle, LINGER)
        self.total = total

    # -- a dialogue -------------------------------------------------------------------------------------------------

    def opening(self) -> bytes:
        spec, random = self._spec, self._random
        hello = _TEMPLATES[spec.name].render(self._name, random[:RANDOM], random[RANDOM:])
        return record(HANDSHAKE, spec.record_version, hello)

    def wait(self) -> float:
        return self.first

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        self._head += data
        if self.error is None:
            try:
                self._clear.feed(data)
            except ForeignError as error:
                self.error = foreign.told(self._head[: foreign.MAX_TOLD_BYTES], str(error))
            except TlsFormatError as error:
                self.error = str(error)
        return None if len(self._head) >= needed(self._head) else b""

    def farewell(self) -> bytes:
        return b""

    def eof(self) -> bytes | None:
        if self._head and self.outcome is None:
            self.error = "the peer closed in the middle of the handshake"
        return None

    # -- a handshake ------------------------------------------------------------------------------------------------

    @property
    def answer(self) -> str:
        """As JARM writes it."""
        return answer_of(self._head)

    @property
    def outcome(self) -> Outcome | None:
        if self._clear.server_hello is not None:
            return Outcome.OK
        if self._clear.alert is not None:
            return Outcome.ALERT
        return Outcome.PROTOCOL if self.error is not None else None

    @property
    def phase(self) -> Phase:
        return Phase.HELLO

    def chain(self) -> Sequence[bytes]:
        return ()

    def give_up(self) -> None:
        """What has come was looked at as it came."""

    def facts(self) -> dict[str, Any]:
        """Fields of the Tls record."""
        hello = self._clear.server_hello
        protocol = None if hello is None else hello.protocol
        return {
            "alert": self._clear.alert,
            "error": self.error,
            "version": None if hello is None else version_name(hello.version),
            "cipher_suite": None if hello is None else suite_name(hello.suite),
            "alpn": (protocol.decode("ascii", "backslashreplace") or None) if protocol is not None else None,
            "sni": self._name.decode("ascii"),
            "server_hello": None if hello is None else hello.facts(),
            "hello": self._spec.name,
        }


def jarm_name(name: bytes | None, ip: str) -> bytes:
    """What the hellos name: the host, or its address, as every JARM does where no name is known."""
    return name if name is not None else ip.partition("%")[0].encode("ascii")


@dataclass(slots=True)
class Jarming(Attempt):
    """A target in the middle of the ten."""

    answers: tuple[str, ...] = ()
    failures: int = 0
    dialled: int = 0
    best: Tls | None = None  #: of the first hello that was answered by a ServerHello, or of the first


def next_hello(hit: Hit, record: Tls, answer: str, failures: int) -> Jarming | Tls:
    """After one connection: the next one, or the record of the target. `failures`: that a target may have."""
    before = hit if isinstance(hit, Jarming) else Jarming(**{name: getattr(hit, name) for name in _HIT_FIELDS})
    connected = record.connect is not None
    best = before.best
    if best is None or (best.version is None and record.version is not None):
        best = record
    now = Jarming(
        **{name: getattr(hit, name) for name in _HIT_FIELDS},
        answers=(*before.answers, answer) if connected else before.answers,
        failures=before.failures + (not connected or record.outcome in _QUIET),
        dialled=before.dialled + 1,
        best=best,
    )
    at_first = len(now.answers) <= 1 and now.dialled == 1
    foreign_peer = record.outcome is Outcome.PROTOCOL and record.version is None
    if now.failures > failures or (at_first and (not connected or foreign_peer)):
        return _ended(now, best, record, None)
    if len(now.answers) == len(HELLOS):
        return _ended(now, best, best, hash_of(now.answers))
    now.hello = HELLOS[len(now.answers)].name
    return now


def _ended(now: Jarming, best: Tls, last: Tls, jarm: str | None) -> Tls:
    """The record: what was seen is of `best`, how it ended is of `last`."""
    if last is not best:
        best.outcome, best.phase, best.errno, best.icmp = last.outcome, last.phase, last.errno, last.icmp
        best.alert, best.error = last.alert, last.error
    best.connections = now.dialled
    best.jarm = jarm
    best.answers = list(now.answers) if any(answer != NOTHING for answer in now.answers) else None
    return best
