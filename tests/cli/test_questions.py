"""Which question is asked, and what is refused with it."""

from __future__ import annotations

import pytest

from stages.cli.questions import KEY_SHARED, MOVED, question_of
from stages.core.errors import UsageError
from stages.sink.settings import QuerySettings
from stages.sink.store import Collection


def test_which() -> None:
    certificates = Collection.CERTIFICATES
    assert question_of(QuerySettings(), certificates) is None
    assert question_of(QuerySettings(key_shared=True), certificates) is KEY_SHARED
    assert question_of(QuerySettings(moved=True, since="7d"), certificates) is MOVED


@pytest.mark.parametrize(
    ("given", "collection", "problem"),
    [
        ({"moved": True}, Collection.SERVICES, "--moved: means nothing for services"),
        ({"moved": True, "key_shared": True}, Collection.CERTIFICATES, "two questions"),
        ({"moved": True, "name": "a"}, Collection.CERTIFICATES, "--name.*means nothing with --moved"),
        (
            {"key_shared": True, "new_since": "7d"},
            Collection.CERTIFICATES,
            "--new-since.*means nothing with --key-shared",
        ),
    ],
)
def test_what_is_refused(given: dict[str, object], collection: Collection, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        question_of(QuerySettings(**given), collection)  # type: ignore[arg-type]


def test_rows_in_a_table() -> None:
    shared = {
        "hash": "ab" * 32,
        "addresses": 9,
        "services": 9,
        "first_seen": 0,
        "last_seen": 1,
        "ips": list("123456789"),
    }
    assert len(KEY_SHARED.cells(shared)) == len(KEY_SHARED.titles)
    assert KEY_SHARED.cells(shared)[-1] == "1 2 3 4 …"
    moved = {"thing": "ssh", "hash": "ab" * 32, "from_ip": "1", "from_seen": 0, "to_ip": "2", "to_seen": 5}
    assert len(MOVED.cells(moved)) == len(MOVED.titles)
