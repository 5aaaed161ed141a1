from __future__ import annotations

import pytest

from stages.scanner.spec import IDENTITY, ScanSpec, differences, identity_digest, ranges_digest

SPEC = ScanSpec(
    scan="s", version="1", started="2026-11-21T07:10:00.000000Z", targets=("10.0.0.0/24",), addresses=256,
    targets_digest="aa", ports="80", probe="tcp_synscan", seed=7, size=256, last=256, rate=10_000,
)  # fmt: skip


def changed(**fields: object) -> ScanSpec:
    return SPEC.model_copy(update=fields)


@pytest.mark.parametrize(
    "fields", [{"seed": 8}, {"ports": "80,443"}, {"probe": "x"}, {"last": 9}, {"probes": 2}, {"targets_digest": "ab"}]
)
def test_what_a_position_means_is_the_identity(fields: dict[str, object]) -> None:
    assert changed(**fields).digest() != SPEC.digest()
    (line,) = differences(SPEC.identity(), changed(**fields).identity())
    name = next(iter(fields))
    assert line.startswith(f"{name}: ")
    assert line.endswith(f" -> {fields[name]!r}")


@pytest.mark.parametrize(
    "fields", [{"rate": 1.0}, {"engine": "connect"}, {"cooldown": 3.0}, {"vantage": "x"}, {"scan": "t"}]
)
def test_how_it_is_done_is_not(fields: dict[str, object]) -> None:
    assert changed(**fields).digest() == SPEC.digest()


def test_other_targets_are_told_by_their_number_where_that_says_it() -> None:
    other = changed(addresses=200, targets_digest="bb", size=200, last=200).identity()
    assert differences(SPEC.identity(), other) == [
        "addresses: 256 -> 200", "size: 256 -> 200", "last: 256 -> 200",
    ]  # fmt: skip


def test_the_record_holds_everything_and_its_digest() -> None:
    record = SPEC.record()
    assert record["spec"] == SPEC.digest() == identity_digest(SPEC.identity())
    assert set(IDENTITY) < set(record)
    assert ScanSpec.model_validate({key: value for key, value in record.items() if key != "spec"}) == SPEC
    assert "secret" not in record


def test_ranges() -> None:
    v4, v6 = [(1, 2), (5, 5)], [(1 << 127, (1 << 127) + 1)]
    assert ranges_digest(v4, v6) == ranges_digest(tuple(v4), tuple(v6))
    assert len({ranges_digest(v4, []), ranges_digest([], v4), ranges_digest([(1, 5)], []), ranges_digest(v4, v6)}) == 4
