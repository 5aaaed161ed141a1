"""The name that is asked for."""

from __future__ import annotations

import pytest

from stages.tlsgrab.sni import sni_of


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        (None, None),
        ("", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("[2001:db8::1]", None),
        ("example.org", b"example.org"),
        ("Example.ORG.", b"example.org"),
        ("localhost", b"localhost"),
        ("_dmarc.example.org", b"_dmarc.example.org"),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("BÜCHER.example", b"xn--bcher-kva.example"),
        ("xn--bcher-kva.example", b"xn--bcher-kva.example"),
        (".".join(["x" * 63] * 3 + ["x" * 61]), ".".join(["x" * 63] * 3 + ["x" * 61]).encode()),
    ],
)
def test_what_is_sent(name: str | None, sent: bytes | None) -> None:
    assert sni_of(name) == sent


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "a b",
        "a..b",
        "-a.org",
        "a-.org",
        "x" * 64,
        ".".join(["x" * 63] * 4),
        "1.2.3",
        "192.0.2.256",
        "a/b",
        "a:443",
        "nul\0",
        "line\nend",
        "*.example.org",
        "ü" * 64,
        "\ud800.org",
        "[example.org]",
    ],
)
def test_what_is_no_host_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        sni_of(name)
