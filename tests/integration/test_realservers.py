"""Debian's nginx, OpenSSH, redis and Postfix, measured by `longline run`."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stages.simnet import realservers
from stages.simnet.certificates import make
from stages.simnet.network import Simnet
from stages.simnet.sorts import Sort
from stages.simnet.spec import Spec
from stages.sink.store import Collection
from tests.integration.conftest import build
from tests.integration.stored import documents
from tests.integration.workers import Crew, Worker
from tests.require import require

#: Eight addresses; every server answers at each of them.
TARGETS = "10.77.66.0/29"
SSH, SMTP, REDIS, HTTP, HTTPS = 2222, 2525, 6380, 8081, 8444

#: redis hangs up without a word on whoever says `Host:`, which it takes for an attack through a browser.
PAYLOAD = b"GET / HTTP/1.0\r\n\r\n"

#: What each says first, or to a request that it may not understand.
WORDS = {
    SSH: b"SSH-2.0-OpenSSH_",
    SMTP: b"220 mail.simnet.example ESMTP Postfix\r\n",
    REDIS: b"-ERR ",
    HTTP: b"HTTP/1.1 200 OK\r\nServer: nginx/",
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every server's own user can reach. Not pytest's: each run of it on this machine closes the folder
    of them all to other users, also while this one goes on."""
    with TemporaryDirectory(prefix="longline-servers-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def wires(place: Path) -> Iterator[Simnet]:
    """The network; it and its servers end before their folder goes."""
    assert place.is_dir()
    with build(Spec(rules=False, servers=False)) as net:
        yield net


#: The address of those that is asked for STARTTLS.
STARTTLS_AT = "10.77.66.1"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["certificate", "full"])
def test_starttls_of_postfix(wires: Simnet, place: Path, crew: Crew, mode: str) -> None:
    """The chain that it has in its configuration, two certificates; and no TLS where it has none."""
    (identity,), _ = make(datetime.now(UTC), [Sort.VALID])
    with_tls, without = place / "with", place / "without"
    for folder, pem, port in ((with_tls, identity.pem, SMTP), (without, b"", SMTP + 1)):
        folder.mkdir()
        folder.chmod(0o755)
        server = realservers.postfix(folder, port, pem=pem)
        require(server.installed, f"{server.name} (Debian: {server.package})")
        realservers.start(wires, server)
    out = place / "records.jsonl"
    targets = place / "targets"
    targets.write_text(f"{STARTTLS_AT},{SMTP},mail.simnet.example\n{STARTTLS_AT},{SMTP + 1}\n")
    words = ["tlsgrab", "--starttls", "smtp", "--mode", mode, "-f", "json"]
    grab = crew.hire(Worker(wires, place, *words, metrics=False))
    with targets.open("rb") as lines, out.open("wb") as records:
        assert grab.start(stdin=lines, stdout=records).wait() == 0, grab.tail()
    good, plain = sorted((json.loads(line) for line in out.read_text().splitlines()), key=lambda r: r["port"])
    assert (good["outcome"], good["starttls"], good["version"]) == ("ok", "smtp", "TLSv1.3"), good
    assert [b64decode(der) for der in good["certificates"]] == list(identity.chain)
    assert tuple(good["chain"]) == identity.hashes
    assert (plain["outcome"], plain["chain"]) == ("protocol", [])
    assert "smtp: TLS is not offered" in plain["error"]


@pytest.mark.slow
def test_banners_and_certificates_of_real_servers(wires: Simnet, place: Path, crew: Crew) -> None:
    (identity,), _ = make(datetime.now(UTC), [Sort.SELF_SIGNED])
    require(realservers.find("postfix"), "Postfix (Debian: postfix)")
    for server in (
        realservers.nginx(place, HTTP, tls_port=HTTPS, pem=identity.pem),
        realservers.sshd(place, SSH),
        realservers.redis(place, REDIS),
        realservers.postfix(place, SMTP),
    ):
        require(server.installed, f"{server.name} (Debian: {server.package})")
        realservers.start(wires, server)
    payload = place / "payload"
    payload.write_bytes(PAYLOAD)
    store = f"sqlite:{place}/real.db"
    ports = ",".join(map(str, (*WORDS, HTTPS)))
    words = ["run", TARGETS, "-p", ports, "-r", "1000", "-c", "1", "--store", store, "--tls-ports", str(HTTPS)]
    words += ["--banner-ports", ",".join(map(str, WORDS)), "--banner-wait", "2", "--banner-data", str(payload)]
    run = crew.hire(Worker(wires, place, *words))
    assert run.start().wait() == 0, run.tail()

    hosts = {f"10.77.66.{n}" for n in range(8)}
    banners = {(d["ip"], d["port"]): d for d in documents(wires, store, Collection.BANNERS)}
    assert banners.keys() == {(host, port) for host in hosts for port in WORDS}
    for (ip, port), document in banners.items():
        assert document["outcome"] == "ok", document
        assert document["data"].startswith(WORDS[port]), document
        if port == HTTP:
            assert document["data"].endswith(f"{ip}:{port}\n".encode()), "the answer of this address, not of another"
    handshakes = {d["ip"]: d for d in documents(wires, store, Collection.TLS)}
    assert handshakes.keys() == hosts
    leaf = hashlib.sha256(identity.chain[0]).hexdigest()
    for document in handshakes.values():
        assert document["outcome"] == "ok"
        assert list(document["chain"]) == [leaf]
        assert document["version"] in ("TLSv1.2", "TLSv1.3")  # nginx before 1.23.4 leaves 1.3 out by default
    (certificate,) = documents(wires, store, Collection.CERTIFICATES)
    assert certificate["_id"] == leaf
    assert len(documents(wires, store, Collection.SERVICES)) == len(hosts) * (len(WORDS) + 1)
