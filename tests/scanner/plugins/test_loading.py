"""From a name to a plugin: classes, entry points, arguments, and all that can be wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from stages.core.errors import UsageError
from stages.scanner.plugins import loading
from stages.scanner.plugins.base import Plugin

HERE = "tests.scanner.plugins.test_loading"


class Plain(Plugin):
    pass


class Told(Plugin):
    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("no file is named")
        self.text = text


@pytest.fixture(autouse=True)
def points(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [EntryPoint("told", f"{HERE}:Told", loading.GROUP), EntryPoint("gone", "no_such_package:X", loading.GROUP)]
    monkeypatch.setattr(loading, "entry_points", lambda *, group: [one for one in known if one.group == group])


def test_by_class_by_entry_point_and_with_an_argument() -> None:
    plain, told, other = loading.load([f"{HERE}:Plain", "told=a=b", f"{HERE}:Told=c"])
    assert type(plain).__name__ == "Plain"
    assert [type(one).__name__ for one in (told, other)] == ["Told", "Told"]
    assert (told.text, other.text) == ("a=b", "c")  # type: ignore[attr-defined]
    assert loading.load([]) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tolt", r"--plugin: 'tolt': there is no such plugin; installed: gone, told; or name a class"),
        ("gone", r"--plugin: 'gone': cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'"),
        ("no.such:X", r"'no\.such:X': cannot be loaded: ModuleNotFoundError"),
        (f"{HERE}:Nope", r"cannot be loaded: AttributeError: .* no attribute 'Nope'"),
        (f"{HERE}:HERE", r"is no class derived from stages\.scanner\.plugins\.base\.Plugin"),
        (f"{HERE}:Told", r"TypeError: .*missing 1 required positional argument: 'text'"),
        ("told=", r"--plugin: 'told=': ValueError: no file is named"),
        (f"{HERE}:Plain=x", r"TypeError"),
    ],
)
def test_what_is_wrong_is_named(name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        loading.load([name])
