"""The certificates of a store as a corpus: what jobs read and write beside the sink, the same in both stores.

A job (`stages.derive`) goes over certificates and observations in an order that it can go on in, and writes what it
derived: sightings (which thing was seen where, and when: `$min` and `$max`, so that writing them twice changes
nothing), fields that were read again, verdicts, and where it is. One suite holds for both stores
(`tests/sink/corpus_contract.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Protocol

from stages.sink.documents import Document
from stages.sink.store import Collection, Store

#: Names asked for that are given of one certificate, and sightings looked at for them: one that is shared has millions.
MAX_ASKED: Final = 100
MAX_ASKED_SIGHTINGS: Final = 10_000

#: Kind of observation -> where it is read.
KINDS: Final = {"tls": Collection.TLS, "banner": Collection.BANNERS}


class Seen(Protocol):
    """A sighting (`stages.derive.sightings.Sighting`)."""

    @property
    def thing(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def address(self) -> bytes: ...
    @property
    def port(self) -> int: ...
    @property
    def transport(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def first_seen(self) -> int: ...
    @property
    def last_seen(self) -> int: ...


class Found(Protocol):
    """What was found out about a certificate (`stages.derive.shelf.Judged`); None: leave it as it is."""

    @property
    def sha256(self) -> str: ...
    @property
    def fields(self) -> Document | None: ...
    @property
    def verdicts(self) -> Document | None: ...


class Corpus(Store, Protocol):
    """A store whose certificates can be worked on. All raise Unavailable, HostError."""

    def observed(self, kind: str, since: int | None) -> AsyncIterator[Mapping[str, Any]]:
        """Observations of a kind (`tls`, `banner`) from a time on, in the order of their time."""

    async def after(self, digest: str, most: int, *, reader: int | None = None) -> list[Document]:
        """Certificates whose SHA-256 is greater, in order, at most so many; `reader`: not those that it has read."""

    async def count_certificates(self) -> int:
        """How many there are."""

    async def keys_of(self, digests: Sequence[str]) -> dict[str, str]:
        """SHA-256 of a certificate -> that of its key, where it could be read."""

    async def authorities(self, subject: str, most: int) -> list[bytes]:
        """DER of certificate authorities by the SHA-256 of their name's DER, at most so many."""

    async def asked_of(self, digests: Sequence[str]) -> dict[str, list[str]]:
        """SHA-256 of a certificate -> names asked for where it was sighted, at most MAX_ASKED."""

    async def services_of(self, digests: Sequence[str]) -> dict[str, int]:
        """SHA-256 of a certificate -> services that were sighted to show it as their own; none is missing."""

    async def see(self, sightings: Sequence[Seen]) -> None:
        """Fold them into what is stored: the earliest first_seen, the latest last_seen."""

    def sightings(self, thing: str | None = None) -> AsyncIterator[Document]:
        """{thing hash ip address port transport name first_seen last_seen}, by thing, hash and address."""

    async def judge(self, judged: Sequence[Found]) -> None:
        """Store what was read again, and the verdicts."""

    async def state(self, job: str) -> Document | None:
        """Where a job is, as it saved it."""

    async def save(self, job: str, state: Document) -> None:
        """Keep where a job is."""
