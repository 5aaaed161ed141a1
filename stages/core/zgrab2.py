"""Records in the shape of zgrab2's output, so that existing parsers read them. Pure.

    {"ip": ..., "domain": ..., "data": {"tls": {"status", "protocol", "port", "result": {"handshake_log": {...}},
                                                "timestamp", "error"}}}

`status` is of zgrab2's vocabulary; ours is finer, and stands beside it as `outcome` and `phase`. Certificates are
rendered by whoever reads certificates: `certificate`, DER -> JSON.
"""

from __future__ import annotations

from binascii import a2b_hex
from collections.abc import Callable
from typing import Any, Final

import orjson

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Tls, b64
from stages.core.times import rfc3339

CertificateJson = Callable[[bytes], dict[str, Any]]

#: Ours -> zgrab2's (scan_status.go); timeout and reset depend on the phase.
_STATUS: Final = {
    Outcome.OK: "success",
    Outcome.EMPTY: "success",
    Outcome.SILENT: "io-timeout",
    Outcome.REFUSED: "connection-refused",
    Outcome.UNREACHABLE: "unknown-error",
    Outcome.RESET: "connection-closed",
    Outcome.TIMEOUT: "io-timeout",
    Outcome.PROTOCOL: "protocol-error",
    Outcome.ALERT: "handshake-error",
    Outcome.BLOCKED: "blocklisted-target",
    Outcome.EXPIRED: "unknown-error",
    Outcome.LOCAL: "unknown-error",
    Outcome.CANCELLED: "unknown-error",
}
_BEFORE: Final = frozenset({Phase.RESOLVE, Phase.CONNECT})

#: Codes of the protocol versions that have names in our records.
_VERSIONS: Final = {"SSLv3": 0x0300, "TLSv1.0": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def status(outcome: Outcome, phase: Phase) -> str:
    """zgrab2's word for how it ended."""
    if outcome is Outcome.TIMEOUT and phase in _BEFORE:
        return "connection-timeout"
    return _STATUS[outcome]


def _grab(record: Banner | Tls, module: str, result: dict[str, Any] | None) -> bytes:
    said: dict[str, Any] = {
        "status": status(record.outcome, record.phase),
        "protocol": module,
        "port": record.port,
        "outcome": record.outcome,
        "phase": record.phase,
    }
    if result is not None:
        said["result"] = result
    said["timestamp"] = rfc3339(record.ts)
    problem = record.errno if isinstance(record, Banner) else record.error or record.alert or record.errno
    if problem is not None:
        said["error"] = problem
    grab: dict[str, Any] = {"ip": record.ip}
    if record.name:
        grab["domain"] = record.name
    grab["data"] = {module: said}
    return orjson.dumps(grab)


def banner_line(record: Banner) -> bytes:
    """One line without its end. The banner is Latin-1: one character a byte, so that nothing is lost."""
    result = {"banner": record.data.decode("latin-1"), "length": len(record.data)} if record.data else None
    return _grab(record, "banner", result)


def tls_line(record: Tls, certificate: CertificateJson) -> bytes:
    """One line without its end; of mode `jarm` as zgrab2's module of that name prints it."""
    if record.mode == "jarm":
        return _grab(record, "jarm", None if record.jarm is None else {"fingerprint": record.jarm})
    log: dict[str, Any] = {}
    hello = _server_hello(record)
    if hello:
        log["server_hello"] = hello
    if record.certificates:
        first, *rest = (certificate(der) for der in record.certificates)
        log["server_certificates"] = {"certificate": first}
        if rest:
            log["server_certificates"]["chain"] = rest
    result: dict[str, Any] = {"handshake_log": log} if log else {}
    if record.ja3s is not None:
        result["ja3s"] = record.ja3s
    return _grab(record, "tls", result or None)


def _server_hello(record: Tls) -> dict[str, Any]:
    said: dict[str, Any] = {}
    hello = record.server_hello or {}
    if record.version is not None:
        said["version"] = {"name": record.version, "value": _VERSIONS.get(record.version, 0)}
    for key in ("random", "session_id"):
        if isinstance(hello.get(key), str):
            said[key] = b64(a2b_hex(hello[key]))
    code = hello.get("cipher_suite")
    if isinstance(code, int):
        said["cipher_suite"] = {
            "hex": f"0x{code:04X}",
            "name": hello.get("cipher_suite_name") or record.cipher_suite,
            "value": code,
        }
    elif record.cipher_suite is not None:
        said["cipher_suite"] = {"name": record.cipher_suite}
    if isinstance(hello.get("compression"), int):
        said["compression_method"] = hello["compression"]
    if record.alpn:
        said["alpn_protocol"] = record.alpn
    return said
