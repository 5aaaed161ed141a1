"""What agent and coordinator say to each other: JSON, one message a request, every field typed and bounded.

Both sides send the version of the protocol; another one is refused with words that say which side is older.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import pydantic

from stages.fleet.work import Digest, Grab, Name, Network, Position, Strict, Work

#: Of the protocol. It changes when an old side could misunderstand a new one.
PROTOCOL: Final = 2

#: Seconds that the two clocks may differ before both sides tell of it.
SKEW: Final = 2.0

#: Bytes of a message, at most; of results at once, at most.
MAX_MESSAGE: Final = 4 << 20
MAX_RESULTS: Final = 4 << 20

#: Networks that an agent may leave out of a slice, at most.
MAX_SKIPPED: Final = 10_000

#: Networks that want to be left alone, at most: 3 MB of text.
MAX_OPTOUTS: Final = 100_000

#: Scans of which an agent wants no slice for now, at most.
MAX_WITHOUT: Final = 1_000

#: Hex digits that tell two processes apart which show one certificate.
PROCESS_DIGITS: Final = 32

#: Characters of a reason.
MAX_WORDS: Final = 500

Version = Annotated[str, pydantic.Field(max_length=32)]
Token = Annotated[int, pydantic.Field(ge=1, lt=1 << 63)]
Count = Annotated[int, pydantic.Field(ge=0, lt=1 << 63)]
Rate = Annotated[float, pydantic.Field(ge=0, le=1e9, allow_inf_nan=False)]
Words = Annotated[str, pydantic.Field(max_length=MAX_WORDS)]
Process = Annotated[str, pydantic.Field(max_length=PROCESS_DIGITS, pattern=r"^[0-9a-f]*$")]
Networks = Annotated[tuple[Network, ...], pydantic.Field(max_length=MAX_SKIPPED)]


class Capabilities(Strict):
    """What an agent can do, found out by trying."""

    version: Annotated[str, pydantic.Field(max_length=40)]  #: of the program
    engine: Literal["packet", "connect"]
    privileged: bool
    probes: Annotated[tuple[Annotated[str, pydantic.Field(max_length=40)], ...], pydantic.Field(max_length=100)]
    rate: Annotated[float, pydantic.Field(gt=0, le=1e9)]  #: probes/s that it gives, at most
    grabs: Annotated[tuple[Grab, ...], pydantic.Field(max_length=2)] = ()  #: that it does, if its user lets it


class Enrol(Strict):
    """With a one-time token instead of a certificate."""

    protocol: int
    token: Annotated[str, pydantic.Field(max_length=200)]
    request: Annotated[str, pydantic.Field(max_length=10_000)]  #: a certificate signing request (PKCS #10), PEM


class Enrolled(Strict):
    certificate: Annotated[str, pydantic.Field(max_length=20_000)]
    authority: Annotated[str, pydantic.Field(max_length=20_000)]


class Hello(Strict):
    protocol: int
    capabilities: Capabilities
    holds: Annotated[tuple[Token, ...], pydantic.Field(max_length=1_000)] = ()  #: leases it has results of
    clock: Annotated[float, pydantic.Field(ge=0)]  #: seconds since the epoch: a skew is told to both
    process: Process = ""  #: random; of two with one certificate the later one is the agent


class Welcome(Strict):
    protocol: int
    optout: Version = ""
    version: str
    timeout: float  #: seconds of silence after which a slice goes to another agent
    skew: float  #: seconds that the agent's clock is ahead


class Slice(Strict):
    """Positions [first, last) of a work."""

    token: Token
    work: Work
    first: Position
    last: Position
    only: Networks | None = None  #: of these networks only
    rate: Annotated[float, pydantic.Field(gt=0, le=1e9)]

    @pydantic.model_validator(mode="after")
    def _within(self) -> Slice:
        if not self.first < self.last <= self.work.size:
            raise ValueError(f"positions {self.first}-{self.last} of {self.work.size}")
        return self


class Ask(Strict):
    """For a slice."""

    protocol: int
    process: Process = ""  #: as in the greeting
    without: Annotated[tuple[Name, ...], pydantic.Field(max_length=MAX_WITHOUT)] = ()  #: of none of these scans


class Lease(Strict):
    """The answer to who asks for work."""

    optout: Version = ""
    slice: Slice | None = None
    wait: Annotated[float, pydantic.Field(ge=0, le=3_600)] = 0.0  #: without one: seconds until it may ask again
    reason: Words = ""


class Begin(Strict):
    """What the agent will do of the slice."""

    token: Token
    digest: Digest  #: of its own layout
    skipped: Networks = ()  #: what its policy leaves out


class Refuse(Strict):
    """The agent gives the slice back; another may do it."""

    token: Token
    reason: Words


class Progress(Strict):
    """All before `position` is done, and its results were handed over before this message."""

    token: Token
    position: Position
    proof: Digest  #: of [first, position)
    sent: Count = 0
    rate: Rate = 0.0  #: probes/s now
    pending: Count = 0  #: bytes of results that wait
    finished: bool = False  #: the slice has ended here


class Order(Strict):
    """The answer to progress and results."""

    optout: Version = ""  #: of the list of those who want to be left alone; another one is asked for at once
    stop: bool = False
    reason: Words = ""


class Optouts(Strict):
    """Who wants to be left alone, from now on."""

    version: Version
    networks: Annotated[tuple[Network, ...], pydantic.Field(max_length=MAX_OPTOUTS)]


class Problem(Strict):
    """Why a request was refused."""

    error: Words


class _Spoken(pydantic.BaseModel):
    """What every version has said."""

    protocol: int = 0


M = TypeVar("M", bound=Strict)


def protocol_of(body: bytes) -> int | None:
    """The version of the protocol that a greeting is of, whatever else is in it: of another version we can know no
    more. None: it says none."""
    try:
        return _Spoken.model_validate_json(body[:MAX_MESSAGE]).protocol or None
    except pydantic.ValidationError:
        return None


def parse(kind: type[M], body: bytes) -> M:
    """Raises ValueError that names the field."""
    if len(body) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(body)} bytes, at most {MAX_MESSAGE}")
    try:
        return kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or kind.__name__}: {first['msg']}") from None


def dump(message: Strict) -> bytes:
    return message.model_dump_json().encode()
