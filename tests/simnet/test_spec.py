"""The specification travels whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stages.simnet.spec import MAX_LISTENERS, Mode, Spec
from stages.simnet.truth import Kind, Shares


@pytest.mark.parametrize(
    "spec",
    [
        Spec(),
        Spec().on_loopback(),
        Spec(
            seed=-5,
            targets=("10.1.0.0/24",),
            ports=(1,),
            shares=Shares(open=1.0, filtered=0.0, rejected=0.0),
            workers=2,
        ),
        Spec(tls_ports=frozenset({1, 2}), web_ports=frozenset(), local=(), rules=False, servers=False),
    ],
)
def test_there_and_back(spec: Spec) -> None:
    assert "\n" not in spec.dump()
    assert Spec.parse(spec.dump()) == spec
    assert Spec.parse(spec.dump().encode()).truth() == spec.truth()


def test_the_truth_of_a_spec() -> None:
    assert replace(Spec(), seed=2).truth() != Spec().truth()
    assert Spec().truth().state("10.0.0.4", 22) is Kind.SSH


def test_loopback_fits() -> None:
    spec = Spec(seed=11).on_loopback()
    assert spec.mode is Mode.LOOPBACK
    assert spec.seed == 11
    assert min(spec.ports) >= 1024
    services = list(spec.truth().services())
    assert 100 < len(services) <= MAX_LISTENERS
    assert {kind for _, _, kind in services} == {kind for kind in Kind if kind.open}


def test_unknown_parts_are_refused() -> None:
    values = json.loads(Spec().dump())
    with pytest.raises(TypeError, match="colour"):
        Spec.parse(json.dumps({**values, "colour": "red"}))
