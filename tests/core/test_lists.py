"""Reading list files: a bad line, a missing file, an empty allowlist; what an allowlist lifts."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from stages.core import lists as lists_module
from stages.core.errors import ListError, UsageError
from stages.core.lists import lifts, read_lists
from stages.core.netset import Span, parse_entry, parse_lines
from stages.core.settings import ListSettings
from tests.fuzzing import fuzz, inputs

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()


@pytest.fixture
def file(tmp_path):
    def write(text, name="list.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def names(name):
    return {"a.example": ["10.0.0.1"]}[name]


def test_no_files():
    lists = read_lists(ListSettings(), names)
    assert not lists.block
    assert lists.allow is None
    assert lists.lifts == frozenset()


def test_files_of_one_kind_add_up(file):
    lists = read_lists(
        ListSettings(blocklist_file=(file("1.0.0.0/8", "a"), file("2.0.0.0/8\na.example", "b"))),
        names,
    )
    assert [str(span) for span in lists.block.spans()] == ["1.0.0.0-2.255.255.255", "10.0.0.1"]
    assert lists.named
    assert lists.allow is None


def test_allowlist_lifts_by_its_entries(file):
    allow = file("9.0.0.0/8\n10.0.0.0/8\n127.0.0.1\na.example\n")
    lists = read_lists(ListSettings(allowlist_file=(allow,)), names)
    assert lists.lifts == {"10.0.0.0/8", "127.0.0.0/8"}
    assert lists.allow is not None
    assert lists.allow.size == 2 * 2**24 + 1


def test_names_lift_nothing():
    assert lifts([Span(4, 10 << 24, 10 << 24, named=True)]) == frozenset()
    assert lifts([parse_entry("10.0.0.0"), parse_entry("8.8.8.8")]) == {"10.0.0.0/8"}


def test_merging_in_between_changes_nothing(file, monkeypatch):
    monkeypatch.setattr(lists_module, "_MERGE_EVERY", 2)
    allow = file("".join(f"10.0.0.{n}\n" for n in range(9)) + "1.1.1.1\n")
    lists = read_lists(ListSettings(allowlist_file=(allow,)), names)
    assert lists.allow is not None
    assert [str(span) for span in lists.allow.spans()] == ["1.1.1.1", "10.0.0.0-10.0.0.8"]
    assert lists.lifts == {"10.0.0.0/8"}


def test_bad_line(file):
    path = file("1.0.0.0/8\n10.0.0.0/40\n")
    with pytest.raises(ListError) as caught:
        read_lists(ListSettings(blocklist_file=(path,)), names)
    assert str(caught.value).startswith(f"{path}:2: '10.0.0.0/40': a prefix length")


@pytest.mark.parametrize("option", ["blocklist_file", "allowlist_file"])
def test_unreadable_files(option, file, tmp_path):
    for path, problem in (
        (str(tmp_path / "missing"), "No such file"),
        (str(tmp_path), "directory"),
        (file(b"\xff\xfe"), "not a text in UTF-8"),
    ):
        with pytest.raises(UsageError, match=problem) as caught:
            read_lists(ListSettings(**{option: (path,)}), names)
        assert path in str(caught.value)
        assert caught.value.place == f"--{option.replace('_', '-')}"


def test_empty_allowlist(file):
    with pytest.raises(UsageError, match="the allowlist is empty"):
        read_lists(ListSettings(allowlist_file=(file("# nothing\n"),)), names)
    assert not read_lists(ListSettings(blocklist_file=(file("# nothing\n"),)), names).block


def test_what_is_excluded_by_name_is_blocked_beside_the_files(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("10.0.0.1\n")
    settings = ListSettings(blocklist_file=(str(file),), exclude=("10.0.1.0/24", "10.0.0.3-10.0.0.4"))
    lists = read_lists(settings, lambda name: [])
    assert [str(pair) for pair in lists.block.v4] == [
        str((167772161, 167772161)), str((167772163, 167772164)), str((167772416, 167772671)),
    ]  # fmt: skip
    with pytest.raises(ListError, match=r"--exclude:2: '10\.0\.0\.0/99'"):
        read_lists(ListSettings(exclude=("10.0.0.1", "10.0.0.0/99")), lambda name: [])


def test_lines_that_cannot_be_read_are_left_out_when_asked(file, caplog):
    settings = ListSettings(
        blocklist_file=(file("1.0.0.0/8\n1.2.3\nno.example\n2.0.0.0/8\n10.0.0.0/99", "a"),),
        allowlist_file=(file("rubbish!\n3.0.0.0/8", "b"),),
        ignore_blocklist_errors=True,
    )

    def nobody(name):
        raise OSError("no such name")

    with caplog.at_level("WARNING", "longline"):
        lists = read_lists(settings, nobody)
    assert [str(span) for span in lists.block.spans()] == ["1.0.0.0-2.255.255.255"]
    assert [str(span) for span in lists.allow.spans()] == ["3.0.0.0/8"]
    assert [re.search(r"/[ab]:(\d)", message)[1] for message in caplog.messages] == ["2", "3", "5", "1"]


@fuzz
def test_any_list_is_read_or_its_line_is_named() -> None:
    """No line is the reason for two errors, and what is read is no wrong range."""

    def known(name: str) -> list[str]:
        if name != "a.example":
            raise ValueError("no such name")
        return ["10.0.0.1", "2001:db8::9"]

    draw = random.Random(17)
    entries = [
        "10.0.0.1", "10.0.0.0/8", "10.0.0.5-10.0.0.9", "2001:db8::/32", "2001:db8::1", "a.example", "192.0.2.0/31",
        "# note", "", "10.1.2.3 # note", "  10.9.9.9  ",
    ]  # fmt: skip
    read = refused = 0
    for _ in range(COUNT):
        lines = [draw.choice(entries) for _ in range(draw.randint(1, 4))]
        for _ in range(draw.randint(0, 3)):
            number = draw.randrange(len(lines))
            at = draw.randrange(len(lines[number]) + 1)
            piece = draw.choice(("/", "-", ".", ":", "#", " ", "999", "0", "/33", "::", "é", "\0", "\t", ",", "%"))
            lines[number] = lines[number][:at] + piece + lines[number][at + draw.randint(0, 2) :]
        wrong: list[ListError] = []
        spans = list(parse_lines(lines, "list.txt", known, on_error=wrong.append))
        numbers = [int(str(error).split(":")[1]) for error in wrong]
        assert numbers == sorted(set(numbers))
        assert all(1 <= number <= len(lines) for number in numbers)
        refused += bool(wrong)
        read += not wrong
        assert len(spans) <= 2 * len(lines)
        assert all(span.first <= span.last for span in spans)
    assert min(read, refused) > COUNT // 20
