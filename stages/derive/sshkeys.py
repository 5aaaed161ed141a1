"""The host key that an SSH server showed (RFC 4253), where the conversation came so far. Pure.

`bannergrab --talk ssh` and `--talk identify` go to the host key and say its fingerprint in the record's `facts`; in
what others have read it is looked for.

Behind the identification line come binary packets (section 6), in the clear until NEWKEYS; the server's answer to a key
exchange carries its host key first: KEXDH_REPLY and KEX_ECDH_REPLY (31, RFC 4253 section 8, RFC 5656 section 4) and
KEX_DH_GEX_REPLY (33, RFC 4419 section 3). A banner grab that sent nothing has none of them, and then there is no key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

#: Packets looked at; KEXINIT, perhaps a group, and the reply are the first three.
MAX_PACKETS: Final = 8

#: Bytes of one packet (RFC 4253 section 6.1 asks for 35,000).
MAX_PACKET: Final = 35_000

#: Lines before the identification (section 4.2) that are skipped.
MAX_LINES: Final = 32

#: A fingerprint as it is stored.
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")

_GROUP_OR_REPLY: Final = 31
_GEX_REPLY: Final = 33


def ssh_key_of(observation: Mapping[str, Any]) -> str | None:
    """The fingerprint of the host key in a banner observation; None: there is none."""
    facts = observation.get("facts")
    said = facts.get("fingerprint") if isinstance(facts, Mapping) else None
    if isinstance(said, str) and _FINGERPRINT.fullmatch(said):
        return said
    key = host_key(observation.get("data") or b"")
    return None if key is None else fingerprint(key[1])


def host_key(data: bytes) -> tuple[str, bytes] | None:
    """(algorithm, key blob) or None."""
    at = 0
    for _ in range(MAX_LINES):
        end = data.find(b"\n", at)
        if end < 0:
            return None
        line = data[at:end]
        at = end + 1
        if line.startswith(b"SSH-"):
            break
    else:
        return None
    for _ in range(MAX_PACKETS):
        if at + 6 > len(data):
            return None
        length = int.from_bytes(data[at : at + 4], "big")
        padding = data[at + 4]
        if not padding + 2 <= length <= MAX_PACKET or at + 4 + length > len(data):
            return None
        payload = data[at + 5 : at + 4 + length - padding]
        at += 4 + length
        if payload[0] in (_GROUP_OR_REPLY, _GEX_REPLY):
            found = _blob(payload)
            if found is not None:  # 31 is also the group of a group exchange, which begins with a prime
                return found
    return None


def _blob(payload: bytes) -> tuple[str, bytes] | None:
    blob = _string(payload, 1)
    if blob is None:
        return None
    name = _string(blob, 0)
    if name is None or not 0 < len(name) <= 64 or not name.isascii() or not name.decode("ascii").isprintable():
        return None
    return name.decode("ascii"), blob


def _string(data: bytes, at: int) -> bytes | None:
    """RFC 4251 section 5."""
    if at + 4 > len(data):
        return None
    end = at + 4 + int.from_bytes(data[at : at + 4], "big")
    return data[at + 4 : end] if end <= len(data) else None


def fingerprint(blob: bytes) -> str:
    """SHA-256 of the blob, hex: what `ssh-keygen -l` shows in base64."""
    return sha256(blob).hexdigest()
