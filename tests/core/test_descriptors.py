from __future__ import annotations

import logging
import resource
import subprocess
import sys

import pytest

from stages.core import descriptors
from stages.core.descriptors import NO_LIMIT, RESERVED, UNKNOWN_LIMIT, fit_concurrency, raise_descriptor_limit


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))\n"
        "from stages.core.descriptors import raise_descriptor_limit as r\n"
        "print(r(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "(300, 300) (300, 300)"


def test_a_refused_raise_keeps_the_soft_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    with caplog.at_level(logging.INFO, "longline.core.descriptors"):
        assert raise_descriptor_limit() == (256, NO_LIMIT)
    assert "stays at 256" in caplog.text


def test_where_limits_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert descriptors.raise_descriptor_limit() == (UNKNOWN_LIMIT, UNKNOWN_LIMIT)


@pytest.mark.parametrize(
    ("wanted", "limit", "fits"),
    [(500, 20_000, 500), (1000, 1000 + RESERVED, 1000), (1000, 64, 64 - RESERVED), (10, 5, 1), (1, 1, 1)],
)
def test_what_fits(wanted: int, limit: int, fits: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "longline.core.descriptors"):
        assert fit_concurrency(wanted, limit) == fits
    assert (f"{wanted} connections" in caplog.text) == (wanted > fits)
