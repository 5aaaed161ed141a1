"""`longline rules`, as a user types it: lists, checks, and judges what was recorded."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Tls
from stages.sink.sqlite import SqliteStore
from tests.cli.command import argv as longline_argv
from tests.cli.command import longline
from tests.proto.rules.material import made
from tests.servers.talkers import hold, talker
from tests.servers.tls_bytes import flight
from tests.servers.tor import PORT, tor_relay
from tests.sink.material import T0, write
from tests.tlsgrab.test_stage import after_hello

RELAY = made({"CN": "www.mnbvcxzlkj.net"}, {"CN": "www.abcdefgh234.com"}, kind="rsa2048")
BOX = made({"CN": "fritz.box"}, dns=("fritz.box",))


def record(ip: str, leaf: bytes, **fields: object) -> Tls:
    from hashlib import sha256

    usual = {
        "scan": "s",
        "ts": T0,
        "port": 443,
        "outcome": Outcome.OK,
        "phase": Phase.CERTIFICATE,
        "mode": "certificate",
    }
    return Tls(ip=ip, chain=[sha256(leaf).hexdigest()], certificates=[leaf], **(usual | fields))  # type: ignore[arg-type]


RECORDS = [record("10.0.0.1", RELAY), record("10.0.0.2", BOX), record("10.0.0.3", BOX, name="fritz.box")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("rules") / "store.db"

    async def fill() -> None:
        store = SqliteStore(file)
        await store.open()
        await store.init(None)
        await write(store, *RECORDS)
        await store.close()

    asyncio.run(fill())
    return f"sqlite:{file}"


def test_list_and_check(tmp_path: Path) -> None:
    listed = longline("rules", "list")
    assert listed.returncode == 0
    assert "tor          tor-relay " in listed.stdout
    assert longline("rules", "check", "tor", "cpe").stdout == "12 rules, 1 hellos of their own\n"


def test_over_a_store(store: str) -> None:
    ran = longline("rules", "test", "tor", "cpe", "--store", store)
    assert ran.returncode == 0, ran.stderr
    rows = {line.split()[0]: line.split()[1:3] for line in ran.stdout.splitlines() if line.split()}
    assert rows["tor-relay"] == ["1", "3"]
    assert rows["tor-relay-v1"] == ["0", "0"], "nobody was asked with its hello"
    assert rows["fritzbox"] == ["2", "3"]
    said = longline("rules", "test", "tor", "cpe", "--store", store, "--json", "--ip", "10.0.0.0/31")
    (line,) = map(json.loads, said.stdout.splitlines())
    assert line == {
        "ts": line["ts"], "ip": "10.0.0.1", "port": 443, "name": None, "rules": ["tor-relay"],
    }  # fmt: skip


def test_over_lines_and_straight_from_tlsgrab(tmp_path: Path) -> None:
    lines = b"".join(each.dump() + b"\n" for each in RECORDS)
    (tmp_path / "records.jsonl").write_bytes(lines)
    for words, stdin in ((("--records", "-"), lines), (("--records", tmp_path / "records.jsonl"), b"")):
        ran = longline("rules", "test", "cpe", "--json", *words, stdin=stdin)
        assert [json.loads(line)["ip"] for line in ran.stdout.splitlines()] == ["10.0.0.2", "10.0.0.3"], ran.stderr
    with talker(after_hello(hold(flight([RELAY])))) as (host, port):
        grabbed = longline("tlsgrab", "--rules", "tor", "-r", "1", stdin=f"{host},{port}\n")
    assert grabbed.returncode == 0, grabbed.stderr
    marked = [json.loads(line)["rules"] for line in grabbed.stdout.splitlines()]
    assert marked == [["tor-relay"], []]
    ran = longline("rules", "test", "tor", "--json", "--records", "-", stdin=grabbed.stdout)
    assert [json.loads(line)["rules"] for line in ran.stdout.splitlines()] == [["tor-relay"]]


@pytest.mark.parametrize(
    ("words", "stdin", "problem"),
    [
        (("check", "{bad}"), "", "bad.toml:3: 'suite is 4': rule[1].when[1]: 'suite' is compared by one of == != in"),
        (("test", "{bad}"), "", "bad.toml:3"),
        (("check", "nothing"), "", "no such set"),
        (("check",), "", "needs rule files"),
        (("list", "x"), "", "takes no files"),
        (("test", "tor", "--records", "none.jsonl"), "", "No such file"),
        (("test", "tor", "--records", "-"), '\n{"kind":"tls"}\n', "<stdin>:2: v is None"),
        (("test", "tor", "--ip", "x", "--store", "sqlite:none.db"), "", "--ip"),
    ],
)
def test_refused(tmp_path: Path, words: tuple[str, ...], stdin: str, problem: str) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[rule]]\nname = "x"\nwhen = ["suite is 4"]\n')
    ran = longline("rules", *(word.format(bad=bad) for word in words), stdin=stdin, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert problem in ran.stderr


def test_tlsgrab_sends_nothing_with_bad_rules(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[rule]]\nname = "x"\nwhen = ["suite is 4"]\n')
    heard: list[object] = []
    with talker(heard.append) as (host, port):
        ran = longline("tlsgrab", "--rules", bad, stdin=f"{host},{port}\n")
    assert (ran.returncode, heard) == (2, [])
    assert "bad.toml:3: 'suite is 4'" in ran.stderr


def test_a_real_relay_is_found() -> None:
    with tor_relay() as inside:
        argv = [*inside, *longline_argv("tlsgrab", "--rules", "tor,cpe,appliances")]
        env = {**os.environ, "LONGLINE_CONFINE": "1"}
        ran = subprocess.run(
            argv, input=f"127.0.0.1,{PORT}\n", capture_output=True, text=True, env=env, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    usual, asked = map(json.loads, ran.stdout.splitlines())
    assert (usual["rules"], asked["rules"]) == (["tor-relay"], ["tor-relay-v1"])
    assert usual["version"] == "TLSv1.3"
    assert asked["cipher_suite"] == "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"
