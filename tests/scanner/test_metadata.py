from __future__ import annotations

import json

from stages.scanner.metadata import iso, metadata
from tests.scanner.test_told import told

#: The keys of ZMap 4 (src/summary.c).
ZMAP = frozenset(
    """
local_hostname full_hostname source_port_first source_port_last target_ports max_targets max_runtime max_results
output_results iface rate bandwidth cooldown_secs senders seed seed_provided generator hitrate shard_num total_shards
min_hitrate max_sendto_failures syslog default_mode pcap_recv pcap_drop pcap_ifdrop ip_fragments
blocklist_total_allowed blocklist_total_not_allowed validation_passed validation_failed first_scanned send_to_failures
packets_sent targets_scanned success_total success_unique success_cooldown_total success_cooldown_unique failure_total
packet_streams probe_module output_module send_start_time send_end_time recv_start_time recv_end_time output_filter
log_file log_directory cli_cidr_destinations probe_args probe_ttl output_args gateway_mac gateway_ip source_mac
source_ips output_filename blocklist_filename allowlist_filename list_of_ips_filename list_of_ips_count dryrun quiet
log_level deduplication_method deduplication_window_size user-metadata notes blocklisted_networks allowlisted_networks
""".split()  # noqa: SIM905
)

#: Those of Debian's version 2, by the names that they had.
OLD = ["target_port", "use_seed", "filter_duplicates", "filter_unsuccessful", "blacklist_total_allowed",
       "blacklist_total_not_allowed", "total_sent"]  # fmt: skip


def test_every_key_is_there() -> None:
    made = metadata(told())
    assert ZMAP | set(OLD) | {"longline", "complete"} == set(made)
    assert json.loads(json.dumps(made)) == made


def test_values() -> None:
    made = metadata(told(notes="mine", user_metadata='{"a": [1]}'))
    expected = {
        "target_ports": [80, 443], "target_port": None, "iface": "eth9", "rate": 1000.0, "seed": 1,
        "seed_provided": True, "hitrate": 12.5, "pcap_recv": 20, "pcap_drop": 2, "validation_passed": 8,
        "blocklist_total_allowed": 16, "blocklist_total_not_allowed": 2**32 - 16, "first_scanned": "10.0.0.7",
        "packets_sent": 32, "targets_scanned": 32, "success_total": 5, "success_unique": 4, "failure_total": 3,
        "success_cooldown_total": 2, "send_start_time": "2026-11-21T07:10:00+0000",
        "recv_end_time": "2026-11-21T07:10:09+0000", "cli_cidr_destinations": ["10.0.0.0/28"],
        "source_ips": ["192.0.2.1", "192.0.2.2"], "gateway_mac": "02:00:00:00:00:01", "user-metadata": {"a": [1]},
        "notes": "mine", "log_file": "the.log", "max_targets": 2**64 - 1, "filter_duplicates": 1, "complete": True,
        "output_filter": "success = 1 && repeat = 0",
    }  # fmt: skip
    assert {key: made[key] for key in expected} == expected
    ours = made["longline"]
    assert ours["success_by_port"] == {"80": 3, "443": 1}
    assert ours["specification"] == ours["spec"]["spec"]
    assert (ours["version"], ours["reason"]) == (made["longline"]["spec"]["version"], "complete")


def test_times_are_zmaps() -> None:
    assert iso(None) is None
    assert iso(0) == "1970-01-01T00:00:00+0000"


def test_a_module_that_knows_what_the_application_says() -> None:
    one = told()
    assert "app_success_total" not in metadata(one)
    one.counts.app, one.counts.app_total = (lambda row: True), 7
    assert (metadata(one)["app_success_total"], metadata(one)["app_success_unique"]) == (7, 0)
