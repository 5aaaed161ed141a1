"""masscan's options: what each is called, what it does here, and what is different. One line each.

`docs/from-masscan.md` is this table, and the parser reads nothing else: an option that is not here is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stages.cli.masscan import values
from stages.cli.masscan.config import FOREVER, Config
from stages.scanner.masscan.writing import FORMATS
from stages.scanner.quantities import parse_mac
from stages.scanner.sharding import MAX_SHARDS

#: Formats that masscan knows and Longline does not write, and what does instead.
OTHER_FORMATS: Final = {
    "redis": "results go to a log or a store: longline scan --bus",
    "certs": "certificates are read by longline tlsgrab",
}
#: Without a file: nothing, or lines as they come.
SCREEN_FORMATS: Final = ("none", "interactive")

#: Targets one scan may have in masscan's retries option.
_MAX_RETRIES: Final = 254
_MAX_SEED: Final = 2**64 - 1
_MAX_INDEX: Final = 2**48

Takes = Literal["value", "flag", "maybe"]
Act = Callable[[Config, str], None]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `act` raises ValueError for a bad value."""

    names: tuple[str, ...]  #: as people write them, without dashes; the first is the manual's
    takes: Takes
    becomes: str  #: for the table
    act: Act | None = None
    ignored: str = ""  #: why nothing is done
    refused: str = ""  #: why it is an error


def _set(name: str, read: Callable[[str], object] = str) -> Act:
    def act(config: Config, value: str) -> None:
        setattr(config, name, read(value))

    return act


def _text(value: str) -> str:
    if not value:
        raise ValueError("empty")
    return value


def _flag(name: str, *, of: bool = True) -> Act:
    def act(config: Config, value: str) -> None:
        setattr(config, name, values.parse_bool(value) is of)

    return act


def _action(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        if values.parse_bool(value):
            config.action = name

    return act


def _ranges(config: Config, value: str) -> None:
    config.ranges += values.parse_ranges(value)


def _excludes(config: Config, value: str) -> None:
    config.excludes += values.parse_ranges(value)


def _file(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        getattr(config, name).append(_text(value))

    return act


def _payloads(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        config.payloads = (name, _text(value))

    return act


def _ports(config: Config, value: str) -> None:
    tcp, udp, ping = values.parse_port_list(value)
    config.tcp |= tcp
    config.udp |= udp
    config.ping = config.ping or ping


def _udp_ports(config: Config, value: str) -> None:
    config.udp |= values.parse_port_list(value)[0]


def _no_ports(config: Config, value: str) -> None:
    tcp, udp, _ = values.parse_port_list(value)
    config.not_tcp |= tcp
    config.not_udp |= udp


def _top(config: Config, value: str) -> None:
    config.tcp |= values.top_ports(value)


def _shards(config: Config, value: str) -> None:
    shard, shards = values.parse_shard(value)
    if shards > MAX_SHARDS:
        raise ValueError(f"more than {MAX_SHARDS} shards")
    config.shard, config.shards = shard, shards


def _seed(config: Config, value: str) -> None:
    config.seed = int(time.time()) if value.lower() == "time" else values.whole(value, _MAX_SEED)


def _wait(config: Config, value: str) -> None:
    config.wait = FOREVER if value.lower() == "forever" else values.parse_time(value)


def _mac(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        setattr(config, name, parse_mac(value).hex("-"))

    return act


def _format(config: Config, value: str) -> None:
    name = value.lower().strip()
    if name in OTHER_FORMATS:
        raise ValueError(f"Longline does not write it; {OTHER_FORMATS[name]}")
    if name not in FORMATS and name not in SCREEN_FORMATS:
        raise ValueError(f"not one of {', '.join((*FORMATS, *SCREEN_FORMATS))}")
    config.output_format = name


def _output(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        config.output_format, config.output_filename = name, _text(value)

    return act


def _show(shown: bool) -> Act:
    def act(config: Config, value: str) -> None:
        for word in value.replace(",", " ").split():
            if word not in ("open", "closed", "all"):
                raise ValueError(f"{word!r} is not one of open, closed, all")
            if word in ("open", "all"):
                config.show_open = shown
            if word in ("closed", "all"):
                config.show_closed = shown

    return act


def _open_only(config: Config, value: str) -> None:
    if values.parse_bool(value):
        config.show_open, config.show_closed = True, False


def _http(name: str) -> Act:
    def act(config: Config, value: str) -> None:
        if any(char in value for char in "\r\n\0"):
            raise ValueError("a line end within it would make it another request")
        config.http[name] = value

    return act


def _http_field(config: Config, value: str) -> None:
    name, parted, text = value.partition(":")
    if not parted:
        name, parted, text = value.partition("=")
    if not parted or not name.strip() or any(char in value for char in "\r\n\0"):
        raise ValueError("not NAME: VALUE on one line")
    config.http_fields.append((name.strip(), text.strip()))


def _no_http_field(config: Config, value: str) -> None:
    config.http_fields = [pair for pair in config.http_fields if pair[0].lower() != value.strip().lower()]
    config.http.pop({"user-agent": "user-agent", "host": "host", "cookie": "cookie"}.get(value.lower(), ""), None)


def _readscan(config: Config, value: str) -> None:
    config.action = "readscan"
    config.readscan.append(_text(value))


def _echo(config: Config, value: str) -> None:
    if values.parse_bool(value):
        config.action = "echo"


def _echo_cidr(config: Config, value: str) -> None:
    _echo(config, value)
    config.echo_cidr = True


def _louder(config: Config, value: str) -> None:
    del value
    config.verbosity += 1


def _folder(value: str) -> str:
    if not Path(_text(value)).is_dir():
        raise ValueError("there is no such folder")
    return value


def _number(most: int, least: int = 0) -> Callable[[str], int]:
    def read(value: str) -> int:
        number = values.whole(value, most)
        if number < least:
            raise ValueError(f"below {least}")
        return number

    return read


def _port(value: str) -> str:
    return values.source_range(value, "port")


def _address(value: str) -> str:
    return values.source_range(value, "address")


_QUICK = "packets leave by the fastest way that works: --engine of longline scan"
_HOST = "it only looks like another host's packets"
_PROBES = "what is asked of a service is said by longline bannergrab"

OPTIONS: Final = (
    # Targets.
    Option(("range", "ranges", "target", "targets", "dst-ip", "ip"), "value", "targets", _ranges),
    Option(("include-file", "iL", "includefile"), "value", "targets, read from a file", _file("include_files")),
    Option(("exclude", "exclude-range", "exclude-ranges"), "value", "`--exclude`", _excludes),
    Option(("excludefile", "exclude-file"), "value", "`--blocklist-file`: looked at again when it changes",
           _file("exclude_files")),
    Option(("iR",), "value", "", refused="random targets are 0.0.0.0/0 and --resume-count"),
    # Ports.
    Option(("ports", "p", "port", "dst-port", "target-port"), "value", "`--probe`, by T:, U: and I:", _ports),
    Option(("tcp-ports", "tcp-port"), "value", "`--probe tcp_synscan:...`", _ports),
    Option(("udp-ports", "udp-port"), "value", "`--probe udp:...`", _udp_ports),
    Option(("exclude-ports", "exclude-port"), "value", "these ports are not probed", _no_ports),
    Option(("top-ports", "top-port"), "maybe", f"the N most open TCP ports; {values.DEFAULT_TOP} without N, "
           f"{len(values.TOP_PORTS)} at most, which are those of masscan; of fewer it takes the first by number", _top),
    Option(("ping", "ping-sweep"), "flag", "`--probe icmp_echoscan`, beside TCP and UDP", _flag("ping")),
    Option(("arpscan", "arp"), "flag", "", refused="who is on the link is found by ARP before a scan of it"),
    Option(("sctp-ports", "oprotos", "oproto"), "value", "", refused="SCTP and IP protocol scans are not done"),
    # Order and pace.
    Option(("rate",), "value", "`--rate`; fractions too", _set("rate", values.parse_rate)),
    Option(("max-rate",), "value", "the same", _set("rate", values.parse_rate)),
    Option(("shard", "shards"), "value", "`--shards`, `--shard`; without --seed the order is that of seed 0, on all "
           "machines the same", _shards),
    Option(("seed",), "value", "`--seed`; the order is not masscan's", _seed),
    Option(("retries", "retry", "max-retries"), "value", "`--retries`, a second apart; who answered is not asked again",
           _set("retries", _number(_MAX_RETRIES))),
    Option(("wait", "cooldown"), "value", "`--cooldown-time`", _wait),
    Option(("resume-index",), "value", "`--first-target`, in our order: that of a paused.conf of masscan's means other "
           "targets, so such a scan is done whole", _set("resume_index", _number(_MAX_INDEX))),
    Option(("resume-count",), "value", "`--max-targets`", _set("resume_count", _number(_MAX_INDEX, 1))),
    Option(("infinite",), "flag", "", refused="a scan has an end: start it again"),
    Option(("blackrock-rounds",), "value", "", ignored="the order is a permutation of our own"),
    # Packets.
    Option(("adapter", "e", "i", "interface", "if"), "value", "`--interface`", _set("adapter", _text)),
    Option(("adapter-ip", "source-ip", "S", "src-ip"), "value", "`--source-ip`", _set("adapter_ip", _address)),
    Option(("adapter-port", "source-port", "g", "src-port"), "value", "`--source-port`; a range need be no power of 2",
           _set("adapter_port", _port)),
    Option(("adapter-mac", "source-mac", "spoof-mac"), "value", "`--source-mac`", _mac("adapter_mac")),
    Option(("router-mac", "router-mac-ipv4", "gateway-mac"), "value", "`--gateway-mac`", _mac("router_mac")),
    Option(("router-mac-ipv6",), "value", "", ignored="IPv6 targets are dialled by the kernel"),
    Option(("router-ip",), "value", "", ignored="the gateway is the route's"),
    Option(("vlan", "adapter-vlan"), "value", "`--vlan`", _set("vlan", _number(4094))),
    Option(("ttl",), "value", "`--probe-ttl`; 255 unless told otherwise, as in masscan", _set("ttl", _number(255, 1))),
    Option(("noreset",), "flag", "`--send-rst never`", _flag("reset", of=False)),
    Option(("pcap",), "value", "`--pcap`", _set("pcap", _text)),
    Option(("tcp-mss", "tcp-wscale", "tcp-tsecho", "tcp-sackok"), "maybe", "",
           ignored="TCP options are a set that systems send: --probe-args of longline scan"),
    Option(("data-length",), "value", "", refused=_HOST),
    Option(("badsum",), "flag", "", refused="nobody answers a wrong checksum"),
    Option(("min-packet",), "value", "", ignored="frames are as long as Ethernet wants them"),
    Option(("bpf",), "value", "", ignored="the filter is made from the probes"),
    Option(("pfring", "sendq"), "flag", "", ignored=_QUICK),
    # Banners.
    Option(("banners", "banner"), "flag", "`--grab`: by continuation, by connect where it cannot", _flag("banners")),
    Option(("nobanners", "nobanner"), "flag", "no `--grab`", _flag("banners", of=False)),
    Option(("rawudp", "banner-types", "hello", "hello-file", "hello-string"), "value", "", refused=_PROBES),
    Option(("connection-timeout", "tcp-connection-timeout"), "value", "`--total-timeout`",
           _set("connection_timeout", values.parse_time)),
    Option(("hello-timeout",), "value", "`--wait` of `--grab`: the server may speak first for so long",
           _set("hello_timeout", values.parse_time)),
    Option(("http-method",), "value", "of the request that --banners sends", _http("method")),
    Option(("http-url",), "value", "the same", _http("url")),
    Option(("http-version",), "value", "the same", _http("version")),
    Option(("http-host",), "value", "the same", _http("host")),
    Option(("http-user-agent",), "value", "the same; `longline/1.0` unless told otherwise", _http("user-agent")),
    Option(("http-cookie",), "value", "the same", _http("cookie")),
    Option(("http-payload",), "value", "the same", _http("payload")),
    Option(("http-field", "http-header"), "value", "the same; `NAME: VALUE`", _http_field),
    Option(("http-field-remove", "http-header-remove"), "value", "the same", _no_http_field),
    Option(("capture", "nocapture"), "value", "", ignored="a banner is kept whole: --max-bytes of longline scan"),
    Option(("heartbleed", "ticketbleed", "poodle"), "flag", "", refused="Longline exploits nothing, not even to look"),
    Option(("vuln",), "value", "", refused="Longline exploits nothing, not even to look"),
    Option(("nmap-payloads",), "value", "`--probe 'udp:... payloads:FILE'`", _payloads("nmap-payloads")),
    Option(("pcap-payloads",), "value", "the same, of the UDP packets of a capture; the last one named counts",
           _payloads("pcap-payloads")),
    Option(("nmap-service-probes",), "value", "", refused=_PROBES),
    Option(("script",), "value", "", refused="there is no Lua here: plugins are Python"),
    # Output.
    Option(("output-format",), "value", "`-O`", _format),
    Option(("output-filename", "output-file"), "value", "`-o`; XML unless a format is named", _set("output_filename",
           _text)),
    *(Option((f"o{letter}",), "value", f"`-O {module} -o FILE`", _output(name)) for letter, name, module in (
        ("X", "xml", "xml"), ("J", "json", "masscan-json"), ("D", "ndjson", "ndjson"), ("L", "list", "masscan-list"),
        ("G", "grepable", "grepable"), ("B", "binary", "binary"), ("U", "unicornscan", "unicornscan"),
        ("H", "hostonly", "hostonly"))),
    Option(("oR",), "value", "", refused=OTHER_FORMATS["redis"]),
    Option(("redis", "redis-pwd"), "value", "", refused=OTHER_FORMATS["redis"]),
    Option(("append-output", "output-append"), "flag", "`--append-output`", _flag("append")),
    Option(("open", "open-only"), "flag", "`--show open`", _open_only),
    Option(("show", "output-status", "output-show"), "value", "`--show`", _show(True)),
    Option(("noshow", "output-noshow"), "value", "the other way", _show(False)),
    Option(("interactive",), "flag", "lines on the screen beside the file", _flag("interactive")),
    Option(("status",), "flag", "the status line", _flag("status")),
    Option(("nostatus",), "flag", "`--quiet`", _flag("status", of=False)),
    Option(("ndjson-status", "json-status"), "flag", "", ignored="the metrics of longline scan have more"),
    Option(("rotate", "rotate-output", "rotate-every"), "value", "`--rotate`", _set("rotate", values.parse_time)),
    Option(("rotate-offset",), "value", "`--rotate-offset`", _set("rotate_offset", values.parse_time)),
    Option(("rotate-size", "rotate-filesize"), "value", "`--rotate-size`", _set("rotate_size", values.parse_size)),
    Option(("rotate-dir", "rotate-directory"), "value", "`--rotate-dir`", _set("rotate_dir", _folder)),
    Option(("stylesheet",), "value", "", ignored="the XML names no stylesheet"),
    Option(("webxml", "no-stylesheet"), "flag", "", ignored="the XML names no stylesheet"),
    Option(("packet-trace", "trace-packet"), "flag", "with --offline the packets are printed; else `--pcap` has them",
           _flag("packet_trace")),
    Option(("v", "d"), "flag", "`--verbosity`", _louder),
    # Instead of a scan.
    Option(("sL",), "flag", "the targets in order, and nothing sent", _action("list")),
    Option(("offline", "dry-run", "nosend", "notransmit"), "flag", "every packet is built and none sent; masscan 1.3.2 "
           "fails there", _action("offline")),
    Option(("echo", "echo-all"), "flag", "the configuration in force, as `-c` reads it; excluded ranges are kept apart",
           _echo),
    Option(("echo-cidr",), "flag", "the same, ranges as networks", _echo_cidr),
    Option(("readscan", "read-scan"), "value", "files of masscan's or ours in any of the formats, into any other",
           _readscan),
    Option(("readrange", "readranges"), "flag", "the targets, excluded ones left out, as networks",
           _action("readrange")),
    Option(("regress", "regression", "selftest", "self-test"), "flag", "`longline scan --self-test`",
           _action("regress")),
    Option(("benchmark",), "flag", "`longline scan --benchmark`", _action("benchmark")),
    Option(("iflist",), "flag", "the interfaces", _action("iflist")),
    Option(("debug",), "value", "", refused="longline scan -v 5 tells what it stands on"),
    Option(("nmap",), "flag", "what of nmap's options there is", _action("nmap")),
    Option(("version", "V"), "flag", "the version; ends with 0, not 1", _action("version")),
    Option(("help", "h", "?"), "flag", "help; ends with 0, not 1", _action("help")),
    # Ours.
    Option(("explain",), "flag", "what would be done, and nothing sent", _flag("explain")),
    Option(("confirm-over",), "value", "ask before a scan of more than N targets", _set("confirm_over",
           _number(_MAX_INDEX))),
    Option(("spec",), "flag", "with --echo: as `longline scan --spec` reads it", _flag("spec")),
    Option(("system-config", "no-system-config"), "flag", "whether /etc/masscan/masscan.conf counts", None),
    Option(("longline-checkpoint",), "value", "in a paused.conf of ours: where the scan goes on", _set("checkpoint",
           _text)),
    # nmap's.
    Option(("sS", "Pn", "n", "randomize-hosts", "send-eth", "reason", "privileged"), "flag", "nothing: always so",
           lambda config, value: None),
    Option(("sU",), "flag", "nothing: -pU: says which ports", lambda config, value: None),
    Option(("6",), "flag", "nothing: IPv6 targets are known by their form", lambda config, value: None),
    Option(("sT",), "flag", "", ignored="connections are --engine connect of longline scan; this is a SYN scan"),
    Option(("r",), "flag", "", ignored="the order is always random"),
    Option(("R", "system-dns"), "flag", "", ignored="no name is looked up"),
    Option(("datadir", "servicedb", "versiondb"), "value", "", ignored="nothing of nmap's is read"),
    Option(("nobacktrace", "unprivileged"), "flag", "", ignored="there is nothing to switch off"),
    Option(("sn", "sP"), "flag", "", refused="a ping sweep is --ping without -p"),
    Option(("PE", "PP", "PM", "PS", "PA", "PU", "PY", "PO", "P0", "PR"), "flag", "", refused="no host is asked first"),
    Option(("sA", "sW", "sM", "sN", "sF", "sX", "sY", "sZ", "sO", "scanflags"), "flag", "",
           refused="TCP is scanned by SYN, UDP by -pU:, and nothing else"),
    Option(("sI", "b"), "value", "", refused="no packets through others' machines"),
    Option(("sV", "version-intensity", "version-light", "version-all", "version-trace"), "flag", "", refused=_PROBES),
    Option(("sC", "script-args", "script-trace"), "flag", "", refused="there are no scripts"),
    Option(("A", "O", "osscan-limit", "osscan-guess"), "flag", "", refused="systems are not guessed"),
    Option(("F",), "flag", "", refused="the most open ports are --top-ports"),
    Option(("T", "T0", "T1", "T2", "T3", "T4", "T5", "min-rate", "min-hostgroup", "max-hostgroup", "min-parallelism",
            "max-parallelism", "min-rtt-timeout", "max-rtt-timeout", "initial-rtt-timeout", "host-timeout",
            "scan-delay", "max-scan-delay"), "maybe", "", refused="the pace is --rate"),
    Option(("f", "mtu"), "maybe", "", refused="probes are not fragmented"),
    Option(("D", "proxies", "proxy", "ip-options"), "value", "", refused=_HOST),
    Option(("traceroute",), "flag", "", refused="paths are not followed"),
    Option(("dns-servers",), "value", "", refused="no name is looked up"),
    Option(("oN", "oS", "oA"), "value", "", refused="the formats are -oX -oJ -oD -oL -oG -oB -oU -oH"),
    Option(("send-ip",), "flag", "", refused="raw IP is --engine ip of longline scan"),
)  # fmt: skip


def plain(name: str) -> str:
    """A name as it is compared: case and the characters `-`, `.`, `_` say nothing."""
    return name.translate(_NOTHING).lower()


_NOTHING: Final = {ord(char): None for char in "-._"}

#: Names of one letter, and of nmap's kind (`sS`, `oX`), differ by case.
EXACT: Final = {name: option for option in OPTIONS for name in option.names if len(name) <= 2}
BY_NAME: Final = {plain(name): option for option in OPTIONS for name in option.names if len(name) > 2} | {
    plain(name): option for option in OPTIONS for name in option.names[1:] if len(name) > 2
}
