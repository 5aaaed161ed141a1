"""masscan's defaults."""

from __future__ import annotations

from stages.cli.masscan.config import Config


def test_defaults_are_masscans() -> None:
    config = Config()
    assert (config.rate, config.wait, config.ttl, config.retries) == (100.0, 10.0, 255, 0)
    assert (config.show_open, config.show_closed, config.action) == (True, False, "scan")


def test_whether_anything_is_probed() -> None:
    assert not Config().ports
    assert Config(tcp={80}).ports
    assert Config(ping=True).ports
    assert not Config(tcp={80}, not_tcp={80}).ports
