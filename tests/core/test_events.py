"""Events as lines: what is written is read, and what the model refuses the reader refuses."""

from __future__ import annotations

from typing import Any

import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import RecordError
from stages.core.events import DETAIL_TIMES, Event, EventType, event_id, parse
from stages.core.outcome import DeadReason
from stages.core.records import MAX_RECORD_BYTES, prefix_key
from stages.core.records import parse as parse_record
from stages.core.schema import EventModel, json_schema
from tests.core.record_strategies import junk, maybe, texts, times

EVENTS = st.builds(
    Event,
    id=texts,
    type=st.sampled_from(EventType),
    scan=texts,
    vantage=texts,
    ts=times,
    ip=st.ip_addresses().map(str),
    port=st.integers(0, 65535),
    transport=st.sampled_from(["tcp", "udp", "icmp"]),
    name=maybe(texts),
    details=st.dictionaries(st.sampled_from(DETAIL_TIMES), times).flatmap(
        lambda known: st.dictionaries(st.sampled_from(["hash", "misses"]), texts).map(lambda more: {**known, **more})
    ),
)


@given(EVENTS)
def test_there_and_back(event: Event) -> None:
    line = event.dump()
    assert parse(line) == event
    model = EventModel.model_validate_json(line)
    assert (model.id, model.type, model.ts, model.ip, model.name) == (
        event.id,
        event.type,
        event.ts,
        event.ip,
        event.name,
    )
    said = model.details.model_dump()
    assert {key: said[key] for key in event.details} == event.details


def refused(reader: Any, line: bytes) -> bool:
    try:
        reader(line)
    except (RecordError, pydantic.ValidationError):
        return True
    return False


@settings(max_examples=400)
@given(EVENTS, st.data())
def test_both_refuse_the_same(event: Event, data: st.DataObject) -> None:
    fields = orjson.loads(event.dump())
    into = fields["details"] if fields["details"] and data.draw(st.booleans()) else fields
    key = data.draw(st.sampled_from(sorted(into)))
    if data.draw(st.booleans()):
        into[key] = data.draw(junk)
    else:
        del into[key]
    line = orjson.dumps(fields)
    assert refused(parse, line) == refused(EventModel.model_validate_json, line), fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", DeadReason.UNDECODABLE),
        (b"[]", DeadReason.SCHEMA),
        (b'{"kind": "hit"}', DeadReason.SCHEMA),
        (b'{"kind": "event", "v": 99}', DeadReason.SCHEMA),
        (b" " * (MAX_RECORD_BYTES + 1), DeadReason.OVERSIZED),
    ],
)
def test_reasons(line: bytes, reason: DeadReason) -> None:
    with pytest.raises(RecordError) as caught:
        parse(line)
    assert caught.value.reason is reason


def test_a_time_that_is_null_is_not_there() -> None:
    event = Event("i", EventType.SERVICE_UP, "s", "v", 0, "10.0.0.1", 443, "tcp", details={"until": 5, "x": None})
    line = event.dump().replace(b'"1970-01-01T00:00:00.000005Z"', b"null")
    assert parse(line).details == {"x": None}
    assert parse(line).dump() == line.replace(b'"until":null,', b"")


def test_an_event_is_no_observation() -> None:
    event = Event("i", EventType.MOVED, "s", "v", 0, "10.0.0.1", 443, "tcp")
    with pytest.raises(RecordError, match="kind is 'event'"):
        parse_record(event.dump())
    assert event.key == prefix_key("10.0.0.1")


def test_ids_are_of_what_happened() -> None:
    one = event_id(EventType.SERVICE_DOWN, "10.0.0.1", 443, "tcp", "", 5)
    assert one == event_id(EventType.SERVICE_DOWN, "10.0.0.1", 443, "tcp", "", 5)
    assert len(one) == 32
    others = {
        event_id(EventType.SERVICE_UP, "10.0.0.1", 443, "tcp", "", 5),
        event_id(EventType.SERVICE_DOWN, "10.0.0.2", 443, "tcp", "", 5),
        event_id(EventType.SERVICE_DOWN, "10.0.0.1", 443, "tcp", "a.example", 5),
        event_id(EventType.SERVICE_DOWN, "10.0.0.1", 443, "tcp", "", 6),
    }
    assert len({one, *others}) == 5


def test_it_is_in_the_schema() -> None:
    schema = json_schema()
    assert {"$ref": "#/$defs/EventModel"} in schema["oneOf"]
    assert set(schema["$defs"]["EventType"]["enum"]) == set(EventType)
