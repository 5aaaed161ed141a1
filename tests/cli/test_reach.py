"""With LONGLINE_CONFINE, which all tests have set, no broker or database beyond this host is asked."""

from __future__ import annotations

import pytest

from stages.cli import reach
from stages.core.errors import Confined
from stages.net import confine
from tests.cli.command import longline


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("-", []),
        ("sqlite:scan.db", []),
        ("sqlite://scan.db", []),
        ("memory:x", []),
        ("kafka://127.0.0.1:9092", ["127.0.0.1"]),
        ("kafka://a.example:9092,b.example", ["a.example", "b.example"]),
        ("kafka://[2001:db8::1]:9092,[::1]", ["2001:db8::1", "::1"]),
        ("mongodb://127.0.0.1", ["127.0.0.1"]),
        ("mongodb://user:p%40ss@db.example:27017,other.example/longline?w=1", ["db.example", "other.example"]),
        ("mongodb+srv://db.example/?tls=true", ["db.example"]),
    ],
)
def test_hosts(url: str, hosts: list[str]) -> None:
    assert list(reach.hosts_of(url)) == hosts


@pytest.mark.parametrize(
    "url", ["-", "sqlite:scan.db", "kafka://127.9.9.9:1,localhost:2", "mongodb://[::1]:1/x", "mongodb://u:p@localhost"]
)
def test_loopback_may_be_reached(url: str) -> None:
    reach.check(url)


@pytest.mark.parametrize(
    "url", ["kafka://127.0.0.1:1,192.0.2.1:2", "mongodb://192.0.2.1", "kafka://broker.example:9092", "mongodb+srv://x"]
)
def test_nothing_else_may(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Confined, match="LONGLINE_CONFINE is set: "):
        reach.check(url)
    monkeypatch.setattr(confine, "_confined", False)
    reach.check(url)


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "-p", "80", "127.0.0.1", "--bus", "kafka://192.0.2.1:9092"),
        ("bannergrab", "--from", "kafka://192.0.2.1:9092"),
        ("tlsgrab", "--to", "kafka://192.0.2.1:9092"),
        ("sink", "--store", "mongodb://192.0.2.1/x"),
        ("query", "services", "--store", "mongodb://192.0.2.1/x"),
        ("export", "services", "--store", "mongodb://192.0.2.1/x"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_refuses_at_once(words: tuple[str, ...]) -> None:
    done = longline(*words)
    assert done.returncode == 1
    assert "192.0.2.1 is not loopback" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
