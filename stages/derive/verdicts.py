"""What is said of one certificate, at one point in time: each verdict with its reason. Pure.

{"at": ..., "expired": {"is": "no", "why": "until 2027-01-01T00:00:00.000000Z"}, "self_signed": {...}, ...,
 "untrusted": {"certifi": {"is": "unknown", "why": "its issuer is not at hand: CN=R3"}},
 "mismatch": [{"name": "www.example.org", "is": "yes", "why": "..."}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stages.core.times import EARLIEST, LATEST, rfc3339
from stages.derive.paths import Issuers, Node, Signed, signed, trust
from stages.proto.x509 import oids
from stages.proto.x509.certificate import Certificate
from stages.proto.x509.hostnames import covers
from stages.proto.x509.signatures import pss_hash
from stages.proto.x509.verdict import Is, Verdict

#: What the CA/Browser Forum's baseline requirements (section 6.1.5) ask of a key since 2014.
MIN_RSA_BITS: Final = 2_048
MIN_DSA_BITS: Final = 2_048
MIN_EC_BITS: Final = 224

#: Hashes for which collisions are known (RFC 6151, RFC 6194): a signature over one can be moved to another certificate.
WEAK_HASHES: Final = frozenset({"md2", "md4", "md5", "sha1"})

#: Names asked for that are judged of one certificate: a shared one is asked for under thousands.
MAX_ASKED: Final = 100

#: Names listed in a reason.
_SHOWN: Final = 3


def _moment(us: int) -> str:
    return rfc3339(us) if EARLIEST <= us <= LATEST else str(us)


def expired(c: Certificate, at: int) -> Verdict:
    if c.not_after is None:
        return Verdict(Is.UNKNOWN, "its end could not be read")
    return Verdict(Is.YES if at > c.not_after else Is.NO, f"until {_moment(c.not_after)}")


def not_yet_valid(c: Certificate, at: int) -> Verdict:
    if c.not_before is None:
        return Verdict(Is.UNKNOWN, "its beginning could not be read")
    return Verdict(Is.YES if at < c.not_before else Is.NO, f"from {_moment(c.not_before)}")


def self_signed(node: Node, check: Signed = signed) -> Verdict:
    """Its signature verifies with its own key: neither names nor key identifiers prove it."""
    verdict = check(node, node)
    if verdict.holds is Is.YES:
        return Verdict(Is.YES, "its signature verifies with its own key")
    if verdict.holds is Is.NO:
        return Verdict(Is.NO, "its signature does not verify with its own key")
    return verdict


def weak_key(c: Certificate) -> Verdict:
    key = c.key
    if key is None:
        return Verdict(Is.UNKNOWN, "the key could not be read")
    kind: str = key["type"]
    bits: Any = key.get("bits")
    if kind in ("rsa", "rsa-pss"):
        exponent = int(key["exponent"], 0)
        if bits < MIN_RSA_BITS:
            return Verdict(Is.YES, f"RSA of {bits} bits")
        if exponent < 3 or exponent % 2 == 0:
            return Verdict(Is.YES, f"RSA with the exponent {key['exponent'][:40]}")
        if int(key["modulus"], 16) % 2 == 0:
            return Verdict(Is.YES, "RSA with an even modulus")
        return Verdict(Is.NO, f"RSA of {bits} bits")
    if kind == "dsa" and bits is not None:
        return Verdict(Is.YES if bits < MIN_DSA_BITS else Is.NO, f"DSA of {bits} bits")
    if kind == "ec" and bits is not None:
        return Verdict(Is.YES if bits < MIN_EC_BITS else Is.NO, f"curve {key['curve']}")
    if kind in ("ed25519", "ed448"):
        return Verdict(Is.NO, kind)
    where = f"on {key['curve']}" if "curve" in key else key["oid"]
    return Verdict(Is.UNKNOWN, f"a key of kind {kind} {where}")


def weak_signature(c: Certificate) -> Verdict:
    algorithm = oids.SIGNATURES.get(c.signature_oid or "")
    if algorithm is None:
        return Verdict(Is.UNKNOWN, f"signature algorithm {c.signature_oid or 'could not be read'}")
    name, digest, _ = algorithm
    if not digest:
        found = pss_hash(c.signature_parameters)
        if found is None:
            return Verdict(Is.UNKNOWN, f"{name} with parameters that could not be read")
        name, digest = f"{name} with {found}", found
    return Verdict(Is.YES if digest in WEAK_HASHES else Is.NO, name)


def mismatch(c: Certificate, asked: str) -> Verdict:
    """Whether the certificate is not for the name that was asked (RFC 6125)."""
    if "subject_alt_name" in c.broken or c.subject is None:
        return Verdict(Is.UNKNOWN, "its names could not be read")
    if covers(asked, c.dns_names, c.addresses, c.common_names):
        return Verdict(Is.NO, f"it is for {asked}")
    if c.extensions.get("subject_alt_name", {}).get("left_off"):
        return Verdict(Is.UNKNOWN, "it has more names than are read")
    names = c.dns_names or c.addresses or c.common_names
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return Verdict(Is.YES, f"it is for {', '.join(names[:_SHOWN])}{more}"[:400] if names else "it is for no name")


def judge(
    node: Node,
    at: int,
    stores: Mapping[str, Issuers],
    issuers: Issuers,
    asked: Iterable[str] = (),
    check: Signed = signed,
) -> dict[str, Any]:
    """All verdicts, as they are stored. `stores`: name of a root store -> its roots; `asked`: names that were."""
    c = node.certificate
    said: dict[str, Any] = {
        "at": at,
        "expired": expired(c, at).document(),
        "not_yet_valid": not_yet_valid(c, at).document(),
        "self_signed": self_signed(node, check).document(),
        "weak_key": weak_key(c).document(),
        "weak_signature": weak_signature(c).document(),
        "untrusted": {name: trust(node, roots, issuers, at, check).document() for name, roots in stores.items()},
    }
    names = sorted(set(asked))[:MAX_ASKED]
    if names:
        said["mismatch"] = [{"name": name, **mismatch(c, name).document()} for name in names]
    return said
