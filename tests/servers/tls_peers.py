"""TLS servers by other libraries: Java's JSSE with everything that it has disabled, Go's crypto/tls, GnuTLS.

Each context manager starts one process and gives the ports; what it needs is said by `require`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.require import require
from tests.servers.certificates import Identity

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "servers" / "gotls"

#: Seconds for a server to listen.
PATIENCE = 30.0

#: Lifts all that the JDK has disabled.
_SECURITY = "jdk.tls.disabledAlgorithms=\njdk.tls.legacyAlgorithms=\njdk.certpath.disabledAlgorithms=\n"
_PASSWORD = "password"


@contextmanager
def _ports(argv: Sequence[str], lines: Sequence[str]) -> Iterator[list[int]]:
    """A process that reads lines and prints a port for each, and lives until its input is closed."""
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("".join(line + "\n" for line in [*lines, ""]))
        process.stdin.flush()
        ports = [int(process.stdout.readline()) for _ in lines]
        yield ports
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextmanager
def jsse(host: str, who: Sequence[Identity], listeners: Sequence[str]) -> Iterator[list[int]]:
    """Ports of Java servers with these keys, one for each `PROTOCOL SUITE [need]`."""
    require(shutil.which("java"), "java (Debian: openjdk-17-jdk-headless)")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "security").write_text(_SECURITY)
        argv = ["java", f"-Djava.security.properties={folder / 'security'}", "-Xmx256m", "-Xss256k", "-XX:+UseSerialGC"]
        store = folder / "keys.p12"
        # A PKCS12 file holds one key here; JSSE chooses among the keys of one store, so the keys go in by keytool.
        for number, one in enumerate(who):
            single = folder / f"{number}.p12"
            leaf, *rest = one.certificates
            single.write_bytes(
                pkcs12.serialize_key_and_certificates(
                    b"key%d" % number, one.key, leaf, rest, BestAvailableEncryption(_PASSWORD.encode())
                )
            )
            subprocess.run(
                ["keytool", "-importkeystore", "-noprompt", "-srckeystore", str(single), "-srcstorepass", _PASSWORD,
                 "-destkeystore", str(store), "-deststorepass", _PASSWORD, "-deststoretype", "PKCS12"],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
        argv += [str(HERE / "jsse" / "Listeners.java"), host, str(store), _PASSWORD]
        with _ports(argv, listeners) as ports:
            yield ports


def _go_program() -> Path:
    """Built once for each text of its source."""
    require(shutil.which("go"), "go (Debian: golang-go)")
    digest = hashlib.sha256((HERE / "gotls" / "main.go").read_bytes()).hexdigest()[:12]
    program = CACHE / f"gotls-{digest}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = CACHE / f"making-{os.getpid()}"
        subprocess.run(["go", "build", "-o", str(made), "."], cwd=HERE / "gotls", check=True, timeout=120)
        made.rename(program)
    return program


@contextmanager
def golang(host: str, listeners: Sequence[tuple[Identity, Mapping[str, Any]]]) -> Iterator[list[int]]:
    """Ports of Go servers, one for each key and its fields of `spec` in main.go."""
    program = _go_program()
    with tempfile.TemporaryDirectory() as home:
        lines = []
        for number, (who, fields) in enumerate(listeners):
            cert, key = Path(home) / f"{number}.crt", Path(home) / f"{number}.key"
            cert.write_bytes(who.chain_pem)
            key.write_bytes(who.key_pem)
            lines.append(json.dumps({"Host": host, "Cert": str(cert), "Key": str(key), "Min": 0x0301} | dict(fields)))
        with _ports([str(program)], lines) as ports:
            yield ports


@contextmanager
def gnutls(who: Identity, priority: str, *options: str) -> Iterator[tuple[str, int]]:
    """(address, port) of a gnutls-serv; it listens on all addresses."""
    require(shutil.which("gnutls-serv"), "gnutls-serv (Debian: gnutls-bin)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        cert, key = Path(home) / "crt", Path(home) / "key"
        cert.write_bytes(who.chain_pem)
        key.write_bytes(who.key_pem)
        argv = ["gnutls-serv", "-q", "-p", str(port), "--x509certfile", str(cert), "--x509keyfile", str(key)]
        process = subprocess.Popen(
            [*argv, "--echo", "--priority", priority, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            end = monotonic() + PATIENCE
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None, "gnutls-serv has ended"
                assert monotonic() < end
                sleep(0.02)
            yield "127.0.0.1", port
        finally:
            process.kill()
            process.wait()
