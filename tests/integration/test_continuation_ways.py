"""nginx, OpenSSH, Postfix and redis: what they say is the same by `raw`, by `adopt` and by `connect`."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from stages.simnet import realservers
from stages.simnet.network import Simnet
from stages.simnet.responder_spec import Responder
from stages.simnet.spec import Spec
from tests.integration.conftest import build
from tests.integration.continued import LONGLINE, PATIENCE_S
from tests.require import require

#: Eight addresses; every server answers at each of them.
TARGETS = "10.77.66.0/29"
SSH, SMTP, REDIS, HTTP = 2222, 2525, 6380, 8081
PORTS = ",".join(map(str, (SSH, SMTP, REDIS, HTTP)))

#: redis hangs up without a word on whoever says `Host:`, which it takes for an attack through a browser.
PAYLOAD = b"GET / HTTP/1.0\r\n\r\n"
#: How each begins; nginx tells the time as well, which is not the same twice.
WORDS = {
    SSH: b"SSH-2.0-OpenSSH_",
    SMTP: b"220 mail.simnet.example ESMTP Postfix\r\n",
    REDIS: b"-ERR ",
    HTTP: b"HTTP/1.1 200 OK\r\nServer: nginx/",
}
TIMES = ("--read-timeout", "8", "--idle-timeout", "2", "--wait", "2")

Records = dict[tuple[str, int], dict[str, Any]]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Simnet, Path]]:
    """The network with its servers, and a folder that every server's own user can reach."""
    with TemporaryDirectory(prefix="longline-servers-") as folder, build(Spec(rules=False, servers=False)) as net:
        place = Path(folder)
        place.chmod(0o755)
        require(realservers.find("postfix"), "Postfix (Debian: postfix)")
        for server in (
            realservers.nginx(place, HTTP), realservers.sshd(place, SSH), realservers.redis(place, REDIS),
            realservers.postfix(place, SMTP),
        ):  # fmt: skip
            require(server.installed, f"{server.name} (Debian: {server.package})")
            realservers.start(net, server)
        (place / "payload").write_bytes(PAYLOAD)
        yield net, place


def run(net: Simnet, argv: list[str], stdin: bytes = b"") -> bytes:
    program = net.run(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, told = program.communicate(stdin, timeout=PATIENCE_S)
    assert program.returncode == 0, told.decode()
    return bytes(out)


def banners(text: bytes) -> Records:
    records = [json.loads(line) for line in text.splitlines()]
    return {(record["ip"], record["port"]): record for record in records if record["kind"] == "banner"}


def heard(record: dict[str, Any]) -> tuple[str, bytes]:
    """Outcome and banner, without the line that is of the moment."""
    lines = b64decode(record["data"] or "").split(b"\r\n")
    return record["outcome"], b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))


def by_connect(net: Simnet, place: Path) -> Records:
    lines = "".join(f"10.77.66.{n},{port}\n" for n in range(8) for port in WORDS).encode()
    argv = [*LONGLINE, "bannergrab", "-f", "json", "-d", str(place / "payload"), *TIMES, "--per-prefix", "0"]
    return banners(run(net, argv, lines))


def by_raw(net: Simnet, place: Path) -> Records:
    argv = [*LONGLINE, "scan", "-p", PORTS, "--grab", str(place / "payload"), *TIMES, "-r", "1000", "-c", "3", TARGETS]
    return banners(run(net, argv))


def by_hold(net: Simnet, place: Path, via: str) -> Records:
    """The scan leaves its connections open, and a stage goes on with them: both at once, joined by a pipe."""
    scan = [
        *LONGLINE,
        "scan",
        "-p",
        PORTS,
        "-O",
        "hits",
        "--hold",
        "--hold-time",
        "25",
        "-r",
        "1000",
        "-c",
        "3",
        TARGETS,
    ]
    grab = [
        *LONGLINE,
        "bannergrab",
        "--via",
        via,
        "--max-hit-age",
        "60",
        "-f",
        "json",
        "-d",
        str(place / "payload"),
        *TIMES,
    ]
    words = ["sh", "-c", 'scan=$1; shift; set -- "$@"; eval "$scan" | "$@"', "sh", " ".join(scan)]
    return banners(run(net, [*words, *grab, "--per-prefix", "0"]))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grab", "raw", "adopt"])
def test_every_way_hears_the_same(servers: tuple[Simnet, Path], way: str) -> None:
    net, place = servers
    dialled = by_connect(net, place)
    assert dialled.keys() == {(f"10.77.66.{n}", port) for n in range(8) for port in WORDS}
    gone_on = by_raw(net, place) if way == "grab" else by_hold(net, place, way)
    assert gone_on.keys() == dialled.keys()
    for key, record in gone_on.items():
        assert record["via"] == ("adopt" if way == "adopt" else "raw"), record
        assert heard(record) == heard(dialled[key])
        assert b64decode(record["data"]).startswith(WORDS[key[1]])


def test_a_control_port_tells_a_host_from_what_answers_for_every_port(servers: tuple[Simnet, Path]) -> None:
    net, place = servers
    words = ["--grab", str(place / "payload"), *TIMES, "-r", "1000", "-c", "3", "--control-port"]
    told = banners(run(net, [*LONGLINE, "scan", "-p", PORTS, *words, TARGETS]))
    assert len(told) == 8 * len(WORDS)
    assert {record["control"] for record in told.values()} == {False}
    everything = Responder(("10.64.0.0/28",), {"synack": 1.0}, says={"http": 1.0})
    with build(Spec(rules=False, servers=False, responder=everything)) as other:
        told = banners(run(other, [*LONGLINE, "scan", "-p", "80,443", *words, "10.64.0.0/28"]))
    assert len(told) == 32
    assert {record["control"] for record in told.values()} == {True}
    # Who did not ask does not know.
    assert {record["control"] for record in by_raw(net, place).values()} == {None}


@pytest.mark.slow
def test_a_rate_that_the_conversations_cannot_follow_loses_none(tmp_path: Path) -> None:
    town = Responder(("10.64.0.0/17",), {"synack": 1.0}, says={"close": 1.0})
    (tmp_path / "payload").write_bytes(PAYLOAD)
    words = ["--grab", str(tmp_path / "payload"), "-r", "200000", "-c", "5", "10.64.0.0/17"]
    with build(Spec(rules=False, servers=False, responder=town)) as net:
        told = banners(run(net, [*LONGLINE, "scan", "-p", "80", *words]))
        addresses = np.arange(0x0A400000, 0x0A408000, dtype=np.uint32)
        truth = net.responder_truth().banners(addresses, 80)
    heard_of = [b64decode(told[str(IPv4Address(address)), 80]["data"]) for address in addresses.tolist()]
    assert heard_of == list(truth)
