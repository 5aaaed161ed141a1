"""The contract between the fast reader and the models: they accept the same records and refuse the same."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import RecordError
from stages.core.outcome import DeadReason
from stages.core.records import MAX_RECORD_BYTES, parse
from stages.core.schema import MODELS, DeadModel, json_schema, validate
from tests.core.record_strategies import junk, records


@given(records)
def test_what_is_dumped_validates(record):
    model = validate(record.dump())
    assert model.kind == orjson.loads(record.dump())["kind"]
    for name in type(record).__dataclass_fields__:
        assert getattr(model, name) == getattr(record, name), name


def verdict(reader, line):
    try:
        reader(line)
    except RecordError as error:
        return error.reason
    return None


@settings(max_examples=400)
@given(records, st.data())
def test_both_refuse_the_same(record, data):
    fields = orjson.loads(record.dump())
    for _ in range(data.draw(st.integers(1, 2))):
        key = data.draw(st.sampled_from(sorted(fields)))
        if data.draw(st.booleans()):
            fields[key] = data.draw(junk)
        else:
            del fields[key]
        if not fields:
            break
    line = orjson.dumps(fields)
    assert verdict(parse, line) == verdict(validate, line), fields


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", DeadReason.UNDECODABLE),
        (b"[]", DeadReason.SCHEMA),
        (b'{"kind": "nonsense"}', DeadReason.SCHEMA),
        (b'{"kind": []}', DeadReason.SCHEMA),
        (b'{"kind": "hit"}', DeadReason.SCHEMA),
        (b" " * (MAX_RECORD_BYTES + 1), DeadReason.OVERSIZED),
    ],
)
def test_reasons(line, reason):
    assert verdict(validate, line) == verdict(parse, line) == reason


def test_dead_letters():
    dead = {
        "kind": "dead",
        "stage": "bannergrab",
        "reason": "schema",
        "source": {"topic": "longline.hits.v1", "partition": 3, "offset": 17},
        "error": "kind is 5",
        "original": "eyJraW5kIjo1fQ==",
    }
    model = DeadModel.model_validate_json(json.dumps(dead))
    assert model.original == b'{"kind":5}'
    assert model.reason is DeadReason.SCHEMA


def test_json_schema():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert len(schema["oneOf"]) == len(MODELS) + 2
    hit = schema["$defs"]["HitModel"]
    assert hit["properties"]["ts"] == {"format": "date-time", "title": "Ts", "type": "string"}
    assert hit["properties"]["port"]["maximum"] == 65535
    assert schema["$defs"]["BannerModel"]["properties"]["data"]["contentEncoding"] == "base64"
    assert set(schema["$defs"]["Outcome"]["enum"]) >= {"ok", "refused", "unreachable"}
