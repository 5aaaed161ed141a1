from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.campaign.plan import MAX_BYTES, MAX_DOWN_VANTAGES, Plan, pair, place, read
from stages.core.errors import UsageError
from stages.derive.availability import MAX_VANTAGES

WHOLE = """\
# A campaign.
[campaign]
name = "watch"
full_every = "1d"
known_every = "1h"
known_slowest = "12h"
start = 2026-11-28T22:00:00Z
hours = "22-6"
zone = "Europe/Berlin"
vantages = ["local", "alice"]
grabs = ["tls"]
controls = ["192.0.2.1:80", "[2001:db8::1]:443"]
approval = "ticket 17"

[campaign.down]
misses = 2
vantages = 2

[scanner]
targets = ["10.0.0.0/20"]
target_ports = "80,443"

[lists]
exclude = ["10.0.3.0/24"]
"""


def test_a_whole_file() -> None:
    campaign = read("c.toml", WHOLE.encode())
    plan = campaign.plan
    assert (plan.full_every, plan.known_every, plan.slowest) == (86_400, 3_600, 43_200)
    assert plan.pairs == (("192.0.2.1", 80), ("2001:db8::1", 443))
    assert (plan.down.misses, plan.down.vantages) == (2, 2)
    assert campaign.sections == {
        "scanner": {"targets": ("10.0.0.0/20",), "target_ports": "80,443"},
        "lists": {"exclude": ("10.0.3.0/24",)},
    }
    assert campaign.at("scanner", "target_ports") == "c.toml:21: [scanner] target_ports"
    assert plan.window("full") == 86_400 * 0.5 * 8 / 24


def test_the_least() -> None:
    plan = read("c.toml", b'[campaign]\nname = "w"\nfull_every = 60\n').plan
    assert (plan.vantages, plan.grabs, plan.slowest, plan.window("known")) == (("local",), ("banner", "tls"), 60, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "watch"', 'name = "../x"', "c.toml:3: [campaign] name: '../x'"),
        ('full_every = "1d"', 'full_every = "1 fortnight"', "c.toml:4: [campaign] full_every: '1 fortnight'"),
        ('full_every = "1d"', "full_every = 0", "c.toml:4: [campaign] full_every: 0: "),
        ('full_every = "1d"', "", "full_every is not there"),
        ('full_every = "1d"', "full_every = = 1", "line 4"),
        ("known_slowest", "known_slow", "c.toml:6: [campaign] known_slow: no such key; did you mean 'known_slowest'?"),
        ('known_slowest = "12h"', 'known_slowest = "1m"', "below known_every"),
        ("22:00:00Z", "22:00:00", "c.toml:7: [campaign] start"),
        ('"22-6"', '"22"', "c.toml:8: [campaign] hours: '22'"),
        ("Europe/Berlin", "Europe/Bonn", "c.toml:9: [campaign] zone: 'Europe/Bonn'"),
        ('"alice"', '"local"', "c.toml:10: [campaign] vantages"),
        ('["local", "alice"]', "[]", "c.toml:10: [campaign] vantages"),
        ('["tls"]', '["ssh"]', "c.toml:11: [campaign] grabs: 'ssh'"),
        ("192.0.2.1:80", "host:80", "c.toml:12: [campaign] controls"),
        ('approval = "ticket 17"', "approval = 17", "c.toml:13: [campaign] approval: 17"),
        (
            '"ticket 17"',
            '"of\\nmany lines"',
            "c.toml:13: [campaign] approval: 'of\\nmany lines': one line",
        ),
        ("misses = 2", "misses = 0", "c.toml:16: [campaign.down] misses: 0"),
        ("misses = 2", "miss = 2", "c.toml:16: [campaign.down] miss: no such key; did you mean 'misses'?"),
        ("misses = 2", "misses = true", "c.toml:16: [campaign.down] misses: True"),
        ("vantages = 2", "vantages = 3", "down.vantages is 3"),
        ("[lists]", "[list]", "'list': no section of a campaign; did you mean 'lists'?"),
        ("[campaign]", "[campain]", "'campain'"),
        ("[scanner]", "[bus]", "'bus': no section of a campaign"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(UsageError) as caught:
        read("c.toml", WHOLE.replace(old, new, 1).encode())
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff", b"", b"x" * (MAX_BYTES + 1), b"campaign = 1", b"scanner = 2\n[campaign]"])
def test_no_campaign(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"c\.toml"):
        read("c.toml", data)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_a_file_with_anything_in_it_is_read_or_refused(junk: bytes, at: int) -> None:
    data = WHOLE.encode()
    with suppress(UsageError):
        assert isinstance(read("c.toml", data[:at] + junk + data[at:]).plan, Plan)


@pytest.mark.parametrize("text", ["", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:http", "x:80", ":80"])
def test_no_pair(text: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS:PORT"):
        pair(text)


def test_a_key_that_stands_in_two_sections() -> None:
    text = "[a]\nx = 1\n[b]\n  x = 2\n"
    assert place("f", text, "b", "x") == "f:4: [b] x"
    assert place("f", text, "c", "x") == "f: [c] x"


def test_no_outage_asks_for_more_vantages_than_are_told_apart() -> None:
    assert MAX_DOWN_VANTAGES == MAX_VANTAGES
    with pytest.raises(UsageError, match="less than or equal to 16"):
        read("c.toml", WHOLE.replace("vantages = 2", "vantages = 17", 1).encode())
