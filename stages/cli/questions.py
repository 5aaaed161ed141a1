"""Questions of `longline query certificates` whose answers are no documents: shared keys, and what moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stages.core.errors import UsageError
from stages.derive.questions import moved, shared
from stages.derive.reprocess import SIGHTINGS
from stages.derive.sightings import Thing
from stages.sink.query import HASH_CHARS, time_of
from stages.sink.store import Collection, Filter

if TYPE_CHECKING:
    from stages.sink.corpus import Corpus
    from stages.sink.settings import QuerySettings

Row = dict[str, Any]

#: Addresses of a row in a table; `--json` has more.
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and how its answers look in a table."""

    option: str
    thing: str | None
    rows: Callable[[AsyncIterator[Any], int | None], AsyncIterator[Row]]
    columns: dict[str, Callable[[Row], str]]

    @property
    def titles(self) -> list[str]:
        return list(self.columns)

    def cells(self, row: Row) -> list[str]:
        return [cell(row) for cell in self.columns.values()]


def _addresses(row: Row) -> str:
    text = " ".join(row["ips"][:_SHOWN])
    return text if row["addresses"] <= _SHOWN else f"{text} …"


KEY_SHARED: Final = Question(
    "--key-shared",
    Thing.KEY,
    shared,
    {
        "key": lambda r: r["hash"][:HASH_CHARS],
        "addresses": lambda r: str(r["addresses"]),
        "services": lambda r: str(r["services"]),
        "first seen": lambda r: time_of(r["first_seen"]),
        "last seen": lambda r: time_of(r["last_seen"]),
        "ips": _addresses,
    },
)
MOVED: Final = Question(
    "--moved",
    None,
    moved,
    {
        "thing": lambda r: str(r["thing"]),
        "sha256": lambda r: r["hash"][:HASH_CHARS],
        "from": lambda r: str(r["from_ip"]),
        "last seen there": lambda r: time_of(r["from_seen"]),
        "to": lambda r: str(r["to_ip"]),
        "first seen here": lambda r: time_of(r["to_seen"]),
    },
)

#: Filters that a question understands; the others would be ignored, and are refused.
_REFUSED: Final = ("name", "issuer", "expiring", "new_since")


def question_of(settings: QuerySettings, collection: str) -> Question | None:
    """The question that is asked, if one is. Raises UsageError."""
    asked = [q for q, given in ((KEY_SHARED, settings.key_shared), (MOVED, settings.moved)) if given]
    if not asked:
        return None
    if collection != Collection.CERTIFICATES:
        raise UsageError(asked[0].option, None, f"means nothing for {collection}; it is asked of certificates")
    if len(asked) > 1:
        raise UsageError("--moved", None, "and --key-shared are two questions")
    for key in _REFUSED:
        value = getattr(settings, key)
        if value is not None:
            raise UsageError(f"--{key.replace('_', '-')}", value, f"means nothing with {asked[0].option}")
    return asked[0]


async def ask(question: Question, corpus: Corpus, where: Filter) -> AsyncIterator[Row]:
    """Its answers, at most `where.limit`. Raises UsageError if nothing was sighted yet."""
    if await corpus.state(f"{SIGHTINGS}.tls") is None and await corpus.state(f"{SIGHTINGS}.banner") is None:
        raise UsageError(question.option, None, "nothing was sighted in this store yet: run `longline certs reprocess`")
    left = where.limit
    async for row in question.rows(corpus.sightings(question.thing), where.since):
        yield row
        if left is not None:
            left -= 1
            if left == 0:
                return
