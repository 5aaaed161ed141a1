"""What each extension of a certificate says (RFC 5280 4.2 and the RFCs named below). Pure.

A reader takes the walker and the element inside the OCTET STRING, and gives what is stored. One that cannot read raises
DerError; the others are read all the same. Lists are bounded by MAX_OTHERS, names by MAX_NAMES.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final

from stages.proto.der import BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, DerError, Element, Walker
from stages.proto.x509 import oids
from stages.proto.x509.general import KINDS, MAX_OTHERS, read_general, read_names

#: Bytes of an extension that we do not know and keep: the DER holds it whole.
MAX_UNKNOWN_BYTES: Final = 1_024


def _sequence(walker: Walker, element: Element) -> list[Element]:
    return walker.children(walker.expect(element, SEQUENCE))


def _key_usage(walker: Walker, element: Element) -> dict[str, Any]:
    value = walker.flags(walker.expect(element, BIT_STRING))
    return {"names": [name for i, name in enumerate(oids.USAGES) if value >> i & 1], "value": value}


def _basic_constraints(walker: Walker, element: Element) -> dict[str, Any]:
    said: dict[str, Any] = {"is_ca": False}
    for part in _sequence(walker, element):
        if part.tag == BOOLEAN:
            said["is_ca"] = walker.boolean(part)
        elif part.tag == INTEGER:
            length = walker.integer(part)
            if -(2**31) <= length < 2**31:
                said["max_path_len"] = length
            else:
                walker.note("a path length beyond reason")
        else:
            raise DerError(f"tag 0x{part.tag:02x} in basic constraints at byte {part.start}")
    return said


def _alt_name(walker: Walker, element: Element) -> dict[str, Any]:
    return read_names(walker, _sequence(walker, element))


def _purposes(walker: Walker, element: Element) -> list[str]:
    found = [walker.oid(part) for part in _sequence(walker, element)[:MAX_OTHERS]]
    return [oids.PURPOSES.get(oid, oid) for oid in found]


def _octets(walker: Walker, element: Element) -> str:
    return walker.content(walker.expect(element, OCTET_STRING)).hex()


def _authority_key(walker: Walker, element: Element) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for part in _sequence(walker, element):
        if part.tag == 0x80:
            said["key_id"] = walker.content(part).hex()
        elif part.tag == 0xA1:
            said["issuer"] = read_names(walker, walker.children(part))
        elif part.tag == 0x82:
            said["serial"] = str(walker.integer(part)) if part.end - part.body <= 128 else walker.content(part).hex()
    return said


def _access(walker: Walker, element: Element) -> dict[str, Any]:
    said: dict[str, Any] = {"ocsp_urls": [], "issuer_urls": []}
    for part in _sequence(walker, element)[:MAX_OTHERS]:
        method, place = _pair(walker, part)
        oid = walker.oid(method)
        _, value = read_general(walker, place)
        if oid == oids.OCSP:
            said["ocsp_urls"].append(value)
        elif oid == oids.CA_ISSUERS:
            said["issuer_urls"].append(value)
        else:
            said.setdefault("others", []).append({"id": oid, "location": value})
    return said


def _pair(walker: Walker, element: Element) -> list[Element]:
    pair = _sequence(walker, element)
    if len(pair) != 2:
        raise DerError(f"{len(pair)} parts instead of 2 at byte {element.start}")
    return pair


def _distribution_points(walker: Walker, element: Element) -> list[str]:
    """The names of every point (4.2.1.13): URLs, in practice."""
    found: list[str] = []
    for point in _sequence(walker, element)[:MAX_OTHERS]:
        for part in walker.children(walker.expect(point, SEQUENCE)):
            if part.tag != 0xA0:
                continue
            for name in walker.children(part):
                if name.tag == 0xA0:  # fullName
                    values = [read_general(walker, g)[1] for g in walker.children(name)]
                    found += [value for value in values if isinstance(value, str)]
    return found[:MAX_OTHERS]


def _policies(walker: Walker, element: Element) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in _sequence(walker, element)[:MAX_OTHERS]:
        pieces = _sequence(walker, part)
        if not pieces:
            raise DerError(f"a policy without an identifier at byte {part.start}")
        policy: dict[str, Any] = {"id": walker.oid(pieces[0])}
        for qualifier in _sequence(walker, pieces[1])[:MAX_OTHERS] if len(pieces) > 1 else ():
            kind, value = _pair(walker, qualifier)
            oid = walker.oid(kind)
            if oid == oids.CPS:
                policy.setdefault("cps", []).append(walker.text(value))
            elif oid == oids.USER_NOTICE:
                policy.setdefault("user_notice", []).extend(_notice(walker, value))
        found.append(policy)
    return found


def _notice(walker: Walker, element: Element) -> list[str]:
    """The explicit text of a user notice (4.2.1.4)."""
    return [walker.text(part) for part in _sequence(walker, element) if part.tag != SEQUENCE]


def _constraints(walker: Walker, element: Element) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for part in _sequence(walker, element):
        side = {0xA0: "permitted", 0xA1: "excluded"}.get(part.tag)
        if side is None:
            raise DerError(f"tag 0x{part.tag:02x} in name constraints at byte {part.start}")
        trees: dict[str, list[Any]] = said.setdefault(side, {})
        for tree in walker.children(part)[:MAX_OTHERS]:
            pieces = _sequence(walker, tree)
            if not pieces:
                raise DerError(f"a constraint without a name at byte {tree.start}")
            if KINDS.get(pieces[0].tag) == "ip_addresses":
                trees.setdefault("ip_addresses", []).append(_network(walker.content(pieces[0])))
            else:
                kind, value = read_general(walker, pieces[0])
                trees.setdefault(kind, []).append(value)
    return said


def _network(raw: bytes) -> str:
    """Address and mask (4.2.1.10) as `10.0.0.0/8`."""
    half = len(raw) // 2
    if len(raw) in (8, 32):
        mask = int.from_bytes(raw[half:], "big")
        bits = mask.bit_count()
        if mask == (1 << 8 * half) - (1 << 8 * half - bits):
            return str(ip_network((raw[:half], bits), strict=False))
    raise DerError(f"no network in name constraints: {raw[:32].hex()}")


def _scts(walker: Walker, element: Element) -> list[dict[str, Any]]:
    """SignedCertificateTimestampList (RFC 6962 section 3.3); times in microseconds."""
    return read_scts(walker.content(walker.expect(element, OCTET_STRING)))


def read_scts(raw: bytes) -> list[dict[str, Any]]:
    """The list as it also stands in a TLS extension. Raises DerError."""
    if len(raw) < 2 or int.from_bytes(raw[:2], "big") != len(raw) - 2:
        raise DerError("the length of the list of timestamps")
    found: list[dict[str, Any]] = []
    at = 2
    while at < len(raw) and len(found) < MAX_OTHERS:
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if end > len(raw):
            raise DerError("a timestamp longer than its list")
        found.append(_sct(raw[at + 2 : end]))
        at = end
    return found


def _sct(raw: bytes) -> dict[str, Any]:
    """RFC 6962 section 3.2: version, log, milliseconds, extensions, signature."""
    if len(raw) < 43:
        raise DerError(f"a timestamp of {len(raw)} bytes")
    rest = 43 + int.from_bytes(raw[41:43], "big")
    if len(raw) < rest + 4:
        raise DerError("a timestamp that ends inside its extensions")
    milliseconds = int.from_bytes(raw[33:41], "big")
    said: dict[str, Any] = {
        "version": raw[0] + 1,
        "log_id": raw[1:33].hex(),
        "timestamp": milliseconds * 1000 if milliseconds < 2**52 else str(milliseconds * 1000),
        "hash": raw[rest],
        "algorithm": raw[rest + 1],
        "signature": raw[rest + 4 :].hex(),
    }
    if rest > 43:
        said["extensions"] = raw[43:rest].hex()
    return said


def _poison(walker: Walker, element: Element) -> bool:
    return True


def _features(walker: Walker, element: Element) -> list[int]:
    """TLS features (RFC 7633): 5 is "must staple"."""
    return [walker.integer(part) & 0xFFFF for part in _sequence(walker, element)[:MAX_OTHERS]]


def _onions(walker: Walker, element: Element) -> list[dict[str, Any]]:
    found = []
    for part in _sequence(walker, element)[:MAX_OTHERS]:
        pieces = _sequence(walker, part)
        if len(pieces) != 3:
            raise DerError(f"a service descriptor of {len(pieces)} parts at byte {part.start}")
        algorithm = _sequence(walker, pieces[1])
        found.append(
            {
                "onion": walker.text(pieces[0]),
                "algorithm": oids.HASHES.get(walker.oid(algorithm[0]), "") if algorithm else "",
                "hash": walker.bits(pieces[2]).hex(),
            }
        )
    return found


def _organization(walker: Walker, element: Element) -> dict[str, Any]:
    """cabfOrganizationIdentifier (EV guidelines 9.8.2)."""
    parts = _sequence(walker, element)
    if len(parts) not in (3, 4):
        raise DerError(f"an organization identifier of {len(parts)} parts at byte {element.start}")
    said = {
        "scheme": walker.text(parts[0]),
        "country": walker.text(parts[1]),
        "reference": walker.text(parts[-1]),
    }
    if len(parts) == 4:
        said["state"] = walker.content(parts[2]).decode("latin-1")
    return said


def _statements(walker: Walker, element: Element) -> list[dict[str, Any]]:
    """qcStatements (RFC 3739 section 3.2.6): identifiers, and what is said of each as DER in hex."""
    found = []
    for part in _sequence(walker, element)[:MAX_OTHERS]:
        pieces = _sequence(walker, part)
        if not pieces:
            raise DerError(f"a statement without an identifier at byte {part.start}")
        said: dict[str, Any] = {"id": walker.oid(pieces[0])}
        if len(pieces) > 1:
            said["value"] = walker.whole(pieces[1])[:MAX_UNKNOWN_BYTES].hex()
        found.append(said)
    return found


#: OID -> (key in documents, reader).
READERS: Final[dict[str, tuple[str, Callable[[Walker, Element], Any]]]] = {
    oids.KEY_USAGE: ("key_usage", _key_usage),
    oids.BASIC_CONSTRAINTS: ("basic_constraints", _basic_constraints),
    oids.SUBJECT_ALT_NAME: ("subject_alt_name", _alt_name),
    oids.ISSUER_ALT_NAME: ("issuer_alt_name", _alt_name),
    oids.NAME_CONSTRAINTS: ("name_constraints", _constraints),
    oids.CRL_DISTRIBUTION_POINTS: ("crl_distribution_points", _distribution_points),
    oids.AUTHORITY_KEY_ID: ("authority_key_id", _authority_key),
    oids.SUBJECT_KEY_ID: ("subject_key_id", _octets),
    oids.EXTENDED_KEY_USAGE: ("extended_key_usage", _purposes),
    oids.CERTIFICATE_POLICIES: ("certificate_policies", _policies),
    oids.AUTHORITY_INFO_ACCESS: ("authority_info_access", _access),
    oids.CT_SCTS: ("signed_certificate_timestamps", _scts),
    oids.CT_POISON: ("ct_poison", _poison),
    oids.TLS_FEATURE: ("tls_feature", _features),
    oids.TOR_SERVICE_DESCRIPTORS: ("tor_service_descriptors", _onions),
    oids.CABF_ORGANIZATION_ID: ("cabf_organization_id", _organization),
    oids.QC_STATEMENTS: ("qc_statements", _statements),
}
