"""A section is immutable, knows its options, and never shows a secret."""

from __future__ import annotations

import pydantic
import pytest

from stages.core.section import MASK, Section, masked, nearest, opt, option_of


class Example(Section):
    """Example: a section of these tests

    More about it.
    """

    count: int = opt(3, "-n", "--count", help="how many", ge=1, le=10)
    from_: str | None = opt(None, "--from", help="whence")
    password: str | None = opt(None, "--password", help="secret", secret=True)
    url: str = opt("-", "--url", help="where")
    mode: str = opt("fast", "--mode", help="how", choices=("fast", "slow"))
    modes: tuple[str, ...] = opt((), "--modes", help="hows", choices=("fast", "slow"))
    plain: int = 7


def test_defaults_bounds_and_choices():
    example = Example()
    assert (example.count, example.from_, example.mode, example.plain) == (3, None, "fast", 7)
    for bad in ({"count": 0}, {"count": 11}, {"mode": "quick"}, {"modes": ("fast", "x")}, {"unknown": 1}):
        with pytest.raises(pydantic.ValidationError):
            Example.model_validate(bad)
    with pytest.raises(pydantic.ValidationError, match="did you mean 'fast'"):
        Example(mode="fest")
    assert Example(modes=("slow", "fast")).modes == ("slow", "fast")


def test_immutable():
    example = Example()
    with pytest.raises(pydantic.ValidationError):
        example.count = 4


def test_names_options_title():
    assert Example.names()["from"] == "from_"
    assert Example.title() == "Example: a section of these tests"
    assert Example.option("count").flags == ("-n", "--count")
    assert Example.option("plain").flags == ()
    assert option_of(pydantic.fields.FieldInfo(description="text")).help == "text"


def test_secrets_are_not_shown():
    example = Example(password="hunter2", url="mongodb://user:p@ss/word@host/db")
    for text in (repr(example), str(example)):
        assert "hunter2" not in text
        assert "p@ss" not in text
        assert "word" not in text.replace("password", "")
    assert example.shown("password") == MASK
    assert example.shown("url") == "mongodb://user:***@host/db"
    assert Example().shown("password") is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("mongodb://u:p@h", "mongodb://u:***@h"),
        ("mongodb://u@h", "mongodb://u@h"),
        ("redis://:p@h:6379", "redis://:***@h:6379"),
        ("kafka://h:9092,h2:9092", "kafka://h:9092,h2:9092"),
        ("sqlite:file.db", "sqlite:file.db"),
        (("a://u:p@h", "b"), ("a://u:***@h", "b")),
        (["a://u:p@h"], ("a://u:***@h",)),
        (5, 5),
    ],
)
def test_masked(value, shown):
    assert masked(value) == shown


def test_nearest():
    assert nearest("conut", ["count", "mode"]) == "; did you mean 'count'?"
    assert nearest("zzzz", ["count", "mode"]) == ""
