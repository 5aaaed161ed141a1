"""Root stores: whom a verdict trusts. `certifi` is Mozilla's list as the package of that name carries it; every other
word is a file of PEM blocks, and its name in the verdicts is the file's without its ending. Several may be given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from stages.core.errors import UsageError
from stages.derive.paths import Node
from stages.derive.pems import read_file
from stages.proto.x509.certificate import read

CERTIFI: Final = "certifi"


@dataclass(slots=True)
class RootStore:
    """Trust anchors by the SHA-256 of their name."""

    name: str
    fingerprint: str  #: of all of them: a run that is gone on with must trust the same
    by_subject: dict[str, list[Node]]

    def __len__(self) -> int:
        return sum(map(len, self.by_subject.values()))

    def issuers(self, subject: str) -> tuple[Sequence[Node], bool]:
        return self.by_subject.get(subject, ()), False

    @classmethod
    def of(cls, name: str, ders: Iterable[bytes]) -> RootStore:
        by_subject: dict[str, list[Node]] = {}
        digests = set()
        for der in ders:
            node = Node.of(read(der))
            if node.digest not in digests:
                digests.add(node.digest)
                by_subject.setdefault(node.subject, []).append(node)
        return cls(name, sha256("".join(sorted(digests)).encode()).hexdigest(), by_subject)


def load_roots(words: Sequence[str]) -> list[RootStore]:
    """The stores these words name. Raises UsageError: a missing file, a block that cannot be read, two of one name."""
    stores: dict[str, RootStore] = {}
    for word in words:
        name, path = (CERTIFI, _certifi()) if word == CERTIFI else (Path(word).stem, word)
        if name in stores:
            raise UsageError("--roots", word, f"a second root store called {name}")
        if word != CERTIFI and not Path(word).is_file():
            raise UsageError("--roots", word, f"no such file (and not {CERTIFI})")
        ders = []
        for place, der in read_file(path, "pem"):
            c = read(der)
            if c.subject is None or c.key is None:
                raise UsageError("--roots", place, c.errors[0] if c.errors else "not a certificate")
            ders.append(der)
        stores[name] = RootStore.of(name, ders)
    return list(stores.values())


def _certifi() -> str:
    import certifi

    return certifi.where()
