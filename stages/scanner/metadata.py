"""--metadata-file: one JSON object with the keys of ZMap 4 (src/summary.c) and of its version 2, and ours. Pure.

Ours: `longline` (version, scan, specification and its hash, reason, position, counts by port) and `complete`. What a
key of ZMap means and we do not have is null. Numbers of addresses are exact.
"""

from __future__ import annotations

import datetime as dt
import json
from ipaddress import IPv4Address
from typing import Any, Final

from stages.scanner.quantities import parse_source_ips
from stages.scanner.told import Told

#: ZMap's "no limit".
_NO_LIMIT: Final = 2**64 - 1
_ALL_IPV4: Final = 2**32


def iso(us: int | None) -> str | None:
    """`2026-11-21T07:10:00+0000`, as ZMap writes times."""
    if us is None:
        return None
    return f"{dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC):%Y-%m-%dT%H:%M:%S}+0000"


def metadata(told: Told) -> dict[str, Any]:
    """The object."""
    return {**_asked(told), **_found(told), **_files(told), **_ours(told)}


def _asked(told: Told) -> dict[str, Any]:
    settings, spec, zmap = told.prepared.settings, told.spec, told.zmap
    first, last = settings.source_ports
    sources = [] if settings.source_ip is None else [str(IPv4Address(n)) for n in parse_source_ips(settings.source_ip)]
    if "source_ip" in told.sender:
        sources = str(told.sender["source_ip"]).split(",")
    ports = list(told.prepared.ports) if spec.ports else []
    return {
        "local_hostname": told.host[0],
        "full_hostname": told.host[1],
        "target_port": ports[0] if len(ports) == 1 else None,
        "target_ports": ports,
        "source_port_first": first,
        "source_port_last": last,
        "max_targets": _NO_LIMIT if settings.max_targets is None else spec.last * spec.shards,
        "max_runtime": settings.max_runtime or 0,
        "max_results": _NO_LIMIT if settings.max_results is None else settings.max_results,
        "output_results": told.tally.written,
        "iface": told.sender.get("interface"),
        "rate": spec.rate,
        "bandwidth": settings.bandwidth or 0,
        "cooldown_secs": settings.cooldown_time,
        "senders": settings.sender_threads,
        "seed": spec.seed,
        "seed_provided": settings.seed is not None,
        "use_seed": int(settings.seed is not None),
        "generator": None,
        "shard_num": spec.shard,
        "total_shards": spec.shards,
        "min_hitrate": zmap.min_hitrate,
        "max_sendto_failures": settings.max_sendto_failures,
        "syslog": False,
        "default_mode": told.default_mode,
        "filter_duplicates": int("repeat = 0" in spec.output_filter),
        "filter_unsuccessful": int("success = 1" in spec.output_filter),
        "packet_streams": spec.probes,
        "probe_module": spec.probe,
        "probe_args": settings.probe_args,
        "probe_ttl": spec.probe_ttl,
        "output_module": settings.output_module or "csv",
        "output_filter": spec.output_filter or None,
        "cli_cidr_destinations": list(settings.targets),
        "gateway_mac": told.sender.get("gateway_mac", settings.gateway_mac),
        "gateway_ip": told.sender.get("gateway_ip"),
        "source_mac": told.sender.get("source_mac", settings.source_mac),
        "source_ips": sources,
        "dryrun": settings.dryrun or settings.fast_dryrun,
        "quiet": settings.quiet,
        "log_level": settings.verbosity,
        "deduplication_method": spec.dedup,
        "deduplication_window_size": settings.dedup_window_size,
    }


def _found(told: Told) -> dict[str, Any]:
    counters, counts, times = told.counters, told.counts, told.times
    allowed = told.spec.addresses
    app = {} if counts.app is None else {"app_success_total": counts.app_total, "app_success_unique": counts.app_unique}
    return {
        **app,
        "hitrate": round(told.hit_rate, 6),
        "pcap_recv": counters.received,
        "pcap_drop": counters.ring_drops,
        "pcap_ifdrop": 0,
        "ip_fragments": None,
        "blocklist_total_allowed": allowed,
        "blocklist_total_not_allowed": max(0, _ALL_IPV4 - allowed),
        "blacklist_total_allowed": allowed,
        "blacklist_total_not_allowed": max(0, _ALL_IPV4 - allowed),
        "validation_passed": counters.validated,
        "validation_failed": counters.invalid,
        "first_scanned": told.first_scanned,
        "send_to_failures": counters.send_failures,
        "packets_sent": counters.sent,
        "total_sent": counters.sent,
        "targets_scanned": told.position,
        "success_total": counts.success_total,
        "success_unique": counts.success_unique,
        "success_cooldown_total": counts.cooldown_total,
        "success_cooldown_unique": counts.cooldown_unique,
        "failure_total": counts.failure_total,
        "send_start_time": iso(times.send_start),
        "send_end_time": iso(times.send_end),
        "recv_start_time": iso(times.recv_start),
        "recv_end_time": iso(times.recv_end),
    }


def _files(told: Told) -> dict[str, Any]:
    settings, spec, zmap = told.prepared.settings, told.spec, told.zmap
    return {
        "log_file": told.log_name,
        "log_directory": zmap.log_directory,
        "output_args": None if settings.output_args is None else settings.shown("output_args"),
        "output_filename": settings.output_file,
        "blocklist_filename": ",".join(spec.blocklist_files) or None,
        "allowlist_filename": ",".join(spec.allowlist_files) or None,
        "list_of_ips_filename": settings.list_of_ips_file,
        "list_of_ips_count": 0 if settings.list_of_ips_file is None else spec.addresses,
        "user-metadata": None if zmap.user_metadata is None else json.loads(zmap.user_metadata),
        "notes": zmap.notes,
        "blocklisted_networks": [str(span) for span in told.prepared.lists.block.spans()],
        "allowlisted_networks": _allowed(told),
    }


def _allowed(told: Told) -> list[str]:
    allow = told.prepared.lists.allow
    if allow is not None:
        return [str(span) for span in allow.spans()]
    return list(told.spec.targets)


def _ours(told: Told) -> dict[str, Any]:
    spec = told.spec
    return {
        "complete": told.reason == "complete",
        "longline": {
            "version": spec.version,
            "scan": spec.scan,
            "specification": spec.digest(),
            "spec": spec.record(),
            "reason": told.reason,
            "position": told.position,
            "last": spec.last,
            "engine": dict(told.sender),
            "rst_total": told.counts.rst_total,
            "rst_unique": told.counts.rst_unique,
            "icmp_total": told.counts.icmp_total,
            "success_by_port": {str(port): count for port, count in sorted(told.counts.ports.items())},
        },
    }
