"""How to talk to a Kafka cluster: one immutable bundle for the source and the publisher. Needs no Kafka library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from stages.core.bus.base import DEFAULT_PARTITIONS
from stages.core.bus.topics import is_fleet, is_orders, is_side
from stages.core.errors import UsageError

#: Most bytes of a message in a topic of ours: Kafka's own default (message.max.bytes), which a record of
#: `records.MAX_RECORD_BYTES` fits in with its key and headers.
MAX_MESSAGE_BYTES: Final = 1_048_588

#: The same for side topics: a dead letter is somebody else's bytes, larger than a record may be, with headers; what a
#: fleet says is up to 4 MiB in base64.
MAX_DEAD_BYTES: Final = 8 << 20

#: Milliseconds that what a fleet says is kept: who was away for longer asks again.
FLEET_RETENTION_MS: Final = 3_600_000

#: One batch of messages, before a broker takes it as one too large message.
MAX_BATCH_BYTES: Final = 512 << 10

#: What one fetch takes from one partition, and from one broker. A message above it is still delivered, alone.
PARTITION_FETCH_BYTES: Final = 1 << 20
FETCH_BYTES: Final = 16 << 20


def configs_of(topic: str) -> dict[str, str]:
    """What a topic of ours is made with: Kafka's names of settings, and their values."""
    configs = {
        "max.message.bytes": str(MAX_DEAD_BYTES if is_side(topic) or is_fleet(topic) else MAX_MESSAGE_BYTES),
        "cleanup.policy": "compact" if is_orders(topic) else "delete",
    }
    if is_fleet(topic):
        configs["retention.ms"] = str(FLEET_RETENTION_MS)
    return configs


def partitions_of(topic: str, wanted: int) -> int:
    """How many partitions a topic of ours is made with: orders stand in one row."""
    return 1 if is_orders(topic) else wanted


@dataclass(slots=True, frozen=True)
class KafkaOptions:
    """Settings of the connection; seconds where a time is meant."""

    bootstrap: tuple[str, ...]
    partitions: int = DEFAULT_PARTITIONS  #: of a topic that has to be made
    replication: int = 1
    batch_lines: int = 1  #: records in one message, at most
    request_timeout: float = 30.0  #: without an acknowledgement, until a write counts as failed
    session_timeout: float = 30.0
    rebalance_timeout: float = 60.0
    member: str | None = None  #: static membership (KIP-345)
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_file: str | None = None
    ssl_certificate_file: str | None = None
    ssl_key_file: str | None = None

    def security(self) -> dict[str, Any]:
        """Keyword arguments of every client. Raises UsageError if a certificate file cannot be read."""
        arguments: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = self._ssl_context()
        if self.security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self.sasl_password
        return arguments

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file)
            if self.ssl_certificate_file is not None:
                context.load_cert_chain(self.ssl_certificate_file, self.ssl_key_file)
        except (OSError, ssl.SSLError) as error:  # a missing file, or one that holds something else
            files = [self.ssl_ca_file, self.ssl_certificate_file, self.ssl_key_file]
            raise UsageError("bus ssl files", [file for file in files if file], str(error)) from None
        return context


def parse_bootstrap(text: str) -> tuple[str, ...]:
    """`HOST:PORT[,HOST:PORT]` as addresses; without a port it is 9092. Raises UsageError."""
    addresses = []
    for part in text.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not colon or part.endswith("]"):  # no port; an IPv6 address stands in brackets
            host, port = part.strip(), "9092"
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise UsageError("kafka address", part, "is not HOST:PORT")
        addresses.append(f"{host}:{port}")
    return tuple(addresses)
