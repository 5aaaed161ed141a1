from __future__ import annotations

import sys

import pytest

from stages.cli import findings
from stages.cli.findings import FAIL, GOOD, WARN, Finding

RAW, ADMIN = 1 << 13, 1 << 12
DAY = 86_400


@pytest.mark.parametrize(
    ("finding", "state", "told"),
    [
        (findings.privileges(RAW | ADMIN), GOOD, "going on with connections"),
        (findings.privileges(RAW), WARN, "no CAP_NET_ADMIN: no --grab"),
        (findings.privileges(ADMIN), WARN, "no CAP_NET_RAW: no packets"),
        (findings.privileges(0), WARN, "no CAP_NET_RAW and no CAP_NET_ADMIN"),
        (findings.descriptors(1_048_576), GOOD, "1048576"),
        (findings.descriptors(1_024), WARN, "1024"),
        (findings.clock(0), GOOD, "synchronised"),
        (findings.clock(findings.TIME_ERROR), WARN, "not synchronised"),
        (findings.clock(None), WARN, "nobody can be asked"),
        (findings.blocklist("list", 29.6 * DAY), GOOD, "list, 30 days old"),
        (findings.blocklist("list", 31 * DAY), WARN, "list, 31 days old"),
    ],
)
def test_what_is_made_of_it(finding: Finding, state: str, told: str) -> None:
    assert finding.state == state
    assert told in finding.text
    assert (finding.mend == "") is (state == GOOD)


def test_the_mend_stands_below_what_is_not_good() -> None:
    assert Finding(FAIL, "store", "gone", "make it").line == "FAIL store: gone\n     make it"
    assert Finding(GOOD, "store", "there", "nothing").line == "pass store: there"
    assert Finding(WARN, "a", "b").shown() == {"state": "warn", "check": "a", "text": "b", "mend": ""}


def test_the_clock_can_be_asked() -> None:
    state = findings.clock_state()
    assert (state is None) if sys.platform != "linux" else (state is None or 0 <= state <= findings.TIME_ERROR)
