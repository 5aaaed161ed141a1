"""A file of rules, and everything that can be wrong with it: the line and the key are told, nothing else is raised."""

from __future__ import annotations

import random

import pytest

from stages.proto.rules.rulefile import MAX_FILE, RuleError, parse_rules
from stages.tlsgrab.rules import shipped
from tests.fuzzing import fuzz, inputs
from tests.proto.rules.material import made, seen

FUZZ = inputs()

GOOD = """\
[[rule]]
name = "acme-router"
about = "Acme"
when = [
    'self signed',
    'subject CN matches acme-[0-9a-f]{12}',
]

[rule.hello]
versions = ["tls1.2"]
suites = [
    "0x0039",
]
"""


def test_a_rule() -> None:
    (rule,) = parse_rules(GOOD)
    assert (rule.name, rule.about) == ("acme-router", "Acme")
    assert [each.field.name for each in rule.terms] == ["subject CN", "self signed"], "a signature is verified last"
    assert rule.hello is not None
    assert rule.hello.suites == (0x39,)
    assert rule.holds(seen(made({"CN": "acme-0123456789ab"})))
    assert not rule.holds(seen(made({"CN": "acme-0123456789"})))
    assert not rule.holds(seen(made({"CN": "acme-0123456789ab"}, {"CN": "other"})))
    assert not rule.holds(seen())
    assert parse_rules(GOOD.replace("\n", "\r\n"))[0].name == "acme-router"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "problem"),
    [
        ("[[rule]]", "[[rule]", 1, "", "Expected"),
        ('"acme-router"', "acme-router", 2, "", "Invalid value"),
        ('"acme-router"', '"Acme Router"', 2, "rule[1].name", "a-z, 0-9"),
        ('"acme-router"', "5", 2, "rule[1].name", "a-z, 0-9"),
        ('name = "acme-router"\n', "", 1, "rule[1]", "a rule has a name"),
        ('"Acme"', "5", 3, "rule[1].about", "not a text"),
        ("about", "colour", 3, "rule[1].colour", "no such key"),
        ("'self signed'", "'self made'", 5, "rule[1].when[1]", "begins with no field"),
        ("'self signed'", "7", 5, "rule[1].when[1]", "not a text"),
        ("acme-[0-9a-f]{12}", "(a+)+", 6, "rule[1].when[2]", "may take too long"),
        ("when = [", "when = [] #[", 5, "", "Invalid|Expected"),
        ("[rule.hello]", "[rule.hallo]", 9, "rule[1].hallo", "no such key"),
        ('"tls1.2"', '"tls1.4"', 10, "rule[1].hello.versions[1]", "not one of"),
        ('"0x0039"', '"0x10039"', 12, "rule[1].hello.suites[1]", "no suite"),
        ("suites", "ciphers", 11, "rule[1].hello.ciphers", "no such key in a hello"),
        ("versions", "extensions", 9, "rule[1].hello", "at least one"),
        ("[[rule]]", "[more]\n[[rule]]", 1, "more", "no such key"),
        ("[[rule]]", "[rule]", 1, "rule", "two brackets"),
        (GOOD, GOOD + GOOD, 15, "rule[2].name", "the name of another rule"),
        (GOOD, "", 1, "", "no rule in it"),
        (GOOD, "x = " + "[" * 5000, 1, "", "cannot be read"),
        (GOOD, "#" * (MAX_FILE + 1), 1, "", "at most"),
    ],
)
def test_what_is_wrong_with_it(old: str, new: str, line: int, key: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(RuleError, match=problem) as caught:
        parse_rules(GOOD.replace(old, new, 1))
    error = caught.value
    if key or line != 5:  # what TOML itself cannot read is told by the line where it noticed
        assert (error.line, error.key) == (line, key)


def test_too_many_conditions() -> None:
    lines = ", ".join(["'self signed'"] * 65)
    with pytest.raises(RuleError, match=r"65 conditions.*at most 64"):
        parse_rules(f"[[rule]]\nname = 'x'\nwhen = [{lines}]\n")


@fuzz
def test_mutated_files() -> None:
    """Rules or a RuleError, and the rules can be asked."""
    rng = random.Random(5)
    texts = [GOOD, *shipped().values()]
    parts = [line for text in texts for line in text.splitlines()]
    parts += ["[[rule]]", "when = [", "]", "'", '"', "\\", "{1,9}", "(a|b)*", "not ", " in ", "1979-05-27", "\0", "ü"]
    leaf = seen(made({"CN": "www.abcdefgh.net"}, {"CN": "www.hgfedcba.com"}, kind="rsa2048"))
    read, told = 0, []
    for _ in range(FUZZ):
        text = rng.choice((GOOD, GOOD, texts[rng.randrange(len(texts))][:2000]))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text) + 1)
            kind = rng.randrange(4)
            if kind == 0:
                text = text[:at] + text[at + rng.randint(1, 30) :]
            elif kind == 1:
                text = text[:at] + rng.choice(parts) + text[at:]
            elif kind == 2:
                text = text[:at] + chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x300)))) + text[at + 1 :]
            else:
                end = min(len(text), at + rng.randint(1, 60))
                text = text[:end] + text[at:end] + text[end:]
        try:
            rules = parse_rules(text)
        except RuleError as error:
            told.append((error.line, text.count("\n") + 1))
            continue
        read += 1
        for rule in rules:
            assert rule.holds(leaf) in (True, False)
    assert read > FUZZ // 50
    assert len(told) > FUZZ // 50
    assert all(1 <= line <= last for line, last in told)
