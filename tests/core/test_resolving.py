"""Names to addresses; confined, only the hosts file counts."""

from __future__ import annotations

import pytest

from stages.core.resolving import by_hosts_file, by_system, resolver


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# head\n192.0.2.1 one One.Example # tail two\n2001:db8::1 one\n\n192.0.2.1 one\nfe80::1%lo two\n")
    return path


def test_hosts_file(hosts):
    assert by_hosts_file("one", hosts) == ("192.0.2.1", "2001:db8::1")
    assert by_hosts_file("ONE.example", hosts) == ("192.0.2.1",)
    assert by_hosts_file("two", hosts) == ("fe80::1",)
    with pytest.raises(OSError, match="does not name it"):
        by_hosts_file("three", hosts)


def test_confined_asks_no_server(hosts):
    assert resolver({"LONGLINE_CONFINE": "1"}, hosts)("one") == ("192.0.2.1", "2001:db8::1")
    assert resolver({"LONGLINE_CONFINE": "0"}) is by_system
    assert resolver({}) is by_system


def test_system_resolver_on_what_needs_no_server():
    assert by_system("127.0.0.1") == ("127.0.0.1",)
