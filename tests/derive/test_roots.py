"""Root stores: certifi's, files, and what is said of those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from stages.core.errors import UsageError
from stages.derive.paths import Node
from stages.derive.roots import RootStore, load_roots
from stages.proto.x509.certificate import read
from stages.proto.x509.pem import encode
from tests.certificates.zoo import leaf, root


def test_certifi_is_read_whole() -> None:
    [store] = load_roots(["certifi"])
    assert store.name == "certifi"
    assert len(store) == Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")


def test_files_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_text(encode(root().der) + encode(root().der) + encode(root(2).der))
    (tmp_path / "yours.pem").write_text(encode(root(2).der))
    mine, yours = load_roots([str(tmp_path / "mine.pem"), str(tmp_path / "yours.pem")])
    assert (mine.name, len(mine), yours.name, len(yours)) == ("mine", 2, "yours", 1)
    node = Node.of(read(root().der))
    assert [n.digest for n in mine.issuers(node.subject)[0]] == [node.digest]
    assert yours.issuers(node.subject) == ((), False)
    assert mine.fingerprint == RootStore.of("x", [root(2).der, root().der]).fingerprint != yours.fingerprint


def test_what_cannot_be_read_names_its_place(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text(encode(root().der) + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    line = encode(root().der).count("\n") + 1
    with pytest.raises(UsageError, match=rf"bad\.pem:{line}: block 2: not base64"):
        load_roots([str(bad)])
    with pytest.raises(UsageError, match="no such file"):
        load_roots([str(tmp_path / "none.pem")])
    bad.write_text("nothing here")
    with pytest.raises(UsageError, match="no certificate in it"):
        load_roots([str(bad)])
    bad.write_text(encode(b"\x30\x03abc"))
    with pytest.raises(UsageError, match=r"--roots: .*bad\.pem:1'"):
        load_roots([str(bad)])
    bad.write_text(encode(leaf().der))
    with pytest.raises(UsageError, match="a second root store called bad"):
        load_roots([str(bad), str(bad)])
