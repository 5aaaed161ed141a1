from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ListError, UsageError
from stages.scanner import iplist
from stages.scanner.iplist import read_list


def read(tmp_path: Path, text: str | bytes) -> tuple[list[str], list[str]]:
    (tmp_path / "list").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_list(str(tmp_path / "list"))
    return [str(IPv4Address(int(a))) for a in found.v4], [str(IPv6Address(first)) for first, _ in found.v6]


def test_any_order_each_once_with_what_may_stand_besides(tmp_path: Path) -> None:
    text = "10.0.0.9\n1.2.3.4\r\n\n  10.0.0.1  # a comment\n# that\n10.0.0.9\n255.255.255.255\n2001:db8::1\n0.0.0.0"
    assert read(tmp_path, text) == (
        ["0.0.0.0", "1.2.3.4", "10.0.0.1", "10.0.0.9", "255.255.255.255"], ["2001:db8::1"]
    )  # fmt: skip


LINES = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n))),
    st.sampled_from(["", "# x", " 1.2.3.4", "1.2.3.4\r", "::1", "1.2.3.4#5"]),
    st.text("0123456789./ :#ax", max_size=18),
)


@given(st.lists(LINES, max_size=30), st.booleans(), st.integers(1, 64))
def test_it_says_what_the_library_says_of_each_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: bool, at_once: int
) -> None:
    """Fed in pieces of any size."""
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_text("\n".join(lines) + "\n" * end)
    right, wrong = set(), None
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        try:
            if entry:
                right.add(ip_address(entry))
        except ValueError:
            wrong = wrong or (number, entry)
    before, iplist._AT_ONCE = iplist._AT_ONCE, max(at_once, 20)  # type: ignore[misc]
    try:
        if wrong is not None:
            with pytest.raises(ListError) as caught:
                read_list(str(path))
            assert (caught.value.line, caught.value.value) == wrong
        elif not right:
            with pytest.raises(UsageError, match="no address is on the list"):
                read_list(str(path))
        else:
            found = read_list(str(path))
            assert found.v4.tolist() == sorted(int(a) for a in right if a.version == 4)
            assert found.v6.size == sum(a.version == 6 for a in right)
            assert found.size == len(right)
    finally:
        iplist._AT_ONCE = before  # type: ignore[misc]


def test_a_bad_line_is_named_however_far_down_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iplist, "_AT_ONCE", 1000)
    with pytest.raises(ListError, match=r"list:5001: '10\.0\.0\.256': not an address"):
        read(tmp_path, "10.0.0.1\n" * 5000 + "10.0.0.256\n10.0.0.257\n")
    for bad in ("10.0.0.0/24", "10.0.0.1-10.0.0.2", "host.example", "010.0.0.1", "1.2.3", "1.2.3.4.5", "1..3.4"):
        with pytest.raises(ListError, match="list:2: "):
            read(tmp_path, f"1.2.3.4\n{bad}\n")


def test_a_file_that_is_not_there_or_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_list(str(tmp_path / "none"))
    monkeypatch.setattr(iplist, "_AT_ONCE", 100)
    with pytest.raises(ListError, match="a line without an end"):
        read(tmp_path, b"1" * 1000)


def test_many_addresses(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 1 << 32, 200_000, dtype=np.uint64)
    text = "\n".join(str(IPv4Address(int(n))) for n in numbers)
    (tmp_path / "list").write_text(text)
    assert (read_list(str(tmp_path / "list")).v4 == np.unique(numbers)).all()
