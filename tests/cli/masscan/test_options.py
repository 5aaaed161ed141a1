"""The table of options: no name twice, each found however it is written, each says what it does."""

from __future__ import annotations

from collections import Counter

import pytest

from stages.cli.masscan.options import BY_NAME, EXACT, OPTIONS, Option, plain


def test_no_name_is_two_options() -> None:
    names = Counter(name if len(name) <= 2 else plain(name) for option in OPTIONS for name in set(option.names))
    doubled = {name for name, count in names.items() if count > 1}
    # `excludefile` and `exclude-file` are one name, written in two ways.
    assert all(len({id(o) for o in OPTIONS if name in map(plain, o.names) or name in o.names}) == 1 for name in doubled)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.names[0])
def test_an_option_does_one_thing(option: Option) -> None:
    assert sum((bool(option.refused), bool(option.ignored), bool(option.becomes))) == 1
    assert (option.act is None) <= bool(option.refused or option.ignored or "system-config" in option.names)
    for name in option.names:
        found = EXACT[name] if len(name) <= 2 else BY_NAME[plain(name.upper())]
        assert found is option


def test_case_and_punctuation_say_nothing() -> None:
    assert plain("Max-Rate") == plain("max.rate") == plain("MAX_RATE") == "maxrate"
