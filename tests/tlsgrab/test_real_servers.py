"""Against `openssl s_server` and nginx; the chain is what `openssl s_client -showcerts` shows."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from stages.core.outcome import Outcome, Phase
from tests.require import require
from tests.servers.certificates import Identity, identity
from tests.servers.talkers import fresh_address

Grab = Callable[..., Any]
Line = Callable[..., bytes]


@pytest.fixture
def tlsgrab(tlsgrab: Grab) -> Grab:
    """A whole handshake; `test_certificates.py` has the others."""
    return partial(tlsgrab, mode="full")


#: Seconds for a server to listen.
PATIENCE = 15.0


@pytest.fixture(autouse=True, scope="module")
def _openssl() -> None:
    require(shutil.which("openssl") is not None, "openssl (Debian: openssl)")


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(argv: list[str], host: str, port: int) -> Iterator[tuple[str, int]]:
    """(address, port) of a server that is a process of its own, from when it listens."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        until = monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((host, port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read().decode()
                assert monotonic() < until
                sleep(0.02)
        yield host, port
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdin.close()
        process.stderr.close()


@contextmanager
def s_server(directory: Path, who: Identity, *options: str) -> Iterator[tuple[str, int]]:
    host = fresh_address()
    port = free_port(host)
    leaf, *rest = re.findall(rb"-----BEGIN.*?-----END CERTIFICATE-----\n", who.chain_pem, re.DOTALL)
    stem = directory / str(port)
    key, cert, more = (stem.with_suffix(suffix) for suffix in (".key", ".crt", ".more"))
    key.write_bytes(who.key_pem)
    cert.write_bytes(leaf)
    more.write_bytes(b"".join(rest))
    argv = ["openssl", "s_server", "-accept", f"{host}:{port}", "-quiet", "-naccept", "100"]
    argv += ["-key", str(key), "-cert", str(cert), *(["-cert_chain", str(more)] if rest else []), *options]
    with serving(argv, host, port) as target:
        yield target


def shown_by_openssl(target: tuple[str, int], *options: str) -> list[bytes]:
    argv = ["openssl", "s_client", "-connect", f"{target[0]}:{target[1]}", "-showcerts", *options]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=30, check=False)
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout.decode(), re.DOTALL)
    return [ssl.PEM_cert_to_DER_cert(pem) for pem in found]


async def test_the_chain_is_what_openssl_shows(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    old = ("-cipher", "ALL:@SECLEVEL=0")
    servers: dict[str, tuple[Identity, tuple[str, ...], tuple[str, ...], str]] = {
        "1.3": (identity(middles=2), (), (), "TLSv1.3"),
        "1.2": (identity(middles=2), ("-tls1_2",), (), "TLSv1.2"),
        "1.2 rsa": (identity(kind="rsa", middles=0), ("-tls1_2", "-cipher", "AES128-SHA"), (), "TLSv1.2"),
        "1.1": (identity(kind="rsa"), ("-tls1_1", *old), ("-tls1_1", *old), "TLSv1.1"),
        "1.0": (identity(), ("-tls1", *old), ("-tls1", *old), "TLSv1.0"),
        "ed25519": (identity(kind="ed25519"), (), (), "TLSv1.3"),
        "expired": (identity(ends=-10), (), (), "TLSv1.3"),
        "large": (identity(middles=4, padding=15_000), (), (), "TLSv1.3"),
        "retry": (identity(), ("-tls1_3", "-groups", "P-384"), (), "TLSv1.3"),
    }
    with ExitStack() as stack:
        targets = {
            name: stack.enter_context(s_server(tmp_path, who, *options))
            for name, (who, options, _, _) in servers.items()
        }
        lines = [hit_line(target) for target in targets.values()]
        got = await tlsgrab(lines, handshake_timeout=10.0)
        shown = {name: shown_by_openssl(targets[name], *options) for name, (_, _, options, _) in servers.items()}
    for name, (who, _, _, version) in servers.items():
        record = got.of(targets[name])
        assert (record.outcome, record.version, record.error) == (Outcome.OK, version, None), name
        assert record.certificates == shown[name] == who.chain, name


async def test_a_client_certificate_is_required(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    with (
        s_server(tmp_path, identity(), "-tls1_2", "-Verify", "1") as old,
        s_server(tmp_path, identity(), "-tls1_3", "-Verify", "1") as new,
        s_server(tmp_path, identity(), "-tls1_3", "-verify", "1") as kind,
    ):
        got = await tlsgrab([hit_line(target) for target in (old, new, kind)], handshake_timeout=10.0)
    assert [got.ends(target) for target in (old, new, kind)] == [
        (Outcome.ALERT, Phase.FINISH),
        (Outcome.ALERT, Phase.FINISH),
        (Outcome.OK, Phase.FINISH),
    ]
    assert [got.of(target).alert for target in (old, new, kind)] == ["handshake_failure", "certificate_required", None]
    assert all(got.of(target).certificates == identity().chain for target in (old, new, kind))


async def test_names_on_one_nginx(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    """A certificate for each name; one name that is refused; ALPN."""
    require(shutil.which("nginx") is not None, "nginx (Debian: nginx-light)")
    host = fresh_address()
    port = free_port(host)
    names = ["one.test", "two.test"]
    blocks = ""
    for name in names:
        (tmp_path / f"{name}.pem").write_bytes(identity(name).key_pem + identity(name).chain_pem)
        blocks += (
            f"server {{ listen {host}:{port} ssl http2; server_name {name}; return 204; "
            f"ssl_certificate {tmp_path}/{name}.pem; ssl_certificate_key {tmp_path}/{name}.pem; }}\n"
        )
    refuse = f"server {{ listen {host}:{port} ssl http2 default_server; server_name _; ssl_reject_handshake on; }}\n"
    temporary = "".join(
        f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"user root; daemon off; worker_processes 1; pid {tmp_path}/pid; error_log stderr crit; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{refuse}{blocks}}}\n"
    )
    with serving(["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(file)], host, port) as target:
        got = await tlsgrab([hit_line(target, name) for name in [*names, "three.test", None]], handshake_timeout=10.0)
    for name in names:
        record = got.of(target, name)
        assert (record.outcome, record.alpn) == (Outcome.OK, "h2")
        assert record.certificates == identity(name).chain
    for name in ("three.test", None):
        record = got.of(target, name)
        assert (record.outcome, record.phase, record.alert) == (Outcome.ALERT, Phase.HELLO, "unrecognized_name")
        assert record.chain == []
