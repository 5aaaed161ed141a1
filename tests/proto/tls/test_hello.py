"""ClientHello out of data, taken apart again."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.tls.groups import BASE_POINTS
from stages.proto.tls.hello import HelloSpec, Template, server_name
from stages.proto.tls.offers import MODERN


def apart(message: bytes) -> tuple[int, bytes, bytes, list[int], bytes, list[tuple[int, bytes]] | None]:
    """(version, random, session id, suites, compression methods, extensions or None)."""
    assert message[0] == 1
    assert int.from_bytes(message[1:4], "big") == len(message) - 4
    body = message[4:]
    version, random = int.from_bytes(body[:2], "big"), body[2:34]
    at = 35 + body[34]
    session_id = body[35:at]
    size = int.from_bytes(body[at : at + 2], "big")
    suites = [code for (code,) in struct.iter_unpack("!H", body[at + 2 : at + 2 + size])]
    at += 2 + size
    compression = body[at + 1 : at + 1 + body[at]]
    at += 1 + body[at]
    if at == len(body):
        return version, random, session_id, suites, compression, None
    assert int.from_bytes(body[at : at + 2], "big") == len(body) - at - 2
    at += 2
    extensions = []
    while at < len(body):
        kind, size = struct.unpack_from("!HH", body, at)
        extensions.append((kind, body[at + 4 : at + 4 + size]))
        at += 4 + size
    return version, random, session_id, suites, compression, extensions


CODE = st.integers(0, 0xFFFF)


@given(
    st.lists(CODE, max_size=40),
    st.lists(st.tuples(CODE, st.binary(max_size=20)), max_size=10),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=32),
)
def test_what_is_described_is_what_is_sent(
    suites: list[int], extensions: list[tuple[int, bytes]], random: bytes, session_id: bytes
) -> None:
    """Down to the byte: also code points that nobody knows, twice, in any order."""
    spec = HelloSpec("own", (0x0303,), tuple(suites), tuple(extensions), compression=(1, 0), legacy_version=0x0302)
    got = apart(Template(spec).render(b"a.test", random, session_id))
    assert got == (0x0302, random, session_id, suites, b"\1\0", extensions or None)


def test_the_name_stands_where_the_spec_puts_it() -> None:
    spec = HelloSpec("own", (0x0303,), (1,), ((99, b"before"), 0, (98, b"after")))
    random = bytes(32)
    with_name = apart(Template(spec).render(b"a.test", random, b""))[5]
    assert with_name == [(99, b"before"), (0, server_name(b"a.test")), (98, b"after")]
    assert apart(Template(spec).render(None, random, b""))[5] == [(99, b"before"), (98, b"after")]
    assert server_name(b"a.test") == b"\0\x09\0\0\x06a.test"


def test_the_modern_hello() -> None:
    random, session_id = os.urandom(32), os.urandom(32)
    template = Template(MODERN, {29: BASE_POINTS[29]})
    version, *_, extensions = apart(template.render(b"a.test", random, session_id))
    assert version == 0x0303
    assert extensions is not None
    found = dict(extensions)
    assert found[43] == b"\x08\3\4\3\3\3\2\3\1"
    assert found[51] == b"\0\x24\0\x1d\0\x20\x09" + bytes(31)
    assert found[0xFF01] == b"\0"
    assert found[23] == found[18] == b""
    assert found[5] == b"\1\0\0\0\0"
    assert 44 not in found, "no cookie without one"
    assert 16 not in found, "no protocol without one"
    assert template.is13
    assert template.offers(0x0301)
    assert not template.offers(0x0300)


def test_a_cookie_is_sent_back_in_its_place_or_at_the_end() -> None:
    found = apart(Template(MODERN, {23: b"share"}, b"cookie").render(None, bytes(32), b""))[5]
    assert found is not None
    kinds = [kind for kind, _ in found]
    assert kinds.index(44) == kinds.index(43) + 1
    assert dict(found)[44] == b"\0\x06cookie"
    spec = HelloSpec("own", (0x0304,), (0x1301,), (43, 51))
    last = apart(Template(spec, {}, b"c").render(None, bytes(32), b""))[5]
    assert last is not None
    assert last[-1] == (44, b"\0\1c")


def test_an_extension_that_nothing_is_known_of_needs_its_data() -> None:
    with pytest.raises(ValueError, match="extension 99"):
        Template(HelloSpec("own", (0x0303,), (1,), (99,)))
