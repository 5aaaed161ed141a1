from __future__ import annotations

from stages.scanner.summary_lines import ctime, lines
from tests.scanner.test_told import told

#: What the older manual shows, but for two secrets that there are not here.
KEYS = """
cnf target-port | cnf source-port-range-begin | cnf source-port-range-end | cnf source-addr-range-begin
cnf source-addr-range-end | cnf maximum-packets | cnf maximum-runtime | cnf permutation-seed | cnf cooldown-period
cnf send-interface | cnf rate | env nprocessors | exc send-start-time | exc send-end-time | exc recv-start-time
exc recv-end-time | exc sent | exc blacklisted | exc first-scanned | exc hit-rate | exc synack-received-unique
exc synack-received-total | exc synack-cooldown-received-unique | exc synack-cooldown-received-total
exc rst-received-unique | exc rst-received-total
"""


def test_the_manuals_lines() -> None:
    made = list(lines(told()))
    keys = [tuple(line.split("\t")[:2]) for line in made]
    wanted = [tuple(key.split()) for key in KEYS.replace("\n", "|").split("|") if key.strip()]
    assert [key for key in keys if key in wanted] == wanted
    assert {group for group, _ in keys} == {"cnf", "env", "exc", "adv"}
    for line in (
        "cnf\ttarget-port\t80,443", "cnf\tsource-addr-range-end\t192.0.2.2", "exc\thit-rate\t12.500000",
        "exc\tsend-start-time\tSat Nov 21 07:10:00 2026", "exc\trst-received-unique\t2", "env\tnprocessors\t16",
    ):  # fmt: skip
        assert line in made


def test_unknown_is_left_out() -> None:
    one = told()
    one.sender, one.times.send_start = {}, None
    assert not any("send-interface" in line or "send-start" in line for line in lines(one))
    assert ctime(0) == "Thu Jan  1 00:00:00 1970"
