"""From a certificate to a root (RFC 5280 section 6, RFC 4158). Pure: who could have issued what is handed in.

A path is looked for depth first among the certificates that carry the issuer's name, those first whose key identifier
fits. Every bound keeps a corpus full of forged certificates of one name from costing more than itself: at a bound the
answer is `unknown`.

    untrusted = no        there is a path; it is given
    untrusted = yes       every way ends at something that is known to be wrong; the reason says what
    untrusted = unknown   a way ends where an issuer is not at hand, or where something cannot be verified: a browser
                          that fetches the missing certificate may well trust it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any, Final

from stages.proto.x509.certificate import Certificate
from stages.proto.x509.signatures import signed_by
from stages.proto.x509.verdict import Is, Verdict

#: Certificates between a leaf and its root; real paths have at most four.
MAX_INTERMEDIATES: Final = 8

#: Signatures verified for one certificate and root store: a real one needs two or three.
MAX_VERIFICATIONS: Final = 64

#: What a critical extension may say without making the path unknown: all that this file or the verdicts look at.
_UNDERSTOOD: Final = frozenset(
    {
        "key_usage",
        "basic_constraints",
        "subject_alt_name",
        "name_constraints",
        "extended_key_usage",
        "certificate_policies",
        "tls_feature",
        "subject_key_id",
        "authority_key_id",
        "issuer_alt_name",
        "crl_distribution_points",
        "authority_info_access",
        "qc_statements",
    }
)
_SERVERS: Final = frozenset({"server_auth", "any", "microsoft_server_gated_crypto", "netscape_server_gated_crypto"})


@dataclass(slots=True)
class Node:
    """A certificate of a path, and what is asked of it again and again."""

    certificate: Certificate
    digest: str  #: SHA-256 of the DER
    subject: str  #: SHA-256 of the name's DER
    issuer: str
    identity: tuple[bytes, bytes]  #: key and name: two certificates of one authority have the same

    @classmethod
    def of(cls, c: Certificate) -> Node:
        return cls(
            c,
            sha256(c.der).hexdigest(),
            sha256(c.subject_der).hexdigest() if c.subject_der else "",
            sha256(c.issuer_der).hexdigest() if c.issuer_der else "",
            (c.spki, c.subject_der),
        )

    @property
    def called(self) -> str:
        return self.certificate.subject.rfc4514() if self.certificate.subject is not None else self.digest


@dataclass(slots=True)
class Trust:
    """What one root store says."""

    verdict: Verdict  #: of `untrusted`
    path: list[str] = field(default_factory=list)  #: SHA-256s, the leaf's first, the root's last

    def document(self) -> dict[str, Any]:
        said = self.verdict.document()
        if self.path:
            said["path"] = self.path
        return said


#: Who carries this name (SHA-256 of its DER): (nodes, whether there are more).
Issuers = Callable[[str], tuple[Sequence[Node], bool]]

#: Whether the second signed the first: `signed_by`, or one that remembers.
Signed = Callable[[Node, Node], Verdict]


def signed(child: Node, parent: Node) -> Verdict:
    return signed_by(child.certificate, parent.certificate.spki, parent.certificate.key)


class _Search:
    """One search; `dead` holds how each way ended."""

    def __init__(self, roots: Issuers, issuers: Issuers, at: int, check: Signed) -> None:
        self.roots = roots
        self.issuers = issuers
        self.at = at
        self.check = check
        self.left = MAX_VERIFICATIONS
        self.dead: list[Verdict] = []

    def end(self, holds: Is, why: str) -> None:
        self.dead.append(Verdict(holds, why))

    def go(self, chain: list[Node]) -> list[Node] | None:
        """The rest of the way from the last of `chain`."""
        last = chain[-1]
        anchors, _ = self.roots(last.issuer)
        for root in anchors:
            if root.digest == last.digest:
                return chain
        for root in anchors:  # an anchor is a name and a key (RFC 5280 6.1.1): its own dates do not matter
            if self._verified(last, root) and self._permitted([*chain, root]):
                return [*chain, root]
        if last.subject == last.issuer and self.check(last, last).holds is Is.YES:
            what = "self-signed and" if len(chain) == 1 else f"leads to {last.called}, which is"
            self.end(Is.YES, f"{what} not in the root store")
            return None
        if len(chain) > MAX_INTERMEDIATES:
            self.end(Is.UNKNOWN, f"more than {MAX_INTERMEDIATES} certificates on the way")
            return None
        return self._through_issuers(chain)

    def _through_issuers(self, chain: list[Node]) -> list[Node] | None:
        last = chain[-1]
        found, more = self.issuers(last.issuer)
        wanted = last.certificate.authority_key_id
        known = {node.identity for node in chain}
        tried = False
        for node in sorted(found, key=lambda n: (n.certificate.key_id != wanted, not _valid(n.certificate, self.at))):
            if node.identity in known:
                continue
            if not self._verified(last, node):
                continue
            tried = True
            why = unfit(node.certificate, len(chain) - 1, self.at)
            if why is not None:
                self.end(why.holds, f"{node.called}: {why.why}")
                continue
            if not self._permitted([*chain, node]):
                continue
            way = self.go([*chain, node])
            if way is not None:
                return way
        if not tried:
            name = last.certificate.issuer.rfc4514() if last.certificate.issuer is not None else "unreadable"
            if found:
                count = f"more than {len(found)}" if more else str(len(found))
                self.end(Is.UNKNOWN, f"none of the {count} certificates of its issuer's name signed it: {name}")
            else:
                self.end(Is.UNKNOWN, f"its issuer is not at hand: {name}")
        return None

    def _verified(self, child: Node, parent: Node) -> bool:
        if self.left == 0:
            self.end(Is.UNKNOWN, f"more than {MAX_VERIFICATIONS} signatures to verify")
            return False
        self.left -= 1
        verdict = self.check(child, parent)
        if verdict.holds is Is.UNKNOWN:
            self.end(Is.UNKNOWN, f"{parent.called}: {verdict.why}")
        return verdict.holds is Is.YES

    def _permitted(self, chain: list[Node]) -> bool:
        verdict = permitted(chain[-1].certificate.extensions.get("name_constraints"), chain[0].certificate)
        if verdict.holds is not Is.YES:
            self.end(Is.YES if verdict.holds is Is.NO else Is.UNKNOWN, f"{chain[-1].called}: {verdict.why}")
        return verdict.holds is Is.YES


def trust(leaf: Node, roots: Issuers, issuers: Issuers, at: int, check: Signed = signed) -> Trust:
    """Whether a path leads from `leaf` to one of the roots, for a TLS server, at `at` (microseconds).

    The leaf's own dates do not count: `expired` and `not_yet_valid` are verdicts of their own.
    """
    own = _of_leaf(leaf.certificate)
    if own is not None:
        return Trust(own)
    search = _Search(roots, issuers, at, check)
    way = search.go([leaf])
    if way is not None:
        path = [node.digest for node in way]
        return Trust(Verdict(Is.NO, f"a path of {len(path)} to {way[-1].called}"), path)
    unknown = [verdict for verdict in search.dead if verdict.holds is Is.UNKNOWN]
    return Trust((unknown or search.dead)[0])


def _of_leaf(c: Certificate) -> Verdict | None:
    if not c.tbs or c.issuer is None:
        return Verdict(Is.UNKNOWN, "could not be read")
    if c.extensions.get("ct_poison"):
        return Verdict(Is.YES, "a precertificate")
    purposes = c.extensions.get("extended_key_usage")
    if purposes is not None and not _SERVERS & set(purposes):
        return Verdict(Is.YES, "its extended key usage is not for servers")
    return _not_understood(c)


def _not_understood(c: Certificate) -> Verdict | None:
    strange = sorted((c.critical - _UNDERSTOOD) | (c.critical & c.broken))
    return Verdict(Is.UNKNOWN, f"critical extension {strange[0]} is not understood") if strange else None


def _valid(c: Certificate, at: int) -> bool:
    return c.not_before is not None and c.not_after is not None and c.not_before <= at <= c.not_after


def unfit(c: Certificate, below: int, at: int) -> Verdict | None:
    """Why a certificate cannot be an issuer at `at` with `below` intermediates under it; None: it can."""
    if c.not_before is None or c.not_after is None:
        return Verdict(Is.UNKNOWN, "its dates could not be read")
    if at > c.not_after:
        return Verdict(Is.YES, "expired")
    if at < c.not_before:
        return Verdict(Is.YES, "not yet valid")
    if c.version == 3 and c.ca is not True:
        return Verdict(Is.YES, "no certificate authority")
    usage = c.extensions.get("key_usage")
    if usage is not None and "certificate_sign" not in usage["names"]:
        return Verdict(Is.YES, "its key usage is not to sign certificates")
    longest = c.extensions.get("basic_constraints", {}).get("max_path_len")
    if longest is not None and below > longest:
        return Verdict(Is.YES, f"its path length is at most {longest}, and {below} are below it")
    purposes = c.extensions.get("extended_key_usage")
    if purposes is not None and not _SERVERS & set(purposes):
        return Verdict(Is.YES, "its extended key usage is not for servers")
    return _not_understood(c)


def permitted(constraints: dict[str, Any] | None, c: Certificate) -> Verdict:
    """Whether an issuer's name constraints allow the names of `c` (RFC 5280 4.2.1.10): DNS, IP, directory names."""
    if constraints is None:
        return Verdict(Is.YES)
    names: dict[str, list[Any]] = {
        "dns_names": c.dns_names or [n for n in c.common_names if "." in n and " " not in n],
        "ip_addresses": c.addresses,
        "directory_names": [c.subject.rfc4514()] if c.subject is not None and c.subject.attributes else [],
    }
    alternatives = c.extensions.get("subject_alt_name", {})
    for side in ("permitted", "excluded"):
        for kind, trees in constraints.get(side, {}).items():
            if kind not in names:
                if alternatives.get(kind) or (kind == "email_addresses" and c.subject and c.subject.values(_EMAIL)):
                    return Verdict(Is.UNKNOWN, f"constraints on {kind} are not checked")
                continue
            for name in names[kind]:
                inside = any(_inside(kind, name, tree) for tree in trees)
                if inside is (side == "excluded"):
                    return Verdict(Is.NO, f"its name constraints do not allow {name}")
    return Verdict(Is.YES)


_EMAIL: Final = "1.2.840.113549.1.9.1"


def _inside(kind: str, name: str, tree: str) -> bool:
    if kind == "dns_names":
        name, tree = name.lower().rstrip("."), tree.lower().lstrip(".")
        return not tree or name == tree or name.endswith("." + tree)
    if kind == "ip_addresses":
        try:
            return ip_address(name) in ip_network(tree)
        except ValueError:
            return False
    return not tree or name == tree or name.endswith("," + tree)
