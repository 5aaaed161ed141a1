"""Lists of addresses: what an entry means, what is refused and how, and membership against `ipaddress`."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network, summarize_address_range

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ListError
from stages.core.netset import NetSet, Span, is_name, parse_address, parse_entry, parse_lines, range_texts


def v4(first, last=None):
    return Span(4, int(IPv4Address(first)), int(IPv4Address(last or first)))


def v6(first, last=None):
    return Span(6, int(IPv6Address(first)), int(IPv6Address(last or first)))


@pytest.mark.parametrize(
    ("text", "entry", "shown"),
    [
        ("10.0.0.0/8", v4("10.0.0.0", "10.255.255.255"), "10.0.0.0/8"),
        (" 10.1.2.3/8 ", v4("10.0.0.0", "10.255.255.255"), "10.0.0.0/8"),
        ("0.0.0.0/0", v4("0.0.0.0", "255.255.255.255"), "0.0.0.0/0"),
        ("1.2.3.4", v4("1.2.3.4"), "1.2.3.4"),
        ("1.2.3.4/32", v4("1.2.3.4"), "1.2.3.4"),
        ("1.2.3.4-1.2.3.9", v4("1.2.3.4", "1.2.3.9"), "1.2.3.4-1.2.3.9"),
        ("1.2.3.4 - 1.2.3.4", v4("1.2.3.4"), "1.2.3.4"),
        ("::1", v6("::1"), "::1"),
        ("2001:db8::/32", v6("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), "2001:db8::/32"),
        ("2001:db8::1/64", v6("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"), "2001:db8::/64"),
        ("::1-::5", v6("::1", "::5"), "::1-::5"),
        ("Host-1.Example.ORG.", "host-1.example.org", "host-1.example.org"),
        ("localhost", "localhost", "localhost"),
        ("3com.com", "3com.com", "3com.com"),
        ("1.2.3.4.example", "1.2.3.4.example", "1.2.3.4.example"),
    ],
)
def test_entry(text, entry, shown):
    parsed = parse_entry(text)
    assert parsed == entry
    assert str(parsed) == shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.0/33", "a prefix length is a number from 0 to 32"),
        ("10.0.0.0/", "a prefix length"),
        ("10.0.0.0/-1", "a prefix length"),
        ("10.0.0.0/8/8", "a prefix length"),
        ("10.0.0.0/255.0.0.0", "a prefix length"),
        ("2001:db8::/129", "from 0 to 128"),
        ("10.0.0/8", "not an IPv4 address"),
        ("1.2.3", "not an IPv4 address"),
        ("1.2.3.256", "not an IPv4 address"),
        ("01.2.3.4", "not an IPv4 address"),
        ("1.2.3.4-9", "not an IPv4 address"),
        ("1.2.3.4-", "not an IPv4 address"),
        ("1.2.3.9-1.2.3.4", "inverted range"),
        ("::5-::1", "inverted range"),
        ("1.2.3.4-::1", "a range of two IP versions"),
        ("fe80::1%eth0", "not an IPv6 address"),
        ("::g", "not an IPv6 address"),
        ("foo bar", "not a network, an address, a range"),
        ("example.1", "not a network, an address, a range"),
        ("a..b", "not a network, an address, a range"),
        ("a-.b", "not a network, an address, a range"),
        ("bücher.example", "not a network, an address, a range"),
        ("a" * 64 + ".org", "not a network, an address, a range"),
        ("1.2.3.4,1.2.3.5", "not a network, an address, a range"),
    ],
)
def test_refused_with_file_line_and_value(text, problem):
    with pytest.raises(ListError, match=problem) as caught:
        NetSet.parse(["# head", "", text + "  # why"], "block.txt")
    error = caught.value
    assert (error.file, error.line, error.value) == ("block.txt", 3, text)
    assert str(error).startswith("block.txt:3: ")


def test_comments_blank_lines_and_merging():
    lines = ["# all of it", "", "   ", "10.0.0.0/9\n", "10.128.0.0/9 # the other half\r\n", "10.0.0.0/16", "::1"]
    parsed = NetSet.parse(lines, "f")
    assert [str(span) for span in parsed.spans()] == ["10.0.0.0/8", "::1"]
    assert parsed.ranges_v4() == [(10 << 24, (11 << 24) - 1)]
    assert parsed.size == 2**24 + 1
    assert parsed
    assert not NetSet()


def test_names_need_a_resolver():
    with pytest.raises(ListError, match=r"f:1: 'a\.example': a host name, where only addresses"):
        NetSet.parse(["a.example"], "f")
    spans = list(parse_lines(["a.example", "1.1.1.1"], "f", {"a.example": ["192.0.2.1", "2001:db8::1"]}.__getitem__))
    assert spans == [v4("192.0.2.1"), v6("2001:db8::1"), v4("1.1.1.1")]
    assert [span.named for span in spans] == [True, True, False]

    def unknown(name):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ListError, match="cannot be resolved: Name or service not known"):
        NetSet.parse(["a.example"], "f", unknown)
    with pytest.raises(ListError, match="without an address"):
        NetSet.parse(["a.example"], "f", lambda name: [])


def test_membership():
    networks = NetSet.parse(["10.0.0.0/8", "2001:db8::/32"], "f")
    assert "10.1.2.3" in networks
    assert "11.0.0.0" not in networks
    assert "2001:db8::1" in networks
    assert "2001:db9::1" not in networks
    assert networks.contains_u32(10 << 24)
    assert not networks.contains_u32(11 << 24)
    assert networks.contains_span(v4("10.0.0.0", "10.255.255.255"))
    assert not networks.contains_span(v4("10.0.0.0", "11.0.0.0"))
    assert networks.contains_span(v6("2001:db8::"))
    for bad in ("example.org", "1.2.3", ""):
        with pytest.raises(ValueError, match="not an IPv4"):
            assert bad not in networks


networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda p: ip_network(p, strict=False)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda p: ip_network(p, strict=False)),
)


@given(st.lists(networks, max_size=6), st.lists(networks, max_size=6))
def test_against_ipaddress(left, right):
    a, b = NetSet.parse(map(str, left), "a"), NetSet.parse(map(str, right), "b")
    for version, part in ((4, a.v4), (6, a.v6)):
        expected = list(collapse_addresses(net for net in left if net.version == version))
        address = IPv4Address if version == 4 else IPv6Address
        got = [net for first, last in part for net in summarize_address_range(address(first), address(last))]
        assert got == expected
    union, both, only = a.union(b), a.intersect(b), a.minus(b)
    for network in (*left, *right):
        for ip in (network[0], network[-1]):
            in_a, in_b = any(ip in n for n in left), any(ip in n for n in right)
            text = str(ip)
            assert (text in a, text in b) == (in_a, in_b)
            assert (text in union, text in both, text in only) == (in_a or in_b, in_a and in_b, in_a and not in_b)


@given(networks)
def test_span_text_round_trip(network):
    entry = parse_entry(str(network))
    assert isinstance(entry, Span)
    assert entry.size == network.num_addresses
    assert parse_entry(str(entry)) == entry


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text):
    try:
        entry = parse_entry(text)
    except ValueError:
        return
    assert parse_entry(str(entry)) == entry


@given(st.ip_addresses())
def test_parse_address(ip):
    assert parse_address(str(ip)) == (ip.version, int(ip))
    assert ip_address(str(ip)) in ip_network("0.0.0.0/0") or ip.version == 6


def test_everything():
    assert "255.255.255.255" in NetSet.everything()
    assert "::" in NetSet.everything()
    assert NetSet.everything().size == 2**32 + 2**128


def test_is_name():
    assert is_name("a_b.example.")
    assert not is_name("")
    assert not is_name(".")
    assert not is_name("10.0.0.1")
    assert not is_name("a" * 250 + ".org")


@given(st.integers(0, 2**32 - 1))
def test_an_address_has_one_number(number: int) -> None:
    assert parse_address(str(IPv4Address(number))) == (4, number)


@pytest.mark.parametrize(
    "text", ["1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.+4", "1.2.3. 4", "١.2.3.4", "1..2.3"]
)
def test_what_is_nearly_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an IPv4 address"):
        parse_address(text)


def test_ranges_as_text() -> None:
    v4, v6 = [(1, 2), (5, 5)], [(1 << 127, (1 << 127) + 1)]
    assert range_texts(v4, v6) == ["0.0.0.1-0.0.0.2", "0.0.0.5-0.0.0.5", "8000::-8000::1"]
