"""Settings: everything one needs to declare them, and the sections that all stages share.

`Section`, `opt` (how a field is declared) and `load` (how the layers are laid over each other) are re-exported here, so
that a stage's `settings.py` imports this file only. What needs a heavy library does not stand here: `longline --help`
reads all sections.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import pydantic

from stages.core.layers import Effective, Given, Loaded, dump_effective, find_file, load
from stages.core.quantities import Seconds, Size
from stages.core.section import Option, Section, masked, opt, option_of

__all__ = [
    "BusSettings",
    "ContinueSettings",
    "Effective",
    "Given",
    "ListSettings",
    "Loaded",
    "MetricsSettings",
    "Option",
    "PolitenessSettings",
    "RunnerSettings",
    "Seconds",
    "Section",
    "Size",
    "StoreSettings",
    "dump_effective",
    "find_file",
    "load",
    "masked",
    "opt",
    "option_of",
]

#: The pipe: standard input, standard output.
PIPE: Final = "-"

#: Schemes of a log (`stages.core.bus.urls` opens them). Those of a store are the sink's (`stages.sink.app.STORES`).
BUS_SCHEMES: Final = ("sqlite:", "kafka://", "memory:")

#: A SQLite log holds at most this much before its producers wait: some ten million hits.
DEFAULT_LOG_BYTES: Final = 2**30

#: A name that may stand in the name of a topic (Kafka's own rule), with room for what stands around it.
_SCANNER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII).fullmatch

_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII).fullmatch
_MAX_PORT: Final = 65_535

#: SYNs that a kernel sends for one connection, at most: TCP_SYNCNT takes 127 repeats (tcp(7)).
MAX_SYNS: Final = 128

#: How much of the inputs a stage may have taken before it is told to wait, and where it goes on (of the high water).
DEFAULT_HIGH_WATER: Final = 8_192


def _file_url(value: str) -> str:
    """`sqlite://FILE`, as some write it, is `sqlite:FILE`: one spelling, so that log and store are the same file."""
    return value.replace("sqlite://", "sqlite:", 1) if value.startswith("sqlite://") else value


def _url(value: str, schemes: tuple[str, ...]) -> None:
    for scheme in schemes:
        if value.startswith(scheme):
            if value == scheme:
                raise ValueError(f"nothing follows {scheme}")
            return
    shown = [PIPE, *(scheme + "..." for scheme in schemes if scheme != "memory:")]  # memory: is for tests
    raise ValueError(f"not one of {', '.join(shown)}")


class BusSettings(Section):
    """Bus: where records come from and go to"""

    url: str = opt(
        PIPE,
        "--bus",
        metavar="URL",
        help="log to read from and write to: - (standard input and output), sqlite:FILE, kafka://HOST:PORT[,HOST:PORT]",
    )
    from_: str | None = opt(None, "--from", metavar="URL", help="log to read from, if not that of --bus")
    to: str | None = opt(None, "--to", metavar="URL", help="log to write to, if not that of --bus")
    prefix: str = opt("longline", "--topic-prefix", metavar="NAME", help="first part of the names of the topics")
    group: str | None = opt(
        None, "--group", metavar="NAME", help="consumer group; default: the prefix and the stage's name"
    )
    member: str | None = opt(
        None, "--member", metavar="NAME", help="Kafka: static membership under this name, as a stateful set's pod has"
    )
    dead: str | None = opt(None, "--dead", metavar="FILE", help="pipe: file for dead letters; default: standard error")
    batch_lines: int = opt(1, "--batch-lines", metavar="N", help="records in one Kafka message, at most", ge=1)
    max_log_bytes: Size = opt(
        DEFAULT_LOG_BYTES, "--max-log-bytes", metavar="SIZE", help="size of a SQLite log at which producers wait", gt=0
    )
    partitions: int = opt(16, help="partitions of a topic that has to be made", ge=1, le=10_000)
    replication: int = opt(1, help="replicas of a topic that has to be made", ge=1)
    request_timeout: Seconds = opt(30.0, help="seconds without an acknowledgement until a write is tried again", gt=0)
    session_timeout: Seconds = opt(
        30.0, help="seconds without a heartbeat until Kafka gives a member's partitions away", gt=0
    )
    rebalance_timeout: Seconds = opt(60.0, help="seconds that a member has to give its partitions up", gt=0)
    security_protocol: str = opt(
        "PLAINTEXT", help="how to talk to Kafka", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    )
    sasl_mechanism: str = opt("PLAIN", help="SASL mechanism", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
    sasl_username: str | None = opt(None, help="SASL user name")
    sasl_password: str | None = opt(None, help="SASL password", secret=True)
    ssl_ca_file: str | None = opt(None, help="file of the certificate authorities that sign the brokers")
    ssl_certificate_file: str | None = opt(None, help="file of the client's certificate")
    ssl_key_file: str | None = opt(None, help="file of the client's key")

    @property
    def source(self) -> str:
        """URL to read from."""
        return self.from_ if self.from_ is not None else self.url

    @property
    def sink(self) -> str:
        """URL to write to."""
        return self.to if self.to is not None else self.url

    @pydantic.field_validator("url", "from_", "to")
    @classmethod
    def _known_transport(cls, value: str | None) -> str | None:
        if value is not None and value != PIPE:
            value = _file_url(value)
            _url(value, BUS_SCHEMES)
        return value

    @pydantic.model_validator(mode="after")
    def _together(self) -> BusSettings:
        if self.security_protocol.startswith("SASL") and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file belong together")
        return self


class TopicSettings(Section):
    """Topics: what they should be, on Kafka; what is not said stays as it is"""

    retention: Seconds | None = opt(
        None, "--retention", metavar="AGE", help="keep records so long, such as 7d; 0: for ever"
    )
    retention_bytes: Size | None = opt(
        None, "--retention-bytes", metavar="SIZE", help="keep so much of each partition; 0: all"
    )
    min_insync: int | None = opt(
        None, "--min-insync", metavar="N", help="replicas that must have a record before it counts as written", ge=1
    )
    scanners: tuple[str, ...] = opt(
        (), "--scanner", metavar="NAME", help="a scanner with a topic of its own (scan --hold); may be given again"
    )
    json_: bool = opt(False, "--json", help="one JSON object a line instead of a table")


class LagSettings(Section):
    """Lag: what a scan does when those who take its hits fall behind, on Kafka"""

    max_lag: int | None = opt(
        None, "--max-lag", metavar="N", help="hits that the slowest group may be behind; default: any number", ge=1
    )
    on_lag: Literal["pause", "drop", "spill"] = opt(
        "pause",
        "--on-lag",
        help="above --max-lag: pause the sending; drop hits, counted; spill them to a file that is published when there"
        " is room again",
    )
    spill_file: str | None = opt(None, "--spill-file", metavar="FILE", help="with --on-lag spill: the file")

    @pydantic.model_validator(mode="after")
    def _together(self) -> LagSettings:
        if (self.on_lag == "spill") != (self.spill_file is not None):
            raise ValueError("--on-lag spill and --spill-file FILE go together")
        if self.max_lag is None and self.on_lag != "pause":
            raise ValueError(f"--on-lag {self.on_lag} needs --max-lag")
        return self


class StoreSettings(Section):
    """Store: where everything is kept"""

    url: str = opt(
        "sqlite:longline.db", "--store", metavar="URL", help="sqlite:FILE or mongodb://[USER:PASSWORD@]HOST[:PORT][/DB]"
    )
    database: str = opt("longline", "--database", metavar="NAME", help="MongoDB: database, if the URL names none")

    @pydantic.field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        scheme, colon, rest = value.partition(":")
        if not scheme or not colon or not rest:
            raise ValueError("not SCHEME:PLACE, such as sqlite:FILE or mongodb://HOST/DB")
        return _file_url(value)


class MetricsSettings(Section):
    """Metrics: /metrics, /healthz and /readyz on one port"""

    listen: str | None = opt(
        None, "--metrics", metavar="HOST:PORT", help="serve metrics and health there ([::]:9090, :9090); default: not"
    )
    file: str | None = opt(
        None,
        "--metrics-file",
        metavar="FILE",
        help="write the last metrics there at the end, for who comes by too seldom for a short scan (node_exporter's"
        " textfile collector)",
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """(host, port) to listen on; the host is `` for all addresses; None: do not."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @pydantic.field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            _, colon, port = value.rpartition(":")
            if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
                raise ValueError("not HOST:PORT with a port from 0 to 65535")
        return value


class PolitenessSettings(Section):
    """Politeness: how hard one host, one network and all of them are met"""

    per_host: int = opt(2, "--per-host", metavar="N", help="connections to one host at once", ge=1)
    per_prefix: float = opt(
        50.0, "--per-prefix", metavar="RATE", help="connections per second to one /24 (/48 for IPv6); 0: no limit", ge=0
    )
    rate: float = opt(
        0.0, "--max-rate", metavar="RATE", help="connections per second of the stage, all workers; 0: no limit", ge=0
    )
    horizon: Seconds = opt(30.0, help="what cannot start within so many seconds goes to the stage's later topic", gt=0)


class ListSettings(Section):
    """Lists: whom to leave alone"""

    blocklist_file: tuple[str, ...] = opt(
        (),
        "-b",
        "--blocklist-file",
        "--blacklist-file",
        metavar="FILE",
        repeat=True,
        adds_up=True,
        help="addresses, ranges, networks and names never to touch; may be given many times; all of them hold",
    )
    exclude: tuple[str, ...] = opt(
        (),
        "--exclude",
        metavar="TARGET",
        repeat=True,
        adds_up=True,
        help="an address, range, network or name never to touch; may be given many times",
    )
    allowlist_file: tuple[str, ...] = opt(
        (),
        "-w",
        "--allowlist-file",
        "--whitelist-file",
        metavar="FILE",
        repeat=True,
        help="touch only these; may be given many times",
    )
    default_blocklist: bool = opt(
        True, "--default-blocklist", help="block the special-purpose ranges of the IANA registries"
    )
    lift: bool = opt(
        True,
        "--lift",
        help="let a target written explicitly, inside one special-purpose range, lift that range for its scan",
    )
    ignore_blocklist_errors: bool = opt(
        False,
        "--ignore-blocklist-errors",
        "--ignore-blacklist-errors",
        "--ignore-invalid-hosts",
        help="leave out the lines of these files that cannot be read, each with a warning",
    )
    poll: Seconds = opt(1.0, help="seconds between two looks whether a list file changed", gt=0, le=1)


class OrdersSettings(Section):
    """Orders: where standing orders of this host are read"""

    file: str | None = opt(
        None,
        "--orders",
        metavar="FILE",
        help="orders of longline stop for this host; default: /var/lib/longline/orders.jsonl, where root gives them to"
        " all, and the user's own in $XDG_STATE_HOME/longline",
    )


class RunnerSettings(Section):
    """Runner: the loop of a stage"""

    drain_deadline: Seconds = opt(
        30.0, "--drain-deadline", metavar="SECONDS", help="seconds to finish what is in flight when told to stop"
    )
    high_water: int = opt(DEFAULT_HIGH_WATER, help="records taken and not finished at which intake pauses", ge=1)
    low_water: int = opt(DEFAULT_HIGH_WATER // 2, help="records taken and not finished at which intake goes on", ge=0)
    flush_records: int = opt(2_000, help="finished records at which results are written", ge=1)
    flush_bytes: Size = opt(4 * 2**20, help="bytes of results at which they are written", gt=0)
    flush_age: Seconds = opt(0.2, help="seconds after which results are written in any case", gt=0)
    span: int = opt(100_000, help="records of a partition beyond its first unfinished one, at most", ge=1)
    local_tries: int = opt(8, help="tries of a record that our own limits keep from being done", ge=1)

    @pydantic.model_validator(mode="after")
    def _low_below_high(self) -> RunnerSettings:
        if self.low_water > self.high_water:
            raise ValueError(f"low_water {self.low_water} is above high_water {self.high_water}")
        return self


class ContinueSettings(Section):
    """Continue: going on with the connections that the scanner opened"""

    via: Literal["connect", "raw", "adopt"] = opt(
        "connect",
        "--via",
        help="connect dials anew; the others go on with the scanner's own connection, on its host: raw by packets,"
        " adopt by a socket of the kernel. What cannot be continued is dialled",
    )
    scanner: str | None = opt(
        None,
        "--scanner",
        metavar="NAME",
        help="whose hits are continued: they have a topic of their own; default: this host's name",
    )
    max_hit_age: Seconds = opt(
        10.0, "--max-hit-age", metavar="SECONDS", help="an older hit is reset and dialled instead of continued", gt=0
    )
    held_ports: str | None = opt(
        None,
        "--source-port",
        metavar="PORT[-PORT]",
        help="source ports of a scanner that does not --hold (ZMap): this host resets nothing that they open",
    )
    close: Literal["fin", "rst"] = opt("fin", "--close", help="how a continued connection is ended by us")
    max_syn_per_target: int | None = opt(
        None,
        "--max-syn-per-target",
        metavar="N",
        help="SYNs to one target, at most: probes, retries and those of connections together",
        ge=1,
        le=MAX_SYNS,
    )
    control_port: bool = opt(
        False, "--control-port", help="ask each host that answers on a random port too, and note whether it does"
    )

    @property
    def source_ports(self) -> tuple[int, int] | None:
        """First and last source port."""
        if self.held_ports is None:
            return None
        found = _PORTS(self.held_ports)
        assert found is not None
        return int(found[1]), int(found[2] or found[1])

    @pydantic.field_validator("held_ports")
    @classmethod
    def _ports_in_order(cls, value: str | None) -> str | None:
        found = None if value is None else _PORTS(value)
        if value is not None and (found is None or not 0 < int(found[1]) <= int(found[2] or found[1]) <= _MAX_PORT):
            raise ValueError("a port or a range of ports between 1 and 65535")
        return value

    @pydantic.field_validator("scanner")
    @classmethod
    def _name_of_a_topic(cls, value: str | None) -> str | None:
        if value is not None and not _SCANNER_NAME(value):
            raise ValueError("a name has letters, digits, dots, hyphens and underscores, 200 at most")
        return value
