"""Each recipe is followed to the letter in a copy of the package, and what it makes works there."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.recipe import Kitchen, follow
from tests.proto.rules.material import made
from tests.require import require
from tests.servers.talkers import answer, hold, talker
from tests.servers.tls_bytes import flight
from tests.tlsgrab.test_stage import after_hello

RECIPES = sorted(path.name for path in (ROOT / "docs" / "recipes").glob("*.md"))


@pytest.fixture
def kitchen(request: pytest.FixtureRequest, tmp_path: Path) -> Kitchen:
    return follow(request.param, tmp_path)


@pytest.mark.parametrize("kitchen", RECIPES, indirect=True)
def test_what_a_recipe_makes_is_in_the_style_of_the_house(kitchen: Kitchen) -> None:
    shutil.copy(ROOT / "pyproject.toml", kitchen.folder)
    files = [str(path.relative_to(kitchen.folder)) for path in (kitchen.made, *kitchen.changed) if path.suffix == ".py"]
    if not files:
        assert kitchen.made.suffix == ".toml", "data alone has no style but that it can be read"
        return
    for words in (["check"], ["format", "--check"]):
        ran = kitchen.run("-m", "ruff", *words, "--no-cache", *files)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("kitchen", ["output.md"], indirect=True)
def test_output(kitchen: Kitchen) -> None:
    def accept(connection: socket.socket) -> None:
        connection.close()

    with talker(accept) as (host, port):
        ran = kitchen.longline(
            "scan", "--engine", "connect", "-q", "-c", "0", "-p", str(port), "-O", "jsonseq", "-f", "saddr,sport", host
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("\x1e")
    assert ran.stdout.endswith("\n")
    assert json.loads(ran.stdout.removeprefix("\x1e")) == {"saddr": host, "sport": port}


@pytest.mark.slow
@pytest.mark.parametrize("kitchen", ["probe.md"], indirect=True)
def test_probe(kitchen: Kitchen) -> None:
    require(os.geteuid() == 0, "root, for a simulated network")
    kitchen.install()
    inside = ["simnet", "--no-rules", "--targets", "10.0.0.0/28", "--ports", "80"]
    scan = ["scan", "-M", "tcp_ackscan", "-P", "2", "-p", "80,81", "-c", "1", "-q", "--dedup-method", "none"]
    argv = [sys.executable, "-m", "stages.cli.main"]
    columns = "saddr,sport,classification,success,attempt"
    ran = kitchen.longline(*inside, "--", *argv, *scan, "-O", "csv", "-f", columns, "10.0.0.0/28")
    assert ran.returncode == 0, ran.stderr
    header, *rows = ran.stdout.splitlines()
    assert header == columns
    assert set(rows) == {f"10.0.0.{n},{port},rst,1,{k}" for n in range(16) for port in (80, 81) for k in (0, 1)}
    assert "tcp_ackscan" in kitchen.longline("scan", "--list-probe-modules").stdout.split()
    assert "seqnum" in kitchen.longline("scan", "-M", "tcp_ackscan", "--list-output-fields").stdout.split()
    refused = kitchen.longline("scan", "-M", "tcp_ackscan", "--probe-args", "x", "-p", "80", "-d", "127.0.0.1")
    assert refused.returncode == 2
    assert "takes no arguments" in refused.stderr
    shown = kitchen.longline("scan", "-M", "tcp_ackscan", "-p", "80", "-d", "-v", "5", "127.0.0.1")
    assert "flags     = A" in shown.stdout


@pytest.mark.parametrize("kitchen", ["plugin.md"], indirect=True)
def test_plugin(kitchen: Kitchen) -> None:
    (kitchen.folder / "table").write_text("127.0.0.0/16 64496\n127.77.0.0/16 64497\n")
    scan = ("scan", "--engine", "connect", "-q", "-c", "0", "--no-system-config", "-O", "null")
    with talker(socket.socket.close) as (host, port):
        ran = kitchen.longline(*scan, "-p", str(port), "--plugin", "by_as:ByAs=table", host)
        assert ran.returncode == 0, ran.stderr
        assert "AS64497 1" in ran.stderr.splitlines()
        ran = kitchen.longline(*scan, "-p", str(port), "--plugin", "by_as:ByAs=no-table", host)
    assert ran.returncode == 2
    assert "--plugin: 'by_as:ByAs=no-table': FileNotFoundError" in ran.stderr


@pytest.mark.parametrize("kitchen", ["follow-up.md"], indirect=True)
def test_follow_up(kitchen: Kitchen) -> None:
    """Of two hosts of one /24, both open, one is asked."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-here\r\n")
        connection.close()

    # 127.78.1.0/24 is nobody else's.
    with talker(speak, "127.78.1.1") as (host, port), talker(speak, "127.78.1.2", port=port) as (other, _):
        ran = kitchen.longline(
            "scan", "--engine", "connect", "-q", "-c", "0", "--no-system-config", "-p", str(port), "--rate", "1000",
            "--plugin", f"ssh_keys:SshKeys={port}", host, other,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    (banner,) = [record for record in records if record["kind"] == "banner"]
    hits = {record["ip"]: record["id"] for record in records if record["kind"] == "hit"}
    assert hits.keys() == {host, other}
    assert (banner["port"], banner["via"], banner["hit"]) == (port, "connect", hits[banner["ip"]])
    assert banner["service"] == "ssh"
    assert b"SSH-2.0-here" in base64.b64decode(banner["data"])


@pytest.mark.parametrize("kitchen", ["output-package.md"], indirect=True)
def test_output_package(kitchen: Kitchen) -> None:
    kitchen.install()
    listed = kitchen.longline("scan", "--list-output-modules")
    assert "by_block: open targets of each /24, every --output-args seconds" in listed.stdout.splitlines()
    with talker(socket.socket.close) as (host, port):
        ran = kitchen.longline(
            "scan", "--engine", "connect", "-q", "-c", "0", "--no-system-config", "-p", str(port), "-O", "by_block",
            "--output-args", "60", host,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    network = host.rpartition(".")[0] + ".0/24"
    assert ran.stdout == f"# position network open\n1 {network} 1\n"


@pytest.mark.parametrize("kitchen", ["store.md"], indirect=True)
def test_store(kitchen: Kitchen) -> None:
    """Its documents: `test_recipe_store.py`, the contract of all stores."""
    ran = kitchen.longline("sink", "--init", "--store", "memory:here")
    assert (ran.returncode, ran.stdout) == (0, "memory: nothing to make\n"), ran.stderr


@pytest.mark.parametrize("kitchen", ["rule.md"], indirect=True)
def test_rule(kitchen: Kitchen) -> None:
    assert "acme         acme-router " in kitchen.longline("rules", "list").stdout
    long, short = timedelta(days=3650), timedelta(days=365)
    router = made({"O": "Acme, Inc.", "CN": "acme-0123456789ab"}, kind="rsa2048", life=long)
    hosted = made({"O": "Acme, Inc.", "CN": "acme-0123456789ab"}, kind="rsa2048", life=short)
    for leaf, suite, expected in (
        (router, 0x0009, [["acme-router"], ["acme-old-firmware"]]),
        (router, 0x002F, [["acme-router"], []]),
        (hosted, 0x0009, [[], ["acme-old-firmware"]]),
    ):
        with talker(after_hello(hold(flight([leaf], 0x0301, suite)))) as (host, port):
            ran = kitchen.longline("tlsgrab", "--rules", "acme", "-r", "1", stdin=f"{host},{port}\n")
        assert ran.returncode == 0, ran.stderr
        records = [json.loads(line) for line in ran.stdout.splitlines()]
        assert [record["rules"] for record in records] == expected
        assert records[1]["mode"] == f"certificate+{records[1]['hello']}"


@pytest.mark.parametrize("kitchen", ["dialogue.md"], indirect=True)
def test_dialogue(kitchen: Kitchen) -> None:
    for said, outcome, service, facts in (
        (b"VERSION 1.6.18\r\n", "ok", "memcached", {"version": "1.6.18"}),
        (b"HTTP/1.1 400 Bad Request\r\n", "protocol", None, {"error": "no answer of memcached"}),
    ):
        with talker(answer(said, b"\r\n")) as (host, port):
            ran = kitchen.longline("bannergrab", "--talk", "memcached", stdin=f"{host}:{port}\n")
        assert ran.returncode == 0, ran.stderr
        record = json.loads(ran.stdout)
        assert (record["probe"], record["outcome"], record["service"]) == ("memcached", outcome, service)
        assert record["facts"] == facts


@pytest.mark.parametrize("kitchen", ["recogniser.md"], indirect=True)
def test_recogniser(kitchen: Kitchen) -> None:
    with talker(hold(b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 ) ) ) ")) as (host, port):
        ran = kitchen.longline("bannergrab", "--talk", "identify", "-r", "1", stdin=f"{host}:{port}\n")
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert (record["service"], record["outcome"], record["facts"]["said_first"]) == ("svn", "ok", True)
