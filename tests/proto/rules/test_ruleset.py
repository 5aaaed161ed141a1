"""Rules together."""

from __future__ import annotations

import pytest

from stages.proto.rules.rulefile import Rule, parse_rules
from stages.proto.rules.ruleset import MAX_HELLOS, RuleSet
from tests.proto.rules.material import made, seen

TEXT = """
[[rule]]
name = "usual"
when = ["self signed"]

[[rule]]
name = "asked"
when = ["suite == 57"]
[rule.hello]
versions = ["tls1.2"]
suites = ["57"]

[[rule]]
name = "asked-too"
when = ["suite == 51"]
[rule.hello]
versions = ["tls1.2"]
suites = ["0x39"]
"""


def test_each_is_judged_by_the_answer_to_its_hello() -> None:
    rules = RuleSet(parse_rules(TEXT))
    (hello,) = rules.hellos
    one = seen(made({"CN": "a"}))
    assert rules.judge(one, "modern") == rules.judge(one, None) == rules.judge(one, "jarm1") == ["usual"]
    assert rules.judge(one, hello) == ["asked"]
    assert rules.judge(one, "rule-00000000") == []
    assert [rule.name for rule in rules.of(hello)] == ["asked", "asked-too"]


def test_refused() -> None:
    (rule, *_) = parse_rules(TEXT)
    with pytest.raises(ValueError, match="two rules are called 'usual'"):
        RuleSet([rule, rule])
    hello = '[[rule]]\nname = "n{0}"\nwhen = ["suite == {0}"]\nhello = {{ versions = ["tls1.2"], suites = [{0}] }}\n'
    many: list[Rule] = parse_rules("".join(hello.format(number) for number in range(MAX_HELLOS + 1)))
    assert len(RuleSet(many[:-1]).hellos) == MAX_HELLOS
    with pytest.raises(ValueError, match="9 different hellos, at most 8"):
        RuleSet(many)
