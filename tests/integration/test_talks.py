"""`bannergrab --talk` with Debian's nginx, OpenSSH, redis and Postfix."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stages.simnet import realservers
from stages.simnet.certificates import make
from stages.simnet.network import Simnet
from stages.simnet.sorts import Sort
from stages.simnet.spec import Spec
from tests.integration.conftest import build
from tests.integration.workers import Crew, Worker
from tests.require import require

AT = "10.77.66.3"
SSH, SMTP, REDIS, HTTP, HTTPS = 2222, 2525, 6379, 8081, 8443


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every server's own user can reach."""
    with TemporaryDirectory(prefix="longline-talks-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def wires(place: Path) -> Iterator[Simnet]:
    assert place.is_dir()
    with build(Spec(rules=False, servers=False)) as net:
        yield net


def grabbed(net: Simnet, place: Path, crew: Crew, talk: str, *ports: int) -> dict[int, dict[str, Any]]:
    """Port -> record."""
    out, targets = place / f"{talk}.jsonl", place / "targets"
    targets.write_text("".join(f"{AT}:{port}\n" for port in ports))
    grab = crew.hire(Worker(net, place, "bannergrab", "--talk", talk, "-f", "json", metrics=False))
    with targets.open("rb") as lines, out.open("wb") as records:
        assert grab.start(stdin=lines, stdout=records).wait() == 0, grab.tail()
    return {record["port"]: record for record in map(json.loads, out.read_text().splitlines())}


@pytest.mark.slow
def test_each_talk_with_its_server(wires: Simnet, place: Path, crew: Crew) -> None:
    (identity,), _ = make(datetime.now(UTC), [Sort.VALID])
    require(realservers.find("postfix"), "Postfix (Debian: postfix)")
    require(realservers.find("ssh-keyscan"), "ssh-keyscan (Debian: openssh-client)")
    for server in (
        realservers.nginx(place, HTTP, tls_port=HTTPS, pem=identity.pem),
        realservers.sshd(place, SSH),
        realservers.redis(place, REDIS),
        realservers.postfix(place, SMTP, pem=identity.pem),
    ):
        require(server.installed, f"{server.name} (Debian: {server.package})")
        realservers.start(wires, server)
    scanned = wires.run(["ssh-keyscan", "-p", str(SSH), "-t", "ed25519", AT], stdout=subprocess.PIPE)
    said, _ = scanned.communicate(timeout=60)
    key = b64decode(said.split()[-1])

    page = grabbed(wires, place, crew, "http", HTTP)[HTTP]
    assert (page["outcome"], page["probe"], page["service"]) == ("ok", "http", "http"), page
    assert page["facts"]["server"].startswith("nginx/")
    assert (page["facts"]["status"], page["facts"]["whole"], page["facts"]["version"]) == (200, True, "1.1")
    assert b64decode(page["data"]).endswith(f"{AT}:{HTTP}\n".encode())

    shell = grabbed(wires, place, crew, "ssh", SSH, HTTP)
    assert (shell[SSH]["outcome"], shell[SSH]["service"]) == ("ok", "ssh"), shell
    assert shell[SSH]["facts"]["key_type"] == "ssh-ed25519"
    assert b64decode(shell[SSH]["facts"]["key"]) == key
    assert shell[SSH]["facts"]["fingerprint"] == sha256(key).hexdigest()
    assert "curve25519-sha256" in shell[SSH]["facts"]["kex_algorithms"]
    assert shell[HTTP]["outcome"] in ("protocol", "ok", "reset"), "nginx says 400, which is no identification"
    assert shell[HTTP]["service"] is None

    mail = grabbed(wires, place, crew, "esmtp", SMTP)[SMTP]
    assert (mail["outcome"], mail["service"], mail["facts"]["code"], mail["facts"]["ehlo"]) == ("ok", "smtp", 220, 250)
    assert mail["facts"]["greeting"] == "mail.simnet.example ESMTP Postfix"
    assert {"PIPELINING", "STARTTLS", "8BITMIME"} <= set(mail["facts"]["capabilities"])

    found = grabbed(wires, place, crew, "identify", SSH, SMTP, REDIS, HTTP, HTTPS)
    assert {port: record["service"] for port, record in found.items()} == {
        SSH: "ssh", SMTP: "smtp", REDIS: "redis", HTTP: "http", HTTPS: "tls",
    }  # fmt: skip
    assert {record["outcome"] for record in found.values()} == {"ok"}
    assert found[SSH]["facts"]["fingerprint"] == shell[SSH]["facts"]["fingerprint"]
    assert found[SMTP]["facts"]["capabilities"] == mail["facts"]["capabilities"]
    assert (found[REDIS]["facts"]["asked"], found[REDIS]["facts"]["greeting"]) == ("redis", "+PONG")
    assert found[HTTP]["facts"]["status"] == 200
    assert found[HTTPS]["facts"]["chain"] == list(identity.hashes)


@pytest.mark.slow
@pytest.mark.parametrize("kex", ["ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", "curve25519-sha256"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_each_exchange_and_kind_of_key(wires: Simnet, place: Path, crew: Crew, kex: str, kind: str) -> None:
    keygen = realservers.find("ssh-keygen")
    require(keygen, "ssh-keygen (Debian: openssh-client)")
    subprocess.run([str(keygen), "-q", "-t", kind, "-N", "", "-f", str(place / "host_key")], check=True)
    server = realservers.sshd(place, SSH)
    require(server.installed, f"{server.name} (Debian: {server.package})")
    with (place / "sshd_config").open("a") as file:
        file.write(f"KexAlgorithms {kex}\n")
    realservers.start(wires, server)
    record = grabbed(wires, place, crew, "ssh", SSH)[SSH]
    public = (place / "host_key.pub").read_text().split()
    assert record["outcome"] == "ok", record
    assert (record["facts"]["kex"], record["facts"]["key_type"], record["facts"]["key"]) == (kex, *public[:2])
