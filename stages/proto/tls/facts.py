"""What a client has seen, as the fields of a record: names, numbers, hex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.proto.tls.codes import KEY_SHARE, TLS13

if TYPE_CHECKING:
    from stages.proto.tls.client import Client
    from stages.proto.tls.server_hello import ServerHello


def facts_of(client: Client) -> dict[str, Any]:
    """Fields of a Tls record. Of a handshake that ended after a HelloRetryRequest, what that says."""
    hello = client.server_hello or client.retry
    protocol = client.protocol
    name = client.name
    shown: dict[str, Any] | None = None
    version = suite = None
    if hello is not None:
        shown = hello.facts()
        version, suite = shown["version"], shown["cipher_suite_name"]
        if hello.version == TLS13:
            shown |= facts13_of(client, hello)
    return {
        "alert": client.alert,
        "error": client.error,
        "version": version,
        "cipher_suite": suite,
        "alpn": (protocol.decode("ascii", "backslashreplace") or None) if protocol is not None else None,
        "sni": name.decode("ascii") if name is not None else None,
        "server_hello": shown,
        "ocsp": client.ocsp,
        "scts": client.scts,
        "hello": client.hello_name,
    }


def facts13_of(client: Client, hello: ServerHello) -> dict[str, Any]:
    """What TLS 1.3 adds to a ServerHello: the group of its key share, the HelloRetryRequest before it (hex), the
    encrypted extensions in order, whether a client certificate was asked for, how the chain was compressed."""
    share = hello.extension(KEY_SHARE)
    facts: dict[str, Any] = {"group": int.from_bytes(share[:2], "big") if share is not None else None}
    if client.retry is not None and client.retry is not hello:
        facts["retry"] = client.retry.raw.hex()
    if client.encrypted is not None:
        facts["encrypted_extensions"] = [kind for kind, _ in client.encrypted]
    if client.asked:
        facts["client_certificate"] = True
    if client.compressed is not None:
        facts["compressed_certificate"] = client.compressed
    return facts
