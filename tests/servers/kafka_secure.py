"""A broker that lets in by certificate (mutual TLS) and by password (SCRAM over TLS), and keeps a list of who may what.

with SecureKafka(folder) as server:
    server.allow("worker", topics=("READ", "WRITE"))
    server.by_certificate("worker")     # settings of a client
    server.by_password("alice", "secret")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.servers.certificates import Key, new_key, signed
from tests.servers.kafka import KafkaServer, free_port, jars

#: Whom the broker knows by a password from its first start on.
PASSWORDS: Final = {"alice": "s3cret of alice", "mallory": "another"}

_TLS: Final = """\
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.endpoint.identification.algorithm=
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/,DEFAULT
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.password.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.password.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class SecureKafka(KafkaServer):
    """The plain listener is for administration: who comes there may everything."""

    format_words = tuple(
        word
        for name, password in PASSWORDS.items()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    )

    def __init__(self, folder: Path, join: Callable[[], None] | None = None) -> None:
        super().__init__(folder, join)
        self.mutual, self.password = free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._key = new_key()
        self._root = signed("Longline Test CA", self._key, "Longline Test CA", self._key, ca=True)
        (folder / "ca.pem").write_bytes(_text(self._root))
        key, certificate = self._issue("localhost")
        (folder / "broker.pem").write_bytes(key + certificate)

    def _issue(self, name: str) -> tuple[bytes, bytes]:
        key = new_key()
        return _pem(key), _text(signed(name, key, "Longline Test CA", self._key))

    def more(self, properties: str) -> str:
        listeners = f"MUTUAL://127.0.0.1:{self.mutual},PASSWORD://127.0.0.1:{self.password}"
        lines = []
        for line in properties.splitlines():
            key = line.partition("=")[0]
            if key == "listeners":
                line = f"{line},{listeners}"
            elif key == "advertised.listeners":
                line = f"{line},{listeners.replace('127.0.0.1', 'localhost')}"
            elif key == "listener.security.protocol.map":
                line = f"{line},MUTUAL:SSL,PASSWORD:SASL_SSL"
            lines.append(line)
        return "\n".join(lines) + "\n" + _TLS.format(folder=self.folder)

    def allow(self, user: str, topics: Sequence[str] = ("ALL",), groups: Sequence[str] = ("ALL",)) -> None:
        """Let `user` do these operations with every topic, and with every group."""
        for kind, operations in (("--topic", topics), ("--group", groups)):
            self.allow_on(user, kind, "*", *operations)

    def allow_on(self, user: str, kind: str, name: str, *operations: str) -> None:
        """With one `--topic` or `--group`."""
        words = ["--bootstrap-server", self.bootstrap, "--add", "--allow-principal", f"User:{user}", kind, name]
        words += [word for operation in operations for word in ("--operation", operation)]
        self._run_tool("kafka.admin.AclCommand", *words)

    def _run_tool(self, tool: str, *words: str) -> None:
        process = self._run(jars(), tool, *words)
        assert process.wait(60) == 0, (self.folder / "out.txt").read_text()[-2000:]

    def by_certificate(self, name: str) -> dict[str, Any]:
        """Settings of the section `bus` for a client of that name."""
        key, certificate = self._issue(name)
        (self.folder / f"{name}.key").write_bytes(key)
        (self.folder / f"{name}.pem").write_bytes(certificate)
        return {
            "url": f"kafka://localhost:{self.mutual}",
            "security_protocol": "SSL",
            "ssl_ca_file": str(self.folder / "ca.pem"),
            "ssl_certificate_file": str(self.folder / f"{name}.pem"),
            "ssl_key_file": str(self.folder / f"{name}.key"),
        }

    def by_password(self, name: str, password: str, mechanism: str = "SCRAM-SHA-256") -> dict[str, Any]:
        return {
            "url": f"kafka://localhost:{self.password}",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": name,
            "sasl_password": password,
            "ssl_ca_file": str(self.folder / "ca.pem"),
        }
