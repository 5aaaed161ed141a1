"""How the handshakes of a run are made: settings in, a function from a target to a handshake out.

`full` is OpenSSL's affair (`openssl`), `jarm` has hellos of its own (`jarm`); `certificate` and `hello` have one script
a hello, made once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from stages.proto.starttls.registry import BY_NAME, protocol_of
from stages.proto.tls.codes import SSL3, TLS10, TLS11, TLS12, TLS13
from stages.proto.tls.offers import HELLOS, limited
from stages.proto.tls.script import Stop, script_of
from stages.tlsgrab.handshake import OwnHandshake, StarttlsHandshake

if TYPE_CHECKING:
    from stages.proto.tls.hello import HelloSpec
    from stages.tlsgrab.settings import TlsgrabSettings

CERTIFICATE: Final = "certificate"
FULL: Final = "full"
JARM: Final = "jarm"

#: Bytes of randomness fetched at once: a few hundred handshakes' worth.
RANDOM_BLOCK: Final = 1 << 15

_NONE: Final[Mapping[str, Any]] = {}

_CODES: Final = {"ssl3": SSL3, "tls1.0": TLS10, "tls1.1": TLS11, "tls1.2": TLS12, "tls1.3": TLS13}


#: (server name, name of the hello or "", port) -> a handshake, which is a dialogue.
Begin = Callable[[bytes | None, str, int], Any]


class Randomness:
    """The system's random bytes, fetched many at a time: a call for each handshake lets go of the interpreter's lock
    and has to win it back. No byte is given out twice; threads may share one."""

    __slots__ = ("_block", "_lock")

    def __init__(self) -> None:
        self._block = BytesIO()
        self._lock = threading.Lock()

    def take(self, count: int) -> bytes:
        """So many bytes, RANDOM_BLOCK at most."""
        with self._lock:
            data = self._block.read(count)
            if len(data) < count:
                self._block = BytesIO(os.urandom(RANDOM_BLOCK))
                data = self._block.read(count)
        return data


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode with its settings."""

    name: str
    begin: Begin
    hellos: Mapping[str, HelloSpec] = field(default_factory=dict)  #: that a refusing server may be asked with
    budget: int = 1  #: connections to one target
    light: bool = False  #: costs little, and is abandoned: closed by RST
    jarm: bool = False  #: ten hellos a target


def mode_of(settings: TlsgrabSettings, more: Mapping[str, HelloSpec] = _NONE) -> Mode:
    """The mode of these settings. `more`: hellos that are sent when asked for by name, by `certificate` and `hello`."""
    mode = _plain(settings, more)
    return mode if settings.starttls is None else replace(mode, begin=_inside(settings.starttls, mode.begin))


def _inside(choice: str, begin: Begin) -> Begin:
    """Every handshake inside the protocol of its port, or of the choice."""

    def begin_inside(name: bytes | None, hello: str, port: int) -> Any:
        handshake = begin(name, hello, port)
        protocol = protocol_of(choice, port)
        return handshake if protocol is None else StarttlsHandshake(protocol, BY_NAME[protocol](name), handshake)

    return begin_inside


def _plain(settings: TlsgrabSettings, more: Mapping[str, HelloSpec]) -> Mode:
    timeout = settings.handshake_timeout
    times = {"first": timeout, "idle": timeout, "total": settings.conn_timeout + timeout}
    if settings.mode == FULL:
        return _full(settings, times)
    if settings.mode == JARM:
        return _jarm(times)
    lowest, highest = (_CODES[version] for version in settings.version_range)
    alpn = tuple(name.encode("ascii") for name in settings.alpn)
    hellos = {name: left for name, spec in HELLOS.items() if (left := limited(spec, lowest, highest, alpn)) is not None}
    options: dict[str, Any] = {"stop": Stop(settings.mode), "fresh": settings.fresh_keys, **times}
    scripts = {name: script_of(spec, **options) for name, spec in hellos.items()}
    usual = next(iter(scripts.values()))
    scripts |= {name: script_of(spec, **options) for name, spec in more.items()}

    random = Randomness()

    def begin(name: bytes | None, hello: str, port: int) -> OwnHandshake:
        script = scripts[hello] if hello else usual
        return OwnHandshake(script, name, random.take(script.random_bytes))

    return Mode(settings.mode, begin, hellos, settings.max_connections, light=True)


def _full(settings: TlsgrabSettings, times: Mapping[str, float]) -> Mode:
    from stages.tlsgrab.openssl import FullHandshake, client_context

    lowest, highest = (None if version == "ssl3" else version for version in settings.version_range)
    context = client_context(lowest, highest, settings.alpn)
    return Mode(FULL, lambda name, hello, port: FullHandshake(context, name, **times))


def _jarm(times: Mapping[str, float]) -> Mode:
    from stages.tlsgrab.jarm import RANDOM_BYTES, JarmHandshake

    def begin(name: bytes | None, hello: str, port: int) -> JarmHandshake:
        return JarmHandshake(hello, name or b"", os.urandom(RANDOM_BYTES), **times)

    return Mode(JARM, begin, light=True, jarm=True)
