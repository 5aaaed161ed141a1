"""A certificate as zcrypto prints it in JSON (`raw` and `parsed`), so that what reads zgrab2 reads us. Pure.

The keys and their shapes are zcrypto's; what could not be read is missing. `self_signed` is said where it needs no
signature verified: names that differ. Otherwise it is missing; `longline certs reprocess` judges it.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from hashlib import md5, sha1, sha256
from ipaddress import ip_network
from typing import Any, Final

from stages.proto.x509.certificate import Certificate, level_of, read
from stages.proto.x509.dn import Name
from stages.proto.x509.oids import ATTRIBUTES, SIGNATURES

_MICRO: Final = 1_000_000
_KEYS: Final = {
    "rsa": "RSA",
    "rsa-pss": "RSA",
    "dsa": "DSA",
    "ec": "ECDSA",
    "ed25519": "Ed25519",
    "x25519": "X25519",
}
_CURVES: Final = {"secp224r1": "P-224", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_LEVELS: Final = {"DV": "DV", "OV": "OV", "IV": "OV", "EV": "EV"}
#: Attributes that a line of a name shows by these words, and all others by their number.
_WORDS: Final = {"2.5.4.5": "serialNumber", "1.2.840.113549.1.9.1": "emailAddress"}

#: Kinds of names in constraints that zcrypto calls otherwise there.
_SUBTREES: Final = {"dns_names": "names", "uniform_resource_identifiers": "uris", "registered_ids": "registred_id"}
#: A host's name of two labels or more, with a wildcard or a label that was hidden before it. Takes linear time.
_HOST: Final = re.compile(r"(?:[*?]\.)*(?:[^\W_]+(?:[-_]+[^\W_]+)*\.)+[^\W_]+(?:-+[^\W_]+)*\.?")
#: What stands behind a backslash wherever it is in a value of a name.
_SPECIAL: Final = re.compile(r'[,+"\\<>;]')
_URI: Final = re.compile(r"(?:ftp|tcp|udp|wss?|https?)://\S+$")


def _b64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _hex_b64(text: str) -> str:
    return _b64(bytes.fromhex(text if len(text) % 2 == 0 else "0" + text))


def _number_b64(text: str) -> str:
    value = int(text, 16)
    return _b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def certificate_json(der: bytes) -> dict[str, Any]:
    """`{raw, parsed}`; `parse_error` says what could not be read."""
    c = read(der)
    said: dict[str, Any] = {"raw": _b64(der), "parsed": _parsed(c)}
    if c.errors:
        said["parse_error"] = c.errors[0]
    return said


def _parsed(c: Certificate) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    if c.version is not None:
        parsed["version"] = c.version
    if c.serial is not None:
        parsed["serial_number"] = c.serial
    if c.signature_oid is not None:
        parsed["signature_algorithm"] = _algorithm(c.signature_oid)
    for key, name in (("issuer", c.issuer), ("subject", c.subject)):
        if name is not None:
            parsed[key] = {k: v for k, v in name.parts().items() if k != "other"}
            if name.attributes:
                parsed[f"{key}_dn"] = _line(name)
    if c.not_before is not None and c.not_after is not None:
        parsed["validity"] = {
            "start": _time(c.not_before),
            "end": _time(c.not_after),
            "length": (c.not_after - c.not_before) // _MICRO,
        }
    if c.key is not None:
        parsed["subject_key_info"] = _key(c)
    parsed["extensions"] = _extensions(c)
    if c.others:
        parsed["unknown_extensions"] = [{"id": e.oid, "critical": e.critical, "value": _b64(e.value)} for e in c.others]
    parsed["signature"] = _signature(c)
    parsed |= {
        "fingerprint_md5": md5(c.der, usedforsecurity=False).hexdigest(),
        "fingerprint_sha1": sha1(c.der, usedforsecurity=False).hexdigest(),
        "fingerprint_sha256": sha256(c.der).hexdigest(),
        "tbs_noct_fingerprint": sha256(c.tbs_no_ct).hexdigest(),
        "spki_subject_fingerprint": sha256(c.spki + c.subject_der).hexdigest(),
        "tbs_fingerprint": sha256(c.tbs).hexdigest(),
        "validation_level": _LEVELS.get(level_of(c), "unknown"),
        "redacted": False,
    }
    names = _names(c)
    if names:
        parsed |= {"names": names, "redacted": any(name.startswith("?") for name in names)}
    return parsed


def _names(c: Certificate) -> list[str]:
    """As they stand there, sorted: those that zcrypto takes for a URL without its scheme, and names without a dot."""
    found = {name for name in c.common_names[-1:] if _HOST.fullmatch(name)}
    found.update(name for name in c.dns_names if "." not in name or _HOST.fullmatch(name))
    found.update(address for address in c.addresses if ":" not in address)
    uris = c.extensions.get("subject_alt_name", {}).get("uniform_resource_identifiers", ())
    found.update(uri for uri in uris if _URI.match(uri))
    return sorted(found)


def _line(name: Name) -> str:
    """In the order of the bytes, joined by a comma and a blank."""
    words = []
    for oid, value in name.attributes:
        word = ATTRIBUTES.get(oid, ("", ""))[1] or _WORDS.get(oid, oid)
        words.append(f"{word}={_escaped(value)}")
    return ", ".join(words)


def _escaped(value: str) -> str:
    """As RFC 4514 section 2.4 has it."""
    said = _SPECIAL.sub(r"\\\g<0>", value)
    if said[:1] in (" ", "#"):
        said = "\\" + said
    return said[:-1] + "\\ " if len(value) > 1 and value.endswith(" ") else said


def _time(us: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return moment.isoformat().replace("+00:00", "Z")


def _algorithm(oid: str) -> dict[str, Any]:
    name = "unknown_algorithm"
    if oid in SIGNATURES:
        _, digest, kind = SIGNATURES[oid]
        hashed = digest.upper()
        name = {
            "rsa": f"{hashed}-RSA",
            "rsa-pss": "RSAPSS",
            "dsa": f"DSA-{hashed}",
            "ec": f"ECDSA-{hashed}",
            "ed25519": "Ed25519",
        }.get(kind, name)
    return {"name": name, "oid": oid}


def _key(c: Certificate) -> dict[str, Any]:
    assert c.key is not None
    key = c.key
    said: dict[str, Any] = {"key_algorithm": {"name": _KEYS.get(key["type"], "unknown_algorithm")}}
    if "modulus" in key:
        exponent = int(key["exponent"], 0)
        said["rsa_public_key"] = {
            "exponent": exponent if exponent < 2**63 else key["exponent"],
            "modulus": _number_b64(key["modulus"]),
            "length": key["bits"],
        }
    elif key["type"] == "ec":
        curve: dict[str, Any] = {"pub": _hex_b64(key["public"]), "curve": _CURVES.get(key["curve"], key["curve"])}
        if "x" in key:
            curve |= {"x": _number_b64(key["x"]), "y": _number_b64(key["y"])}
        if "bits" in key:
            curve["length"] = key["bits"]
        said["ecdsa_public_key"] = curve
    elif key["type"] == "dsa":
        said["dsa_public_key"] = {name: _number_b64(key[name]) for name in ("p", "q", "g", "y") if name in key}
    said["fingerprint_sha256"] = sha256(c.spki).hexdigest()
    return said


def _extensions(c: Certificate) -> dict[str, Any]:
    """zcrypto's shapes of those that it prints otherwise than we store them; the rest as it is."""
    said: dict[str, Any] = {}
    for key, value in c.extensions.items():
        if key == "key_usage":
            said[key] = {**dict.fromkeys(value["names"], True), "value": value["value"]}
        elif key == "extended_key_usage":
            said[key] = {name: True for name in value if "." not in name}
            unknown = [name for name in value if "." in name]
            if unknown:
                said[key]["unknown"] = unknown
        elif key == "authority_key_id":
            if "key_id" in value:
                said[key] = value["key_id"]
        elif key == "signed_certificate_timestamps":
            said[key] = [_sct(sct) for sct in value]
        elif key == "name_constraints":
            said[key] = {"critical": key in c.critical}
            for side, trees in value.items():
                names = _general(trees)
                said[key] |= {f"{side}_{_SUBTREES.get(kind, kind)}": _trees(kind, n) for kind, n in names.items()}
        elif key in ("subject_alt_name", "issuer_alt_name"):
            said[key] = _general(value)
        elif key == "certificate_policies":
            said[key] = [_policy(policy) for policy in value]
        elif key == "authority_info_access":
            said[key] = {kind: urls for kind, urls in value.items() if urls and kind != "others"}
        elif key != "tls_feature":
            said[key] = value
    return said


def _general(names: dict[str, Any]) -> dict[str, Any]:
    """General names. Those of directories are left off: we keep each as a line, and zcrypto shows its parts."""
    said = {kind: value for kind, value in names.items() if kind != "directory_names"}
    if "other_names" in said:
        said["other_names"] = [{**name, "value": _hex_b64(name["value"])} for name in said["other_names"]]
    return said


def _policy(policy: dict[str, Any]) -> dict[str, Any]:
    notices = policy.get("user_notice", ())
    return policy | ({"user_notice": [{"explicit_text": text} for text in notices]} if notices else {})


def _trees(kind: str, names: list[str]) -> list[Any]:
    """Networks with their first and last address and their mask."""
    if kind != "ip_addresses":
        return names
    said: list[Any] = []
    for name in names:
        network = ip_network(name)
        said.append({"cidr": name, "begin": str(network[0]), "end": str(network[-1]), "mask": str(network.netmask)})
    return said


def _sct(sct: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": sct["version"] - 1,
        "log_id": _hex_b64(sct["log_id"]),
        "timestamp": int(sct["timestamp"]) // _MICRO,
        "signature": _b64(bytes((sct["hash"], sct["algorithm"])) + _length(sct["signature"])),
        **({"extensions": _hex_b64(sct["extensions"])} if "extensions" in sct else {}),
    }


def _length(signature: str) -> bytes:
    raw = bytes.fromhex(signature)
    return len(raw).to_bytes(2, "big") + raw


def _signature(c: Certificate) -> dict[str, Any]:
    said: dict[str, Any] = {"value": _b64(c.signature)}
    if c.signature_oid is not None:
        said["signature_algorithm"] = _algorithm(c.signature_oid)
    if c.subject_der and c.issuer_der and c.subject_der != c.issuer_der:
        said["self_signed"] = False
    return said
