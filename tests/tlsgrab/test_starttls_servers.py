"""Every STARTTLS dialogue beside `openssl s_client -starttls`: the same servers, the same chain.

`openssl s_server` has no STARTTLS, so the servers are of our own (`tests.servers.starttls`), and OpenSSL's client
says that they are right. Postfix is in `tests/integration/test_realservers.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from stages.core.outcome import Outcome
from stages.proto.starttls.registry import BY_NAME
from tests.require import require
from tests.servers.certificates import identity, server_context
from tests.servers.starttls import DIALOGUES, starttls
from tests.servers.talkers import talker
from tests.tlsgrab.test_real_servers import shown_by_openssl

Grab = Callable[..., Any]
Line = Callable[..., bytes]


def test_none_is_left_out() -> None:
    assert DIALOGUES.keys() == BY_NAME.keys()


@pytest.mark.parametrize("protocol", sorted(BY_NAME))
async def test_the_chain_is_what_openssl_shows(tlsgrab: Grab, hit_line: Line, protocol: str) -> None:
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    who = identity(middles=2)
    with talker(starttls(protocol, server_context(who))) as target:
        shown = shown_by_openssl(target, "-starttls", protocol)
        assert shown == who.chain, "OpenSSL's client is not content with the server"
        for mode in ("certificate", "full"):
            one = (await tlsgrab([hit_line(target, "a.test")], starttls=protocol, mode=mode)).of(target, "a.test")
            assert (one.outcome, one.starttls, one.error) == (Outcome.OK, protocol, None), mode
            assert one.certificates == shown, mode
