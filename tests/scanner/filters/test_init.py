from __future__ import annotations

import pytest

from stages.scanner import filters
from stages.scanner.settings import DEFAULT_FILTER


def test_the_package_offers_one_verb() -> None:
    assert filters.compile_filter(DEFAULT_FILTER, "tcp_synscan").text == "success = 1 && repeat = 0"
    with pytest.raises(filters.FilterError):
        filters.compile_filter("=", "tcp_synscan")
