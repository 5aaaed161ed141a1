from __future__ import annotations

import pytest

from stages.scanner.tee import Rows


def passed(*lines: str, **how: bool) -> list[str]:
    rows = Rows(**how)
    return [found.decode() for line in lines if (found := rows.take(line.encode())) is not None]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("saddr\n", "10.0.0.1\n", "10.0.0.2"), ["10.0.0.1\n", "10.0.0.2\n"]),
        (("10.0.0.1\n", "10.0.0.2\n"), ["10.0.0.1\n", "10.0.0.2\n"]),  # --no-header-row
        (("classification,saddr\n", "synack,10.0.0.1\n", "short\n"), ["10.0.0.1\n"]),
        (("response, saddr, daddr\n", "synack, 10.0.0.1, 10.0.0.2\n"), ["10.0.0.1\n"]),  # extended_file
        (('data,saddr\n', '"a, ""b""",10.0.0.1\n'), ["10.0.0.1\n"]),
        (('{"saddr":"10.0.0.1","success":true}\n', '{"ip":"::1"}\n', "{\n", '{"x":1}\n'), ["10.0.0.1\n", "::1\n"]),
        (("2001:db8::1,80\n", "\n"), ["2001:db8::1\n"]),
    ],
)  # fmt: skip
def test_addresses(lines: tuple[str, ...], expected: list[str]) -> None:
    assert passed(*lines) == expected


def test_successes_alone() -> None:
    rows = ("saddr,success\n", "10.0.0.1,1\n", "10.0.0.2,0\n", "10.0.0.3,true\n", "10.0.0.4\n")
    assert passed(*rows, success_only=True) == ["10.0.0.1\n", "10.0.0.3\n"]
    assert passed('{"saddr":"10.0.0.1","success":true}', '{"saddr":"10.0.0.2"}', success_only=True) == ["10.0.0.1\n"]
    with pytest.raises(ValueError, match="no column `success`"):
        passed("saddr\n", success_only=True)


def test_raw_lines() -> None:
    assert passed("saddr\n", "any, thing\n", "\n", "end", raw=True) == ["saddr\n", "any, thing\n", "\n", "end\n"]


def test_counts() -> None:
    rows = Rows(success_only=True)
    for line in (b"saddr,success\n", b"10.0.0.1,1\n", b"10.0.0.2,0\n"):
        rows.take(line)
    assert (rows.rows, rows.passed) == (2, 1)
