"""A ClientHello out of a table: byte for byte what it says, and what it must not say."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stages.proto.rules.hellos import KEYS, MAX_ITEMS, HelloError, hello_of
from stages.proto.tls.offers import GROUPS, MODERN, SIGNATURES, WIDE
from stages.proto.tls.script import script_of
from tests.servers.tls_bytes import client_parts

V1 = {"versions": ["tls1.0", "tls1.2"], "suites": ["0x0039", 0x33, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"]}


def written(table: dict[str, Any]) -> bytes:
    return script_of(hello_of(table)).template.render(b"a.test", bytes(32), b"")


def test_suites_and_nothing_beside_them() -> None:
    hello = written(V1 | {"extensions": ["server_name", "65000:0a0b", "ec_point_formats"]})
    assert hello[4:6] == b"\3\3"
    assert hello[39:47] == b"\0\6\0\x39\0\x33\0\x16"
    _, extensions = client_parts(hello)
    assert list(extensions.items())[1:] == [(65000, b"\n\x0b"), (11, b"\1\0")]
    assert list(extensions) == [0, 65000, 11]


def test_what_is_usual() -> None:
    old = hello_of(V1)
    assert (old.extensions, old.groups, old.signatures, old.shares) == (WIDE.extensions, GROUPS, SIGNATURES, ())
    assert hello_of({"versions": ["ssl3"], "suites": ["5"]}).extensions == ()
    assert 13 not in hello_of({"versions": ["tls1.0"], "suites": ["5"]}).extensions
    new = hello_of({"versions": ["tls1.2", "tls1.3"], "suites": ["0x1301"], "groups": ["x448", "secp384r1", "x25519"]})
    assert (new.extensions, new.versions, new.shares) == (MODERN.extensions, (0x304, 0x303), (24,))
    assert new.session_id


def test_called_by_what_is_in_it() -> None:
    names = {
        hello_of(table).name
        for table in (
            V1, V1 | {"suites": ["0x39"]}, V1 | {"versions": ["tls1.2"]}, V1 | {"extensions": []},
            V1 | {"extensions": ["alpn"], "alpn": ["h2"]}, V1 | {"extensions": ["alpn"], "alpn": ["h3"]},
        )
    }  # fmt: skip
    assert len(names) == 6
    assert hello_of(V1).name == hello_of({"versions": ["TLSv1.2", "TLSv1.0"], "suites": ["57", "51", "22"]}).name
    assert all(name.startswith("rule-") and len(name) == 13 for name in names)


@pytest.mark.parametrize(
    ("table", "key", "item", "problem"),
    [
        ({"suites": ["5"]}, "versions", None, "at least one"),
        ({"versions": ["tls1.2"]}, "suites", None, "at least one"),
        (V1 | {"suites": []}, "suites", None, "at least one"),
        (V1 | {"suites": "5"}, "suites", None, "not a list"),
        (V1 | {"suites": ["5", "x"]}, "suites", 1, "no suite"),
        (V1 | {"suites": [5.0]}, "suites", 0, "not a name or a number"),
        (V1 | {"suites": [True]}, "suites", 0, "not a name or a number"),
        (V1 | {"suites": [-1]}, "suites", 0, "no suite"),
        (V1 | {"suites": ["5"] * (MAX_ITEMS + 1)}, "suites", None, "at most"),
        (V1 | {"versions": ["tls2"]}, "versions", 0, "not one of"),
        (V1 | {"extensions": ["session_ticket"]}, "extensions", None, "extension 35 must be given with its data"),
        (V1 | {"extensions": ["35:0"]}, "extensions", 0, "no extension"),
        (V1 | {"extensions": ["35:" + "00" * 65536]}, "extensions", None, "a hello of more than"),
        (V1 | {"extensions": ["35:" + "00" * 20000]}, "extensions", None, "a hello of more than"),
        (V1 | {"groups": ["x"]}, "groups", 0, "no group"),
        (V1 | {"signatures": ["x"]}, "signatures", 0, "no signature algorithm"),
        (V1 | {"alpn": [""]}, "alpn", 0, "1 to 255"),
        (V1 | {"alpn": ["ü"]}, "alpn", 0, "1 to 255"),
        (V1 | {"ciphers": ["5"]}, "ciphers", None, "no such key"),
    ],
)
def test_refused(table: dict[str, Any], key: str, item: int | None, problem: str) -> None:
    with pytest.raises(HelloError, match=problem) as caught:
        hello_of(table)
    assert (caught.value.key, caught.value.item) == (key, item)


ITEM = st.sampled_from(
    ["tls1.2", "tls1.3", "0x39", "server_name", "key_share", "16", "9:00ff", "x25519", "h2", 5, None]
)


@given(st.dictionaries(st.sampled_from(KEYS), st.lists(ITEM, max_size=6), max_size=6))
def test_any_table(table: dict[str, Any]) -> None:
    try:
        spec = hello_of(table)
    except HelloError:
        return
    assert script_of(spec).template.render(None, bytes(32), b"")[0] == 1
