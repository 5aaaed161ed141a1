from __future__ import annotations

import pytest

from stages.scanner.fields import fields_of
from stages.scanner.filters import check as checks
from stages.scanner.filters.check import Among, Known, Networks, Numbers, Words, check
from stages.scanner.filters.lexer import FilterError
from stages.scanner.filters.parser import parse


def checked(text: str, probe: str = "tcp_synscan") -> checks.Checked:
    tree = parse(text)
    assert tree is not None
    return check(tree, text, {field.name: field for field in fields_of(probe)}, probe)


def test_terms() -> None:
    named = {field.name: field for field in fields_of("tcp_synscan")}
    assert checked("ttl >= 64") == Numbers(named["ttl"], ">=", 64)
    assert checked("ttl == 0x40") == Numbers(named["ttl"], "=", 64)
    assert checked("success = true") == Numbers(named["success"], "=", 1)
    assert checked("rtt < 0.25") == Numbers(named["rtt"], "<", 0.25)
    assert checked("window = 1e3") == Numbers(named["window"], "=", 1000)
    assert checked("sport in (80, 8000-8100)") == Among(named["sport"], ((80, 80), (8000, 8100)))
    assert checked("sport != 1-1023") == Among(named["sport"], ((1, 1023),), outside=True)
    assert checked("classification != rst") == Words(named["classification"], frozenset({"rst"}), outside=True)
    assert checked('classification in (rst, "synack")') == Words(named["classification"], frozenset({"rst", "synack"}))
    assert checked("saddr in 10.1.2.3/8") == Networks(named["saddr"], ((4, 10 << 24, (11 << 24) - 1),))
    assert checked('saddr = "10.0.0.1"') == Networks(named["saddr"], ((4, (10 << 24) + 1, (10 << 24) + 1),))
    assert checked("tcpopt_mss = null") == Known(named["tcpopt_mss"], known=False)


def test_names_of_old_manuals_are_known() -> None:
    assert checked("saddr-raw = 5") == checked("saddr_raw = 5")
    assert checked("in_cooldown = 0 && is_repeat = 0") == checked("cooldown = 0 && repeat = 0")
    assert checked("response = synack") == checked("classification = synack")
    assert checked("seq = 5", "icmp_echoscan") != checked("seq = 5")  # a field of its own there


@pytest.mark.parametrize(
    ("text", "start", "end", "problem"),
    [
        ("sucess = 1", 0, 6, "tcp_synscan has no field 'sucess'; did you mean 'success'?"),
        ("repeat = 0 && xyzzy = 1", 14, 19, "tcp_synscan has no field 'xyzzy'"),
        ("ttl = abc", 6, 9, "ttl is a number, and 'abc' is none"),
        ("ttl = true", 6, 10, "ttl is a number, and 'true' is none"),
        ("ttl in (1, 10.0.0.1)", 11, 19, "ttl is a number, and '10.0.0.1' is none"),
        ("ttl = 5.5", 6, 9, "ttl is a whole number, and 5.5 is none"),
        ("ttl = 1e999", 6, 11, "1e999 is too large"),
        ("ttl = 9-1", 6, 9, "an inverted range: its end is before its start"),
        ("ttl > 1-9", 6, 9, "a range has no '>': it is for =, != and in"),
        ("ttl = " + "9" * 65, 6, 71, "a number of more than 64 characters"),
        ("classification = 5", 17, 18, "classification is text: write 5 in quotes"),
        ("classification > rst", 15, 16, "classification is text, which has no '>': only =, != and in"),
        ("saddr = example", 8, 15, "'example' is neither an address nor a network such as 10.0.0.0/8"),
        ("saddr in 10.0.0.0/33", 9, 20, "'10.0.0.0/33' is neither an address nor a network such as 10.0.0.0/8"),
        ("saddr = 5", 8, 9, "'5' is neither an address nor a network such as 10.0.0.0/8"),
        ("daddr <= 10.0.0.1", 6, 8, "daddr is an address, which has no '<=': only =, != and in"),
    ],
)
def test_what_cannot_be_compared(text: str, start: int, end: int, problem: str) -> None:
    with pytest.raises(FilterError) as raised:
        checked(text)
    assert (raised.value.start, raised.value.end, raised.value.problem) == (start, end, problem)
    assert str(raised.value).splitlines()[-1] == "  " + " " * start + "^" * (end - start)


def test_bytes_and_lists_are_not_compared() -> None:
    with pytest.raises(FilterError, match="data is binary: it cannot be compared"):
        checked("data = 5", "udp")
    with pytest.raises(FilterError, match="dns_answers is repeated: it cannot be compared"):
        checked("dns_answers = 5", "dns")
