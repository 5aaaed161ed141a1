from __future__ import annotations

from pathlib import Path

import pytest

from stages.cli.ways import checked, place, way_to
from stages.core.errors import HostError, UsageError
from stages.core.settings import BusSettings
from stages.fleet import ca
from stages.fleet.https import Client
from stages.fleet.logway import LogWay

BUS = BusSettings(prefix="spring")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("friend.example", "https://friend.example:46001"),
        ("https://friend.example:443", "https://friend.example:443"),
        ("kafka://broker:9093", "kafka://broker:9093/spring"),
        ("kafka://one:9093,two:9093/theirs/", "kafka://one:9093,two:9093/theirs"),
        ("sqlite:fleet.db", "sqlite:fleet.db"),
    ],
)
def test_each_coordinator_has_one_spelling(typed: str, url: str) -> None:
    assert checked(typed, BUS) == url
    assert checked(url, BUS) == url


@pytest.mark.parametrize(
    "typed", ["kafka://", "kafka:///prefix", "kafka://broker:x", "kafka://b:1/a/b", "kafka://b:1/a b", "sqlite:"]
)
def test_no_way_at_all(typed: str) -> None:
    with pytest.raises(UsageError, match=r"COORDINATOR|kafka address"):
        checked(typed, BUS)


def test_where_a_certificate_lies_is_of_our_own_users_words(tmp_path: Path) -> None:
    assert place(tmp_path, "https://192.0.2.1:46001") == tmp_path / "192.0.2.1_46001"
    assert place(tmp_path, "https://[2001:db8::1]:46001") == tmp_path / "2001_db8__1_46001"
    assert place(tmp_path, "kafka://broker:9093/theirs") == tmp_path / "kafka_broker_9093_theirs"
    assert place(tmp_path, "sqlite:../../etc/x.db").parent == tmp_path


def test_the_way_is_of_the_urls_kind_and_needs_a_certificate(tmp_path: Path) -> None:
    assert isinstance(way_to("https://friend.example:46001", BUS, None), Client)
    assert isinstance(way_to("kafka://broker:9093/spring", BUS, None), LogWay)
    for url in ("https://friend.example:46001", "kafka://broker:9093/spring"):
        with pytest.raises(UsageError, match="enrol first"):
            way_to(url, BUS, ca.Identity(tmp_path / "nobody"))
    with pytest.raises(HostError, match="cannot be read"):
        way_to("kafka://broker:9093/spring", BUS, None, authority=b"rubbish")
