from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.bus.base import Topics
from stages.core.deadletters import FUSE_WINDOW, MAX_DETAIL, Again, Fuse, again, dead_letter, described
from stages.core.errors import Fused, RecordError
from stages.core.outcome import DeadReason
from stages.core.records import Hit
from stages.core.schema import DeadModel


@given(st.binary(), st.text())
def test_the_bytes_stay_untouched_and_the_rest_is_in_headers(line: bytes, detail: str) -> None:
    output = dead_letter(Topics("t"), "sink", line, DeadReason.SCHEMA, detail, ("t.hits.v1", 7, 123))
    assert output.topic == "t.dead.v1"
    assert output.value == line
    assert output.headers is not None
    assert output.headers["error"].decode() == detail[:MAX_DETAIL].encode(errors="replace").decode()
    rest = {key: value for key, value in output.headers.items() if key != "error"}
    assert rest == {
        "stage": b"sink",
        "reason": b"schema",
        "topic": b"t.hits.v1",
        "partition": b"7",
        "offset": b"123",
    }


LINE = Hit("s", 1, "10.0.0.1", 80).dump()


@pytest.mark.parametrize("line", [LINE, b"\xff not text", b'{"a": 1}'])
def test_as_one_object_and_put_back(line: bytes) -> None:
    output = dead_letter(Topics("t"), "sink", line, DeadReason.SCHEMA, "port is None", ("t.hits.v1", 7, 123))
    said = orjson.dumps(described(output.headers or {}, line))
    model = DeadModel.model_validate_json(said)
    assert (model.stage, model.reason, model.error) == ("sink", DeadReason.SCHEMA, "port is None")
    assert (model.source.topic, model.source.partition, model.source.offset) == ("t.hits.v1", 7, 123)
    if line == LINE:
        assert again(said) == Again("t.hits.v1", LINE)
    else:
        with pytest.raises(RecordError):
            again(said)
    mended = {**orjson.loads(said), "line": LINE.decode() + "\n"}
    assert again(orjson.dumps(mended)) == Again("t.hits.v1", LINE)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"{", "unexpected end"), (b"[]", "no dead letter"), (b'{"kind": "hit"}', "no dead letter"),
        (b'{"kind": "dead"}', "source is None"), (b'{"kind": "dead", "source": {"topic": ""}}', "names no topic"),
        (b'{"kind": "dead", "source": {"topic": "t"}, "line": 5}', "line is 5"),
        (b'{"kind": "dead", "source": {"topic": "t"}}', "original"),
        (b'{"kind": "dead", "source": {"topic": "t"}, "line": "{}"}', "kind is None"),
    ],
)  # fmt: skip
def test_what_cannot_be_put_back_is_named(said: bytes, told: str) -> None:
    with pytest.raises(RecordError) as error:
        again(said)
    assert told in error.value.detail


def test_the_fuse_does_not_judge_too_early() -> None:
    fuse = Fuse()
    for _ in range(FUSE_WINDOW - 1):
        fuse.note(1, 1)
    with pytest.raises(Fused, match="1000 of the last 1000"):
        fuse.note(1, 1)


def test_half_is_not_more_than_half() -> None:
    fuse = Fuse()
    for i in range(5 * FUSE_WINDOW):
        fuse.note(1, i % 2)
    with pytest.raises(Fused):
        fuse.note(2, 2)


def test_old_records_are_forgotten() -> None:
    fuse = Fuse()
    fuse.note(1_000_000, 0)
    for _ in range(FUSE_WINDOW // 2):
        fuse.note(1, 1)
    fuse.note(FUSE_WINDOW // 2, 0)
    fuse.note(0, 0)
    for _ in range(FUSE_WINDOW // 2):
        fuse.note(1, 1)  # as many dead ones leave the window
    with pytest.raises(Fused, match="501 of the last 1001"):
        fuse.note(1, 1)


def test_runs_of_many_records() -> None:
    fuse = Fuse(window=100)
    fuse.note(60, 40)
    with pytest.raises(Fused, match="51 of the last 101"):
        fuse.note(41, 11)


@given(st.lists(st.booleans(), max_size=80))
def test_against_the_plain_definition(deaths: list[bool]) -> None:
    fuse = Fuse(window=20)
    for i, dead in enumerate(deaths, 1):
        last = deaths[max(0, i - 20) : i]
        if i >= 20 and sum(last) > 10:
            with pytest.raises(Fused):
                fuse.note(1, int(dead))
            return
        fuse.note(1, int(dead))
