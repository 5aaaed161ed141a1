"""Records in the shape of zgrab2's output, so that existing parsers read them. Pure.

    {"ip": ..., "domain": ..., "data": {"tls": {"status", "protocol", "port", "result": {"handshake_log": {...}},
                                                "timestamp", "error"}}}

`status` is of zgrab2's vocabulary; ours is finer, and stands beside it as `outcome` and `phase`, as JA3S does, which
zgrab2 has no place for: below `result` is only what zgrab2 1.0 prints there too. Certificates are rendered by whoever
reads certificates: `certificate`, DER -> JSON.
"""

from __future__ import annotations

from binascii import a2b_hex
from collections.abc import Callable
from typing import Any, Final

import orjson

from stages.core.outcome import Outcome, Phase
from stages.core.record_fields import b64
from stages.core.records import Banner, Tls
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
_VERSION_NAMES: Final = {code: name for name, code in _VERSIONS.items()}

#: Names of the compression methods (RFC 3749) as zcrypto has them.
_COMPRESSIONS: Final = {0: "NULL", 1: "DEFLATE"}

#: The extension in which a ServerHello of TLS 1.3 says its version (RFC 8446 section 4.2.1).
_SUPPORTED_VERSIONS: Final = 43


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
    if isinstance(record, Tls) and record.ja3s is not None:
        said["ja3s"] = record.ja3s
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
    return _grab(record, "tls", {"handshake_log": log} if log else None)


def _version(code: int) -> dict[str, Any]:
    return {"name": _VERSION_NAMES.get(code, "unknown"), "value": code}


def _server_hello(record: Tls) -> dict[str, Any]:
    said: dict[str, Any] = {}
    hello = record.server_hello or {}
    version = _VERSIONS.get(record.version or "", 0)
    legacy, extensions = hello.get("legacy_version"), hello.get("extensions")
    if isinstance(legacy, int):
        said["version"] = _version(legacy)
        if isinstance(extensions, list) and _SUPPORTED_VERSIONS in extensions:
            said["supported_versions"] = {"selected_version": _version(version)}
    elif record.version is not None:
        said["version"] = {"name": record.version, "value": version}
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
    method = hello.get("compression")
    if isinstance(method, int):
        name = _COMPRESSIONS.get(method, "unknown")
        said["compression_method"] = {"hex": f"0x{method:02X}", "name": name, "value": method}
    if record.alpn:
        said["alpn_protocol"] = record.alpn
    if extensions:
        said["extension_identifiers"] = extensions
    return said
