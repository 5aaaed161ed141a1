"""The hellos that we send."""

from __future__ import annotations

import pytest

from stages.proto.tls import codes
from stages.proto.tls.names import suite_name
from stages.proto.tls.offers import (
    ANCIENT,
    ANONYMOUS_SUITES,
    HELLOS,
    MODERN,
    OLD,
    RARE_SUITES,
    SCSV,
    SUITES,
    TLS13_SUITES,
    WIDE,
    limited,
)
from stages.proto.tls.schedule import SUITES13
from stages.proto.tls.script import script_of
from stages.tlsgrab.metrics import HELLOS as LABELS


@pytest.mark.parametrize("spec", HELLOS.values(), ids=lambda spec: spec.name)
def test_no_suite_stands_twice_and_every_hello_can_be_sent(spec: object) -> None:
    assert spec in HELLOS.values()
    hello = HELLOS[spec.name]  # type: ignore[attr-defined]
    assert len(set(hello.suites)) == len(hello.suites)
    script = script_of(hello)
    assert len(script.template.render(b"a.test", bytes(32), b"")) < 1_000


def test_the_labels_of_the_metrics_are_the_names_of_the_hellos() -> None:
    assert tuple(HELLOS) == LABELS


def test_what_is_offered_by_name() -> None:
    """Strong first, without a certificate last; whatever is meant to be seen is offered by somebody."""
    names = [suite_name(code) for code in (*SUITES, *RARE_SUITES, *ANONYMOUS_SUITES)]
    assert [name for name in names if name.startswith("0x")] == ["0x0066", "0x0062", "0x0064"]  # drafts
    for word in ("EXPORT", "RC4_40", "DES_CBC", "3DES", "RC4_128", "NULL", "IDEA", "SEED", "_DH_", "_ECDH_", "DSS"):
        assert any(word in name for name in names), word
    anonymous = [name for name in names if "anon" in name]
    assert [suite_name(code) for code in ANONYMOUS_SUITES] == anonymous
    never = ("anon", "NULL", "EXPORT", "WITH_DES", "PSK")
    assert not any(word in suite_name(code) for code in SUITES for word in never)
    assert set(TLS13_SUITES) == set(SUITES13)


def test_old_hellos_are_old() -> None:
    assert OLD.extensions == (codes.SERVER_NAME,)
    assert ANCIENT.extensions == ()
    assert SCSV in OLD.suites
    assert SCSV in ANCIENT.suites
    assert ANCIENT.suites == OLD.suites
    assert not any(suite >= 0xC000 or "SHA256" in suite_name(suite) for suite in OLD.suites)
    assert len(script_of(OLD).template.render(b"a" * 40, bytes(32), b"")) < 256
    assert (OLD.in_field, ANCIENT.in_field, WIDE.in_field, MODERN.in_field) == (0x0301, 0x0300, 0x0303, 0x0303)


@pytest.mark.parametrize(
    ("lowest", "highest", "left"),
    [
        (0x0300, 0x0304, ["modern", "wide", "old", "ancient"]),
        (0x0301, 0x0303, ["modern", "wide", "old"]),
        (0x0304, 0x0304, ["modern"]),
        (0x0302, 0x0302, ["modern", "wide"]),
        (0x0300, 0x0300, ["wide", "old", "ancient"]),
    ],
)
def test_the_range_of_versions(lowest: int, highest: int, left: list[str]) -> None:
    specs = {name: limited(spec, lowest, highest, (b"h2",)) for name, spec in HELLOS.items()}
    assert [name for name, spec in specs.items() if spec is not None] == left
    for spec in specs.values():
        if spec is None:
            continue
        assert all(lowest <= version <= highest for version in spec.versions)
        own = {codes.SUPPORTED_VERSIONS, codes.KEY_SHARE, codes.COMPRESS_CERTIFICATE} & set(spec.extensions)
        assert bool(own) == (codes.TLS13 in spec.versions)
        assert any(suite in TLS13_SUITES for suite in spec.suites) == (codes.TLS13 in spec.versions)
        assert spec.session_id == (codes.TLS13 in spec.versions)
        script_of(spec)
