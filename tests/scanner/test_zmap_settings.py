from __future__ import annotations

import pytest

from stages.scanner.zmap_settings import ZmapSettings, parse_cores


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"user_metadata": "{"}, "not JSON"),
        ({"cores": "0,x"}, "'x' is not the number of a processor"),
        ({"cores": ""}, "is not the number of a processor"),
        ({"validate_source_port": "disable"}, "every answer is bound to its probe"),
        ({"validate_source_port": "perhaps"}, "enable"),
        ({"log_file": "a", "log_directory": "b"}, "give one of them"),
        ({"min_hitrate": 101}, "less than or equal to 100"),
        ({"batch": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ZmapSettings(**fields)  # type: ignore[arg-type]


def test_what_is_understood() -> None:
    held = ZmapSettings(user_metadata='{"a": 1}', cores="0, 3", validate_source_port="enable", batch=64)
    assert parse_cores(held.cores or "") == {0, 3}
