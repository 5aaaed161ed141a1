"""Fingerprints of a ServerHello. Pure.

`ja3s` is Salesforce's JA3S, as tlsx prints it: the MD5 of two numbers and a list, so that results can be compared.
`raw` is our own, needs no licence and hides nothing behind a hash: it can be read, cut and searched.

    TLSv1.3_0303_1301_00_32_002b-0033
    |       |    |    |  |  extensions in the server's order, hex
    |       |    |    |  bytes of the session id
    |       |    |    compression method, hex
    |       |    suite, hex
    |       the version in the field, hex
    what was negotiated

Both depend on the hello that was answered: compare only answers to the same one (`hello` of the record).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import md5
from typing import Any, Final

from stages.proto.tls.codes import HELLO_RETRY_REQUEST

#: Different answers remembered: a whole Internet gives some thousands, and most servers a few dozen of them.
_REMEMBERED: Final = 4096

_RETRY: Final = HELLO_RETRY_REQUEST.hex()


def ja3s_text(legacy_version: int, suite: int, extensions: Sequence[int]) -> str:
    """`771,4865,51-43`: what is hashed."""
    return f"{legacy_version},{suite},{'-'.join(map(str, extensions))}"


@lru_cache(_REMEMBERED)
def ja3s(legacy_version: int, suite: int, extensions: tuple[int, ...]) -> str:
    """32 hex digits."""
    return md5(ja3s_text(legacy_version, suite, extensions).encode("ascii"), usedforsecurity=False).hexdigest()


@lru_cache(_REMEMBERED)
def raw(
    version: str, legacy_version: int, suite: int, compression: int, session_id: int, extensions: tuple[int, ...]
) -> str:
    """Our own. `version` by name, `session_id` in bytes."""
    kinds = "-".join(f"{kind:04x}" for kind in extensions)
    return f"{version}_{legacy_version:04x}_{suite:04x}_{compression:02x}_{session_id}_{kinds}"


def fingerprints_of(shown: Mapping[str, Any] | None) -> dict[str, Any]:
    """`ja3s` and `fingerprint` of a ServerHello as a record has it; {} for none, and for a HelloRetryRequest."""
    if shown is None or shown["random"] == _RETRY:
        return {}
    legacy, suite, extensions = shown["legacy_version"], shown["cipher_suite"], tuple(shown["extensions"])
    own = raw(shown["version"], legacy, suite, shown["compression"], len(shown["session_id"]) // 2, extensions)
    return {"ja3s": ja3s(legacy, suite, extensions), "fingerprint": own}
