"""The certificates that a store holds, and what `longline certs reprocess` says of them, against the truth."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any

from stages.simnet.network import Simnet
from stages.simnet.sorts import Sort
from stages.sink.store import Collection
from tests.integration.stored import documents
from tests.integration.workers import Crew, Worker

#: What must be said of a leaf of each sort: (expired, not yet valid, self-signed, untrusted by the network's own root).
#: Trust is about who signed: the leaf's own time is a verdict of its own.
#: Of the broken ones nothing can be read behind the first length, so that all is unknown.
LEAF = {
    Sort.VALID: ("no", "no", "no", "no"),
    Sort.WRONG_NAME: ("no", "no", "no", "no"),
    Sort.SELF_SIGNED: ("no", "no", "yes", "yes"),
    Sort.EXPIRED: ("yes", "no", "no", "no"),
    Sort.NOT_YET_VALID: ("no", "yes", "no", "no"),
    Sort.UNPARSABLE: ("unknown", "unknown", "unknown", "unknown"),
}


def _shown(net: Simnet) -> dict[tuple[str, int], tuple[tuple[str, ...], str]]:
    """(chain, sort of its leaf) of every service that shows one."""
    return {(e.ip, e.port): (e.chain, e.sort) for e in net.expected() if e.chain and e.sort}


def assert_corpus_is_the_truth(net: Simnet, store: str) -> dict[str, dict[str, Any]]:
    """Every certificate that the network shows is stored, once, as it came, and no other; each handshake has the chain
    of its address. The documents by their SHA-256."""
    shown = _shown(net)
    stored = documents(net, store, Collection.CERTIFICATES)
    by_hash = {document["_id"]: document for document in stored}
    assert len(by_hash) == len(stored)
    assert by_hash.keys() == {digest for chain, _ in shown.values() for digest in chain}
    assert {sort for _, sort in shown.values()} == set(Sort), "not every sort is met in this network"
    for digest, document in by_hash.items():
        assert sha256(document["raw"]).hexdigest() == digest
    broken = {chain[0] for chain, sort in shown.values() if sort == Sort.UNPARSABLE}
    assert {digest for digest, d in by_hash.items() if d["parse_status"] != "success"} == broken
    handshakes = documents(net, store, Collection.TLS)
    found = {(d["ip"], d["port"]): tuple(d["chain"]) for d in handshakes if d.get("chain")}
    assert found == {place: chain for place, (chain, _) in shown.items()}
    assert len(handshakes) == len({(d["ip"], d["port"]) for d in handshakes})
    return by_hash


def assert_all_are_judged(net: Simnet, store: str, crew: Crew, folder: Path) -> None:
    """Run `longline certs reprocess` with the network's own root; every verdict is that of the truth."""
    before = assert_corpus_is_the_truth(net, store)
    root = folder / "root.pem"
    root.write_text(ssl.DER_cert_to_PEM_cert(net.root))
    words = ("certs", "reprocess", "--roots", str(root), "--store", store)
    job = crew.hire(Worker(net, folder, *words, name="reprocess", metrics=False))
    assert job.start().wait() == 0, job.tail()
    assert f"{len(before)} of {len(before)} certificates judged" in job.text
    judged = assert_corpus_is_the_truth(net, store)
    assert {digest: d["raw"] for digest, d in judged.items()} == {digest: d["raw"] for digest, d in before.items()}
    leaves = {chain[0]: Sort(sort) for chain, sort in _shown(net).values()}
    for digest, document in judged.items():
        said = document["verdicts"]
        (untrusted,) = said["untrusted"].values()
        got = tuple(v["is"] for v in (said["expired"], said["not_yet_valid"], said["self_signed"], untrusted))
        sort = leaves.get(digest, Sort.VALID)  # the intermediate is as valid as those below it
        assert got == LEAF[sort], (sort, said)
