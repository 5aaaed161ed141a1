"""The records as pydantic models: for what comes from outside, for documentation, and as the second opinion in tests.

`stages.core.records` reads and writes the same records on the hot path; a contract test holds the two together: what
one dumps the other accepts, and what one refuses the other refuses. Unknown fields are ignored, so that an older
program reads what a newer one wrote within one version.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import Annotated, Any, Final, Literal, TypeAlias

import orjson
import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from stages.core.errors import RecordError
from stages.core.events import EventType
from stages.core.outcome import DeadReason, Outcome, Phase, Via
from stages.core.records import MAX_RECORD_BYTES, VERSION, is_ip
from stages.core.times import from_rfc3339


def _time(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("not an RFC 3339 time")
    return from_rfc3339(value)


def _base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not base64")
    return a2b_base64(value, strict_mode=True)


def _address(value: str) -> str:
    if not is_ip(value):
        raise ValueError("not an address")
    return value


#: Microseconds since the epoch; RFC 3339 in JSON.
Time: TypeAlias = Annotated[int, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]

#: Bytes; base64 in JSON (RFC 4648 section 4).
Base64: TypeAlias = Annotated[
    bytes, BeforeValidator(_base64), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]

Address: TypeAlias = Annotated[str, AfterValidator(_address)]
Port: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
Text: TypeAlias = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Flag: TypeAlias = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
Count: TypeAlias = Annotated[int, BeforeValidator(lambda value: 0 if value is None else value)]
Version: TypeAlias = Annotated[int, Field(ge=1, le=VERSION)]


class Model(pydantic.BaseModel):
    """What every record has."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)

    v: Version
    id: str
    scan: str
    vantage: Text = ""
    ts: Time


class TargetModel(Model):
    """A record about one target."""

    ip: Address
    port: Port
    transport: Literal["tcp", "udp", "icmp"] = "tcp"
    name: str | None = None


class HitModel(TargetModel):
    """One validated answer to a probe."""

    kind: Literal["hit"]
    probe: str
    classification: str
    success: Flag = False
    repeat: Flag = False
    cooldown: Flag = False
    attempt: int | None = None
    ttl: int | None = None
    rtt: float | None = None
    source: dict[str, Any] | None = None
    tcp: dict[str, Any] | None = None
    icmp: dict[str, Any] | None = None
    udp: dict[str, Any] | None = None


class ConversationModel(TargetModel):
    """How one conversation went."""

    hit: str | None = None
    via: Via = Via.CONNECT
    outcome: Outcome
    phase: Phase
    errno: str | None = None
    icmp: dict[str, Any] | None = None
    connect: float | None = None
    first_byte: float | None = None
    ended: float | None = None
    control: bool | None = None


class BannerModel(ConversationModel):
    """One conversation: what was sent, what came back, and how it ended."""

    kind: Literal["banner"]
    probe: str
    sent: Count = 0
    size: Any = None  #: length of `data`; derived, not read
    truncated: Flag = False
    data: Base64 = b""
    sha256: Any = None  #: of `data`; derived, not read
    datagrams: list[int] | None = None
    service: str | None = None
    facts: dict[str, Any] | None = None


class TlsModel(ConversationModel):
    """One TLS handshake, as far as it went."""

    kind: Literal["tls"]
    mode: str
    alert: str | None = None
    error: str | None = None
    version: str | None = None
    cipher_suite: str | None = None
    alpn: str | None = None
    sni: str | None = None
    chain: list[str] = []
    certificates: list[Base64] = []
    server_hello: dict[str, Any] | None = None
    hello: str | None = None
    connections: Annotated[int, Field(ge=0)] = 1
    starttls: str | None = None
    ocsp: Base64 | None = None
    scts: Base64 | None = None
    ja3s: str | None = None
    fingerprint: str | None = None
    synack: str | None = None
    jarm: str | None = None
    answers: list[str] | None = None
    rules: list[str] | None = None


class ScanModel(Model):
    """The start, the progress or the end of a scan; or what was made of it (assessed)."""

    kind: Literal["scan"]
    event: Literal["start", "progress", "end", "assessed"]
    spec: dict[str, Any] | None = None
    counters: dict[str, Any] | None = None
    position: int | None = None


class DetailsModel(pydantic.BaseModel):
    """What an event says by its type; its times are read, the rest is as it comes."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    down_since: Time | None = None
    decided: Time | None = None
    until: Time | None = None
    last_seen: Time | None = None


class EventModel(TargetModel):
    """What happened to a service."""

    kind: Literal["event"]
    type: EventType
    transport: Literal["tcp", "udp", "icmp"]
    details: DetailsModel


class PlaceModel(pydantic.BaseModel):
    """Where a dead letter stood."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    topic: str
    partition: int
    offset: int


class DeadModel(pydantic.BaseModel):
    """A dead letter as one object; on a log its fields are headers and the original bytes are the value."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    kind: Literal["dead"]
    stage: str
    reason: DeadReason
    source: PlaceModel
    error: str
    original: Base64


RecordModel: TypeAlias = HitModel | BannerModel | TlsModel | ScanModel

MODELS: Final[dict[str, type[RecordModel]]] = {
    "hit": HitModel,
    "banner": BannerModel,
    "tls": TlsModel,
    "scan": ScanModel,
}


def validate(line: bytes) -> RecordModel:
    """Read one line as a record, as `stages.core.records.parse` does, and refuse the same with the same reason."""
    if len(line) > MAX_RECORD_BYTES:
        raise RecordError(DeadReason.OVERSIZED, f"{len(line)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordError(DeadReason.UNDECODABLE, str(error)) from None
    kind = value.get("kind") if isinstance(value, dict) else None
    model = MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise RecordError(DeadReason.SCHEMA, f"kind is {kind!r}")
    try:
        return model.model_validate_json(line)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordError(DeadReason.SCHEMA, f"{place}: {first['msg']}") from None


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of all records: one definition a kind, and `event` and `dead`."""
    models: tuple[type[pydantic.BaseModel], ...] = (*MODELS.values(), EventModel, DeadModel)
    _, schema = pydantic.json_schema.models_json_schema(
        [(model, "validation") for model in models], title="Longline records"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in models],
        **schema,
    }
