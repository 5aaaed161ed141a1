"""A certificate as text: every line says something, and nothing of it moves the cursor."""

from __future__ import annotations

import pytest

from stages.derive.paths import Node
from stages.derive.roots import RootStore
from stages.derive.verdicts import judge
from stages.proto.x509.certificate import document, read
from stages.sink.certificate_text import SHOWN_NAMES, lines
from tests.certificates.zoo import NOW, build, intermediate, name, p256, root, zoo


def shown(der: bytes, *asked: str) -> list[str]:
    node = Node.of(read(der))
    roots, pool = RootStore.of("zoo", [root().der]), RootStore.of("", [intermediate().der])
    verdicts = judge(node, NOW, {"zoo": roots.issuers}, pool.issuers, asked)
    return lines(
        {"_id": node.digest, "first_seen": 0, **document(node.certificate), "services": 3, "verdicts": verdicts}
    )


def test_what_it_says() -> None:
    text = shown(zoo()["good"], "x.example")
    for line in (
        "subject:            CN=www.zoo.example",
        "not after:          2027-01-01T00:00:00.000000Z",
        "key:                ec 256 secp256r1",
        "names:              www.zoo.example",
        "services:           3",
        "judged for:         2026-11-21T07:00:00.000000Z",
        "untrusted (zoo):    no, a path of 3 to CN=Zoo Root 1",
        "mismatch:           x.example: yes, it is for www.zoo.example",
    ):
        assert line in text
    assert any("and 9980 more" in line for line in shown(zoo()["10,000 names"]))
    assert SHOWN_NAMES == 20


@pytest.mark.parametrize("kind", sorted(zoo()))
def test_every_one_can_be_shown(kind: str) -> None:
    for line in shown(zoo()[kind]):
        what, _, text = line.partition(":")
        assert what
        assert text.strip()
        assert line.isprintable()


def test_control_characters_are_escaped() -> None:
    der = build(name("\x1b[31mred\n"), p256(1)).der
    assert any("CN=\\x1b[31mred\\x0a" in line for line in shown(der))
