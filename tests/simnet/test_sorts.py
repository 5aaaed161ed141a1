"""Which certificate a service shows."""

from __future__ import annotations

import pytest

from stages.simnet.sorts import PLAN, Sort, number
from stages.simnet.truth import Kind


def test_every_sort_is_in_the_plan() -> None:
    assert set(PLAN) == set(Sort)
    assert len(PLAN) == 32


def test_every_identity_is_shown_by_some_service() -> None:
    shown = {number(kind, n) for kind in Kind if kind.tls for n in range(64)}
    assert shown == set(range(len(PLAN)))


@pytest.mark.parametrize("detail", range(40))
def test_only_unparsable_services_show_what_cannot_be_read(detail: int) -> None:
    assert PLAN[number(Kind.TLS_UNPARSABLE, detail)] is Sort.UNPARSABLE
    assert PLAN[number(Kind.TLS12, detail)] is not Sort.UNPARSABLE
    assert PLAN[number(Kind.TLS13, detail)] is not Sort.UNPARSABLE


def test_plain_services_show_none() -> None:
    with pytest.raises(ValueError, match="SSH"):
        number(Kind.SSH, 1)
