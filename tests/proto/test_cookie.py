from __future__ import annotations

import pytest

from stages.proto.cookie import Cookie
from stages.proto.template import Template, Values

TEMPLATE = Template.parse(b"${RAND_BYTE=2}id${RAND_ALPHANUM=16}${RAND_BYTE=99}")
VALUES = Values(1, 2, 3, 4, seed=99)
SENT = TEMPLATE.render(VALUES)


def test_a_cookie_at_its_place() -> None:
    cookie = Cookie(0, 3)
    assert cookie.bits(TEMPLATE) == 16
    assert cookie.answers(TEMPLATE, VALUES, b"abc" + SENT[:2])
    assert not cookie.answers(TEMPLATE, VALUES, b"ab" + SENT[:2])
    assert not cookie.answers(TEMPLATE, VALUES, b"abc" + SENT[:1])


def test_a_cookie_anywhere() -> None:
    cookie = Cookie(1, None)
    assert cookie.bits(TEMPLATE) == 95
    assert cookie.answers(TEMPLATE, VALUES, b"Call-ID: " + SENT[4:20] + b"@x")
    assert not cookie.answers(TEMPLATE, VALUES, b"Call-ID: " + SENT[4:19])


@pytest.mark.parametrize("number", [2, 3])
def test_what_is_no_cookie(number: int) -> None:
    with pytest.raises(ValueError, match=f"random field {number}"):
        Cookie(number, 0).field(TEMPLATE)
