"""Handshakes that went as they should, as tls records: straight to a line. Pure.

A line is what `stages.core.records.Tls.dump` would give of the same conversation, named as `stages.tlsgrab.endings`
names it (a test holds both equal), but made from a template: what all records of a scan have in common is rendered
once, the hashes that are the ids of record and hit are started once, and what servers of a kind say alike is
remembered. Whatever is not plainly `ok` is left to the long way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

import orjson

from stages.core.chains import chain_b64, chain_hashes
from stages.core.ended import Ended
from stages.core.outcome import Outcome, Phase, Via
from stages.core.record_fields import b64
from stages.core.records import VERSION, Hit
from stages.core.synack import synack_of, synack_text
from stages.core.times import rfc3339
from stages.proto.tls.codes import TLS13
from stages.proto.tls.facts import facts13_of
from stages.proto.tls.fingerprints import fingerprints_of
from stages.proto.tls.server_hello import ServerHello
from stages.tlsgrab.endings import MAX_CHAIN, MAX_CHAIN_BYTES
from stages.tlsgrab.handshake import OwnHandshake

#: Bytes of a record's id (`stages.core.records.record_id`).
_ID_BYTES: Final = 16
#: Kinds of answers remembered: a whole Internet gives some thousands.
_REMEMBERED: Final = 4096
_BOOL: Final = ("false", "true")
_BETWEEN: Final = '","'


class Common(NamedTuple):
    """What all these records have in common."""

    scan: str
    vantage: str
    mode: str
    hit_probe: str = ""  #: the probe of the hits that led here, where they are not at hand
    via: Via = Via.RAW
    asked: bool = False  #: control ports were asked


class SynAck(Protocol):
    """What is read of the answer that a conversation went on from: columns as `stages.scanner.answers` has them."""

    @property
    def ttl(self) -> int | None: ...
    @property
    def window(self) -> int | None: ...
    @property
    def mss(self) -> int: ...
    @property
    def wscale(self) -> int: ...
    @property
    def sack(self) -> int: ...
    @property
    def has_ts(self) -> int: ...


class Conversation(Ended, Protocol):
    """What is read of a connection that has ended."""

    host: str
    port: int

    @property
    def dialogue(self) -> object: ...


class TlsLines:
    """Renders one after the other."""

    __slots__ = ("_asked", "_head", "_hit", "_id", "_middle", "_mode", "_tail", "_via")

    def __init__(self, common: Common) -> None:
        record = "\0".join(("tls", common.scan, common.via, "tcp", ""))
        hit = "\0".join(("hit", common.scan, common.hit_probe, "tcp", ""))
        self._id = blake2b(record.encode(), digest_size=_ID_BYTES)
        self._hit = blake2b(hit.encode(), digest_size=_ID_BYTES)
        self._tail = f"\0{common.mode}"
        self._head = f'{{"kind":"tls","v":{VERSION},"id":"'
        self._middle = f'","scan":{_json(common.scan)},"vantage":{_json(common.vantage)},"ts":"'
        self._mode = f',"mode":{_json(common.mode)}'
        self._via = f',"via":"{common.via}","outcome":"{Outcome.OK}","phase":"{Phase.CERTIFICATE}","errno":null'
        self._asked = common.asked

    def keyed(self, conversation: Conversation, answer: SynAck) -> tuple[bytes, bytes] | None:
        """(key, line) of one on a connection that the scanner opened; the key is the target's prefix. None: it is not
        plainly `ok`."""
        window = answer.window
        if window is None:
            return None
        ip, port = conversation.host, conversation.port
        hit = self._hit.copy()
        hit.update(f"{ip}\0{port}\0\0".encode())
        synack = synack_text(
            answer.ttl,
            window,
            answer.mss or None,
            None if answer.wscale < 0 else answer.wscale,
            bool(answer.sack),
            bool(answer.has_ts),
        )
        line = self._line(conversation, ip, port, None, hit.hexdigest(), synack)
        return None if line is None else (ip[: ip.rindex(".")].encode(), line)

    def line(self, conversation: Conversation, hit: Hit) -> bytes | None:
        """Of one that a hit led to, of this scan and vantage. None: it is not plainly `ok`."""
        return self._line(conversation, hit.ip, hit.port, hit.name, hit.id, synack_of(hit.tcp, hit.ttl))

    def _line(
        self, conversation: Conversation, ip: str, port: int, name: str | None, hit: str, synack: str | None
    ) -> bytes | None:
        handshake = conversation.dialogue
        if type(handshake) is not OwnHandshake or not handshake.done:
            return None
        hello, ders = handshake.server_hello, handshake.chain_seen or ()
        if (
            hello is None or handshake.alert is not None or handshake.error is not None
            or conversation.errno is not None or conversation.icmp is not None or conversation.truncated
            or conversation.connected is None or conversation.first_byte is None or conversation.ended is None
            or len(ders) > MAX_CHAIN or sum(map(len, ders)) > MAX_CHAIN_BYTES
        ):  # fmt: skip
            return None
        own = self._id.copy()
        own.update(f"{ip}\0{port}\0{name or ''}{self._tail}".encode())
        said = _said(
            hello.legacy_version,
            hello.version,
            hello.suite,
            hello.compression,
            len(hello.session_id),
            tuple([kind for kind, _ in hello.extensions]),
            hello.retry,
        )
        more = "" if hello.version != TLS13 else f",{orjson.dumps(facts13_of(handshake, hello)).decode()[1:-1]}"
        alpn, sni, ocsp, scts = handshake.protocol, handshake.name, handshake.ocsp, handshake.scts
        control = "null" if not self._asked or conversation.control is None else _BOOL[conversation.control]
        return (
            f"{self._head}{own.hexdigest()}{self._middle}{rfc3339(conversation.started)}"
            f'","ip":{_json(ip)},"port":{port},"transport":"tcp","name":{_text(name)}{self._mode}'
            f',"hit":{_json(hit)}{self._via},"icmp":null'
            f',"connect":{conversation.connected:.6f},"first_byte":{conversation.first_byte:.6f}'
            f',"ended":{conversation.ended:.6f},"alert":null,"error":null,{said.names}'
            f',"alpn":{_text(alpn.decode("ascii", "backslashreplace") if alpn else None)}'
            f',"sni":{_text(None if sni is None else sni.decode("ascii"))}'
            f',"chain":{_strings(chain_hashes(ders))},"certificates":{_strings(chain_b64(ders))}'
            f',"server_hello":{said.begin}{hello.random.hex()}","session_id":"{hello.session_id.hex()}{said.middle}'
            f'{hello.raw.hex()}"{more}}},"hello":"{handshake.hello_name}","connections":1,"starttls":null'
            f',"ocsp":{_bytes(ocsp)},"scts":{_bytes(scts)},{said.fingerprints},"synack":{_text(synack)}'
            f',"jarm":null,"answers":null,"rules":null,"control":{control}}}'
        ).encode()


class _Said(NamedTuple):
    """Pieces of a line."""

    names: str
    begin: str  #: of server_hello, up to its random
    middle: str  #: from behind its session id up to the raw bytes
    fingerprints: str


@lru_cache(_REMEMBERED)
def _said(
    legacy: int, version: int, suite: int, compression: int, id_size: int, kinds: tuple[int, ...], retry: bool
) -> _Said:
    """Of what servers of a kind say alike."""
    extensions = tuple((kind, b"") for kind in kinds)
    shown = ServerHello(legacy, version, b"", bytes(id_size), suite, compression, extensions).facts()
    prints = {"ja3s": None, "fingerprint": None} if retry else fingerprints_of(shown)
    begin, end = (orjson.dumps({name: shown[name] for name in names}).decode() for names in (_BEGIN, _END))
    return _Said(
        f'"version":{_json(shown["version"])},"cipher_suite":{_json(shown["cipher_suite_name"])}',
        f'{begin[:-1]},"random":"',
        f'",{end[1:-1]},"raw":"',
        orjson.dumps(prints).decode()[1:-1],
    )


#: What of a ServerHello's facts stands before its random, and between its session id and its raw bytes.
_BEGIN: Final = ("legacy_version", "version")
_END: Final = ("cipher_suite", "cipher_suite_name", "compression", "extensions")


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


def _text(text: str | None) -> str:
    return "null" if text is None else _json(text)


def _strings(each: Sequence[str]) -> str:
    """A JSON array of what needs no escapes."""
    return f'["{_BETWEEN.join(each)}"]' if each else "[]"


def _bytes(data: bytes | None) -> str:
    return "null" if data is None else f'"{b64(data)}"'
