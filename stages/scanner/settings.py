"""Settings of the scanner: ZMap's options by ZMap's names, short and long, and some of our own.

Values are checked here one by one; what depends on several of them, or on files, in `stages.scanner.prepare`. Nothing
heavy is imported: `longline --help` reads this file.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import pydantic

from stages.core.settings import Seconds, Section, Size, opt
from stages.core.whoami import Line
from stages.scanner import outputs, probes
from stages.scanner.drops import MAX_RECEIVE_THREADS
from stages.scanner.parts import Part, check_parts, parse_part
from stages.scanner.ports import parse_port_range, parse_ports
from stages.scanner.quantities import parse_amount, parse_mac, parse_si, parse_source_ips
from stages.scanner.sharding import MAX_SHARDS

#: Packets per second unless told otherwise, as in ZMap.
DEFAULT_RATE: Final = 10_000.0

#: ZMap's source ports: the ephemeral range of Linux (ip(7), ip_local_port_range).
DEFAULT_SOURCE_PORTS: Final = "32768-61000"

#: Answers that the window of --dedup-method window remembers, as in ZMap.
DEFAULT_WINDOW: Final = 1_000_000

#: Connections that the connect engine has open at once, at most.
DEFAULT_CONNECTIONS: Final = 2_000

#: What --publish success is, as a filter; ZMap's default.
DEFAULT_FILTER: Final = "success = 1 && repeat = 0"

#: Sender threads beyond this only wait for each other.
MAX_THREADS: Final = 64

#: Packets to one target, at most: an answer names the one it answers in eight bits (`attempt` of ANSWER).
MAX_ATTEMPTS: Final = 255

#: Seconds for a connection to be established. A SYN is repeated after 1 s and 3 s (RFC 6298): this includes one repeat.
DEFAULT_CONNECT_TIMEOUT: Final = 3.0


def _text(value: Any) -> Any:
    """`target-ports = 80` in the file is a number there and text here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _si(value: Any) -> Any:
    return parse_si(value) if isinstance(value, str) else value


Text = Annotated[str, pydantic.BeforeValidator(_text)]

#: A rate per second, not negative; text may carry K, M or G.
Rate = Annotated[float, pydantic.BeforeValidator(_si), pydantic.Field(ge=0)]


class ScannerSettings(Section):
    """Scanner: one probe per target"""

    targets: tuple[str, ...] = opt(
        (),
        metavar="TARGET",
        positional=True,
        help="network (10.0.0.0/8), range (10.0.0.1-10.0.0.9), address or host name; none at all: the whole IPv4 space",
    )
    target_ports: Text | None = opt(
        None,
        "-p",
        "--target-ports",
        "--target-port",
        metavar="PORTS",
        help="ports to scan: 80,443,8000-8100, or * for all",
    )
    output_file: str | None = opt(
        None, "-o", "--output-file", metavar="FILE", help="write results there; -: standard output, the default"
    )
    max_targets: Text | None = opt(
        None, "-n", "--max-targets", metavar="N|N%", help="probe at most so many targets, or that share of them"
    )
    max_results: int | None = opt(
        None, "-N", "--max-results", metavar="N", help="stop after so many results were written", ge=1
    )
    max_runtime: Seconds | None = opt(
        None, "-t", "--max-runtime", metavar="SECONDS", help="send for at most so long", gt=0
    )
    rate: Rate = opt(
        DEFAULT_RATE, "-r", "--rate", metavar="PPS", help="packets per second (K, M); 0: as fast as it goes"
    )
    bandwidth: Rate | None = opt(
        None,
        "-B",
        "--bandwidth",
        metavar="BPS",
        help="bits per second on the wire (K, M, G; 1.5M too); wins over --rate",
        gt=0,
    )
    cooldown_time: Seconds = opt(
        8.0, "-c", "--cooldown-time", metavar="SECONDS", help="go on receiving for so long after the last probe"
    )
    seed: int | None = opt(
        None, "-e", "--seed", metavar="N", help="order of the targets; default: random", ge=0, le=2**64 - 1
    )
    source_port: Text = opt(
        DEFAULT_SOURCE_PORTS, "-s", "--source-port", metavar="PORT[-PORT]", help="source port or range of ports"
    )
    source_ip: str | None = opt(
        None, "-S", "--source-ip", metavar="ADDRESSES", help="source address, range or list; default: the interface's"
    )
    source_mac: str | None = opt(None, "--source-mac", metavar="MAC", help="source MAC; default: the interface's")
    gateway_mac: str | None = opt(
        None, "-G", "--gateway-mac", metavar="MAC", help="MAC of the gateway; default: found by itself"
    )
    interface: str | None = opt(None, "-i", "--interface", metavar="NAME", help="interface; default: the route's")
    probe_module: str = opt(
        "tcp_synscan", "-M", "--probe-module", metavar="NAME", help="kind of probe", choices=probes.names()
    )
    probe_args: str | None = opt(
        None,
        "--probe-args",
        metavar="ARGS",
        help="tcp_synscan: windows, linux, bsd, smallest-probes; icmp_echoscan: text:, hex:, file:; udp: these, "
        "template:, payloads or payloads:FILE (template-fields lists the fields); dns: TYPE,NAME;...",
    )
    probe: tuple[str, ...] = opt(
        (),
        "--probe",
        metavar="NAME[:PORTS[ ARGS]]",
        repeat=True,
        help="instead of -M and -p, once for each kind of probe of a mixed scan: --probe tcp_synscan:80,443 --probe "
        "udp:53 --probe icmp_echoscan",
    )
    probe_ttl: int = opt(64, "--probe-ttl", metavar="N", help="TTL of the probes", ge=1, le=255)
    probes: int = opt(1, "-P", "--probes", metavar="N", help="probes to each target", ge=1, le=255)
    output_module: str | None = opt(
        None,
        "-O",
        "--output-module",
        metavar="NAME",
        help="format of the results; default: csv",
        choices=outputs.names(),
    )
    output_fields: str | None = opt(
        None,
        "-f",
        "--output-fields",
        metavar="FIELDS",
        help="columns, by ZMap's names, or * for all; default: saddr, and sport with several ports",
    )
    output_args: str | None = opt(
        None,
        "--output-args",
        metavar="ARGS",
        help="redis: the server and its list or channel, redis://HOST:6379/0?list=NAME",
        secret=True,
    )
    header_row: bool = opt(True, "--header-row", help="csv: names of the columns in the first row")
    publish: Literal["success", "all"] | None = opt(
        None,
        "--publish",
        metavar="WHAT",
        help="success: open targets, each once; all: every validated answer. Default: success; with -O csv, "
        "-O json, -O extended_file or -f given: all, as in ZMap",
    )
    output_filter: str | None = opt(
        None,
        "--output-filter",
        metavar="EXPRESSION",
        help="write only such answers: success = 1 && repeat = 0; `` lets all through. Default: that of --publish",
    )
    plugin: tuple[str, ...] = opt(
        (),
        "--plugin",
        metavar="NAME[=ARGUMENT]",
        help="call this plugin: one that is installed, or module:Class; may be given many times",
        repeat=True,
    )
    show: Literal["open", "closed", "all"] | None = opt(
        None,
        "--show",
        metavar="STATE",
        help="what the formats of masscan write: open, closed, or all; default: open",
        choices=("open", "closed", "all"),
    )
    append_output: bool = opt(
        False, "--append-output", help="go on at the end of the output file; the default is to begin it anew"
    )
    rotate: Seconds | None = opt(
        None, "--rotate", metavar="SECONDS", help="begin the output file anew so often; the old one is moved", gt=0
    )
    rotate_offset: Seconds = opt(
        0.0, "--rotate-offset", metavar="SECONDS", help="not at whole multiples of --rotate, but so much later"
    )
    rotate_size: Size | None = opt(
        None, "--rotate-size", metavar="SIZE", help="begin the output file anew when it has so many bytes", gt=0
    )
    rotate_dir: str | None = opt(
        None, "--rotate-dir", metavar="DIRECTORY", help="where finished files go; default: where they are written"
    )
    first_target: int = opt(
        0, "--first-target", metavar="N", help="begin at this position of the order; with -n, a piece of a scan", ge=0
    )
    engine: str = opt(
        "auto",
        "--engine",
        metavar="NAME",
        help="how packets leave. xdp: from memory shared with the kernel, the fastest; packet: packet sockets; ip: raw "
        "IP, for tun, PPP, VPN; connect: ordinary connections, no privilege needed; auto: the first that works",
        choices=("auto", "xdp", "packet", "ip", "connect"),
    )
    sender_threads: int = opt(1, "-T", "--sender-threads", metavar="N", help="threads that send", ge=1, le=MAX_THREADS)
    connections: int = opt(
        DEFAULT_CONNECTIONS, "--connections", metavar="N", help="connect engine: connections open at once", ge=1
    )
    connect_timeout: Seconds = opt(
        DEFAULT_CONNECT_TIMEOUT, "--connect-timeout", metavar="SECONDS", help="connect engine: wait so long", gt=0
    )
    dedup_method: Literal["full", "window", "none"] = opt(
        "full", "--dedup-method", metavar="NAME", help="how repeats are known", choices=("full", "window", "none")
    )
    dedup_window_size: int = opt(
        DEFAULT_WINDOW, "--dedup-window-size", metavar="N", help="answers that `window` remembers", ge=1
    )
    max_sendto_failures: int = opt(
        -1, "--max-sendto-failures", metavar="N", help="give up after so many failures to send; -1: never", ge=-1
    )
    vantage: str = opt("", "--vantage", metavar="NAME", help="where this scanner stands, in every record")
    approval: Line = opt(
        "", "--approval", metavar="TEXT", help="under which approval, for the scan's record: a ticket, a board's number"
    )
    operator: Line = opt(
        "", "--operator", metavar="TEXT", help="who answers for it, for the scan's record; default: user@host"
    )
    scan: str | None = opt(
        None, "--scan", metavar="NAME", help="name of the scan, in every record; default: its time and seed"
    )
    checkpoint: str | None = opt(
        None, "--checkpoint", metavar="FILE", help="write there how far it has come; started again with it, it goes on"
    )
    resume: str | None = opt(None, "--resume", metavar="FILE", help="go on from this checkpoint")
    dryrun: bool = opt(False, "-d", "--dryrun", help="print the packets instead of sending them")
    quiet: bool = opt(False, "-q", "--quiet", help="no status line")
    status_line: bool = opt(
        False, "--status-line", help="a line of status a second on a terminal too, in the place of the live view"
    )
    verbosity: int = opt(
        3, "-v", "--verbosity", metavar="N", help="0 to 5: fatal, error, warning, info, debug, all", ge=0, le=5
    )

    vlan: int | None = opt(
        None, "--vlan", metavar="ID", help="802.1Q tag of every packet; answers must carry it too", ge=0, le=4094
    )
    # Order: shards, retries, lists.
    shards: int = opt(
        1, "--shards", metavar="N", help="split the scan into so many parts; needs --seed", ge=1, le=MAX_SHARDS
    )
    shard: int = opt(0, "--shard", metavar="K", help="do part K of --shards, counted from 0", ge=0, lt=MAX_SHARDS)
    list_of_ips_file: str | None = opt(
        None, "-I", "--list-of-ips-file", metavar="FILE", help="probe exactly these addresses: one a line, any order"
    )
    retries: int = opt(
        0, "--retries", metavar="N", help="probe a target that stays silent so many times more", ge=0, le=MAX_ATTEMPTS
    )
    retry_interval: Seconds = opt(
        1.0, "--retry-interval", metavar="SECONDS", help="seconds from one probe of a target to its next"
    )
    fast_dryrun: bool = opt(
        False, "--fast-dryrun", help="as --dryrun, in binary: address and port of each packet, 6 bytes"
    )
    list_probe_modules: bool = opt(False, "--list-probe-modules", help="print the kinds of probes, and end")
    list_output_modules: bool = opt(False, "--list-output-modules", help="print the formats of results, and end")
    list_output_fields: bool = opt(
        False, "--list-output-fields", help="print the fields that the kind of probe has, and end"
    )
    pcap: str | None = opt(
        None,
        "--pcap",
        metavar="FILE",
        help="write the packets received to this file, begun anew, for tcpdump and others",
    )
    pcap_sent: bool = opt(False, "--pcap-sent", help="write the probes to it too")
    receive_threads: int = opt(
        1,
        "--receive-threads",
        metavar="N",
        help="threads that receive, each with a ring of its own",
        ge=1,
        le=MAX_RECEIVE_THREADS,
    )
    send_rst: Literal["auto", "always", "never"] = opt(
        "auto",
        "--send-rst",
        metavar="WHEN",
        help="end what answers with a SYN-ACK by a RST of our own: always, never, or auto: where the kernel does not",
        choices=("auto", "always", "never"),
    )

    @pydantic.field_validator("target_ports")
    @classmethod
    def _ports(cls, value: str | None) -> str | None:
        if value is not None:
            parse_ports(value)
        return value

    @pydantic.field_validator("probe")
    @classmethod
    def _parts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_parts([parse_part(text) for text in value])
        return value

    @pydantic.field_validator("max_targets")
    @classmethod
    def _amount(cls, value: str | None) -> str | None:
        if value is not None:
            parse_amount(value)
        return value

    @pydantic.field_validator("source_port")
    @classmethod
    def _source_ports(cls, value: str) -> str:
        parse_port_range(value)
        return value

    @pydantic.field_validator("source_ip")
    @classmethod
    def _source_ips(cls, value: str | None) -> str | None:
        if value is not None:
            parse_source_ips(value)
        return value

    @pydantic.field_validator("source_mac", "gateway_mac")
    @classmethod
    def _mac(cls, value: str | None) -> str | None:
        if value is not None:
            parse_mac(value)
        return value

    @property
    def ports(self) -> tuple[int, ...] | None:
        """The target ports, sorted."""
        return None if self.target_ports is None else parse_ports(self.target_ports)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of a mixed scan; () for one of -M and -p."""
        return tuple(parse_part(text) for text in self.probe)

    @property
    def attempts(self) -> int:
        """Packets that a silent target is sent in all."""
        return self.probes * (self.retries + 1)

    @property
    def source_ports(self) -> tuple[int, int]:
        """First and last source port."""
        return parse_port_range(self.source_port)

    @property
    def shows(self) -> Literal["open", "closed", "all"]:
        """What the formats of masscan write."""
        return self.show or "open"

    @property
    def rotates(self) -> bool:
        """Whether the output file is begun anew while the scan runs."""
        return self.rotate is not None or self.rotate_size is not None

    @property
    def publishes(self) -> Literal["success", "all"]:
        """What is written. ZMap drops its default filter when it is told what to write and how; `list` and `hits` are
        ours, and name open targets."""
        if self.publish is not None:
            return self.publish
        if self.output_filter is not None:
            return "success" if self.filter_text == DEFAULT_FILTER else "all"
        if self.output_module in outputs.MASSCAN:
            return "success" if self.shows == "open" else "all"
        own = self.output_fields is not None or self.output_module in ("csv", "json", "extended_file")
        return "all" if own and self.output_module not in ("list", "hits") else "success"

    @property
    def filter_text(self) -> str:
        """Which answers are results (`stages.scanner.filters`)."""
        if self.output_filter is not None:
            return self.output_filter.strip()
        return DEFAULT_FILTER if self.publishes == "success" else ""

    @pydantic.model_validator(mode="after")
    def _together(self) -> ScannerSettings:
        first, last = self.source_ports
        flags = "-P and --retries" if self.retries else "-P"
        if self.attempts > last - first + 1:
            raise ValueError(
                f"{self.attempts} probes a target ({flags}) need as many source ports (-s), and {self.source_port} is "
                f"{last - first + 1}"
            )
        if self.attempts > MAX_ATTEMPTS:
            raise ValueError(f"{self.attempts} probes a target ({flags}) are more than {MAX_ATTEMPTS}")
        if self.output_filter is not None and self.publish is not None:
            raise ValueError("--publish and --output-filter both say which answers are written: give one of them")
        if self.list_of_ips_file is not None and self.targets:
            raise ValueError(f"-I names the targets: {self.targets[0]!r} besides has no place")
        if self.probe and (self.target_ports is not None or self.probe_args is not None):
            flag = "-p" if self.target_ports is not None else "--probe-args"
            raise ValueError(f"--probe names ports and arguments itself: {flag} besides has no place")
        if self.show is not None and self.output_module not in outputs.MASSCAN:
            raise ValueError(
                f"--show is of the formats of masscan ({', '.join(outputs.MASSCAN)}); of others, --publish"
            )
        if self.rotates and self.output_file in (None, "-"):
            raise ValueError("rotation moves a file away, and -o names none: standard output cannot be moved")
        if not self.rotates and (self.rotate_dir is not None or self.rotate_offset):
            flag = "--rotate-dir" if self.rotate_dir is not None else "--rotate-offset"
            raise ValueError(f"{flag} is about --rotate or --rotate-size, and there is neither")
        if self.append_output and self.output_file in (None, "-"):
            raise ValueError("--append-output goes on with a file, and -o names none")
        if self.shard >= self.shards:
            raise ValueError(f"--shard {self.shard}: shards are counted from 0, and there are {self.shards} (--shards)")
        if self.pcap_sent and self.pcap is None:
            raise ValueError("--pcap-sent needs --pcap, which names the file")
        if self.pcap is not None and self.engine == "connect":
            raise ValueError("--pcap needs packets, and --engine connect sees none")
        if self.checkpoint is not None and self.resume is not None and self.checkpoint != self.resume:
            raise ValueError("--resume goes on writing to its own file: --checkpoint names another one")
        return self
