"""`longline erase`: what was seen in a network goes, its record stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.campaign.journal import Journal
from stages.campaign.mind import Mind
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner
from tests.campaign.material import campaign
from tests.cli.command import longline


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:{tmp_path}/store.db"
    lines = [
        Banner("s", 1, ip, 80, Outcome.OK, Phase.READ, probe="wait", data=b"x").dump().decode()
        for ip in ("192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1")
    ]
    ran = longline("sink", "--store", url, stdin="\n".join(lines) + "\n")
    assert ran.returncode == 0, ran.stderr
    return url


def left(url: str) -> list[str]:
    ran = longline("query", "banners", "--json", "--store", url)
    return [json.loads(line)["ip"] for line in ran.stdout.splitlines()]


def test_networks_are_erased_and_listed(url: str) -> None:
    words = ("192.0.2.0/24", "2001:db8::/32", "--reason", "opted out", "--store", url)
    dry = longline("erase", "--dry-run", "--json", *words)
    assert [json.loads(line)["observations"] for line in dry.stdout.splitlines()] == [2, 1]
    assert len(left(url)) == 4
    ran = longline("erase", "--json", *words)
    assert ran.returncode == 0, ran.stderr
    first, second = map(json.loads, ran.stdout.splitlines())
    assert (first["network"], first["observations"], first["services"]) == ("192.0.2.0/24", 2, 2)
    assert (second["network"], second["observations"], second["reason"]) == ("2001:db8::/32", 1, "opted out")
    assert left(url) == ["198.51.100.1"]
    listed = longline("erase", "--list", "--json", "--store", url)
    assert listed.stdout == ran.stdout
    table = longline("erase", "--list", "--store", url).stdout.splitlines()
    assert table[0].split() == [
        "network", "at", "reason", "observations", "services", "sightings", "states", "events", "ended",
    ]  # fmt: skip
    assert len(table) == 3


def test_what_campaigns_keep_in_mind_is_forgotten_too(url: str, tmp_path: Path) -> None:
    journal, watch = Journal(tmp_path / "campaign.db"), campaign("watch")
    journal.register(watch, 0.0)
    mind = Mind(journal.file, watch.plan, "local")
    mind.saw([((ip, 80), "up") for ip in ("192.0.2.1", "192.0.3.1", "2001:db8::1")], 0.0)
    for words, told in ((("--dry-run",), "would forget"), ((), "forgets")):
        assert mind.count() == (3, 0)
        ran = longline("erase", "192.0.2.0/24", "2001:db8::/32", *words, "--store", url, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert sum(int(line.split()[-3]) for line in ran.stderr.splitlines()) == 2
        assert told in ran.stderr
    assert mind.count() == (1, 0)
    longline("erase", "::/0", "--store", url, cwd=tmp_path)
    assert mind.count() == (1, 0)
    journal.file.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "NETWORK: which network?"),
        (("192.0.2.0/33",), "NETWORK: '192.0.2.0/33'"),
        (("192.0.2.0/24", "nonsense"), "NETWORK: 'nonsense'"),
        (("192.0.2.0/24", "--list"), "--list goes without networks"),
    ],
)
def test_what_cannot_be_erases_nothing(url: str, words: tuple[str, ...], told: str) -> None:
    ran = longline("erase", *words, "--store", url)
    assert ran.returncode == 2
    assert told in ran.stderr
    assert len(left(url)) == 4


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    ran = longline("erase", "192.0.2.0/24", "--store", f"sqlite:{tmp_path}/none.db")
    assert ran.returncode == 2
    assert "no such file" in ran.stderr
    assert not (tmp_path / "none.db").exists()
