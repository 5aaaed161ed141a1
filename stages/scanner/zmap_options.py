"""Every option of ZMap 4 and of its older manuals: its default there, and how it is here. Pure.

docs/from-zmap.md is made from this table and from the settings, which have the default here; a test types every option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """One option of ZMap."""

    flags: str  #: as ZMap's manuals spell them, the newest first
    theirs: str  #: default there
    example: str | None  #: a value that means something; None: it stands alone
    difference: str = ""


OPTIONS: Final = (
    Known("-p --target-ports --target-port", "", "80,443,8000-8100",
          "a port given twice is probed once; what is no number is an error"),
    Known("-o --output-file", "standard output", "-",
          "without it results go to standard output, and nothing else does"),
    Known("-b --blocklist-file --blacklist-file", "/etc/zmap/blocklist.conf", "/dev/null",
          "may be given many times; adds to the system's lists; the special-purpose ranges of IANA are blocked without "
          "a file (`--no-default-blocklist`), and a target written inside one lifts it"),
    Known("-w --allowlist-file --whitelist-file", "", "/dev/null", "allows, and names the targets where none are "
          "written; targets must be on it too (ZMap probes both)"),
    Known("-I --list-of-ips-file", "", "/dev/null", "exact with many ports; no memory for the rest of the space"),
    Known("-r --rate", "10000", "10K", "0 is as fast as it goes; K, M and fractions too"),
    Known("-B --bandwidth", "", "10M", "wins over -r, as the manual has it; 1.5M too"),
    Known("--batch", "64", "64", "understood and left alone: batches fit the rate"),
    Known("-n --max-targets", "", "0.1%", "a share is of what is left to scan after the lists, as the manual has it"),
    Known("-t --max-runtime", "", "60"),
    Known("-N --max-results", "", "100"),
    Known("-P --probes", "1", "2"),
    Known("-c --cooldown-time", "8", "4"),
    Known("-e --seed", "random", "5", "0 is a seed like others; the order is another than ZMap's"),
    Known("--retries", "10", "1", "here: so many probes more to a target that stays silent. Calls that fail are "
          "repeated without it, up to --max-sendto-failures"),
    Known("-d --dryrun", "off", None),
    Known("--fast-dryrun", "off", None, "for every probe module"),
    Known("--shards", "1", "4", "any shard may be done at any rate by any number of threads"),
    Known("--shard", "0", "1"),
    Known("-s --source-port", "32768-61000", "40000-50000",
          "never the seed, which an example of the old manual takes it for: that is -e, and there is a hint"),
    Known("--validate-source-port", "by module", "enable",
          "always: by all that an answer brings back (field `validated`); `disable` is refused"),
    Known("-S --source-ip", "the interface's", "10.0.0.1-10.0.0.9"),
    Known("-G --gateway-mac", "found", "02:00:00:00:00:01", "asked for by ARP where the kernel does not know it"),
    Known("--source-mac", "the interface's", "02:00:00:00:00:02"),
    Known("-i --interface", "the default route's", "eth0", "the route's to the targets"),
    Known("-X --iplayer --vpn", "off", None, "the same as `--engine ip`, which is chosen by itself where it must be"),
    Known("--netmap-wait-ping", "", "10.0.0.1", "understood and left alone: AF_XDP takes netmap's place"),
    Known("-M --probe-module", "tcp_synscan", "tcp_synscan",
          "there is no bacnet and no ipip; modules may be installed (docs/recipes/probe.md)"),
    Known("--probe-args", "", "linux"),
    Known("--probe-ttl", "64", "64"),
    Known("--list-probe-modules", "", None),
    Known("--list-output-modules", "", None),
    Known("--list-output-fields", "", None, "for dns and upnp too"),
    Known("-O --output-module", "csv", "json", "and list, hits, extended_file, redis, null"),
    Known("-f --output-fields", "saddr", "saddr,sport", "names of all manuals: `response`, `seq`, `in_cooldown`, "
          "`saddr-raw` ..., which stand in the header as they were typed"),
    Known("--output-filter", "success = 1 && repeat = 0", "ttl > 10",
          "also quoted text, addresses, networks, lists, `!`, `null`"),
    Known("--output-args", "", "redis://127.0.0.1:6379/0?list=zmap", "of -O redis"),
    Known("--no-header-row", "off", None),
    Known("--dedup-method", "full, several ports: window", "window", "exact with many ports too"),
    Known("--dedup-window-size", "1000000", "1000"),
    Known("-v --verbosity", "3", "3"),
    Known("-l --log-file", "standard error", "/dev/null"),
    Known("-L --log-directory", "", "/tmp"),  # noqa: S108 - an example
    Known("-m --metadata-file", "", "/dev/null", "there from the start, whole after every end; all keys and "
          "`longline`, `complete`; exact networks with their lengths"),
    Known("-u --status-updates-file", "", "/dev/null", "each row has the cells of the header"),
    Known("-q --quiet", "off", None),
    Known("-g --summary", "off", None, "version 1's; on standard error where results go to standard output"),
    Known("--disable-syslog", "off", None, "understood and left alone: nothing is written to syslog"),
    Known("--notes", "", "text"),
    Known("--user-metadata", "", '{"a": 1}'),
    Known("-C --config", "/etc/zmap/zmap.conf", "/dev/null",
          "the block list of the system's file holds all the same; `--settings` names a longline.toml"),
    Known("--max-sendto-failures", "-1", "10"),
    Known("--min-hitrate", "0", "0.5", "percent, as shown"),
    Known("-T --sender-threads", "min(4, cores - 1)", "2", "one, as in versions 1 and 2"),
    Known("--cores", "all", "0", "all threads run on these"),
    Known("--ignore-blocklist-errors --ignore-blacklist-errors --ignore-invalid-hosts", "off", None,
          "each line that is left out is warned of"),
    Known("-h --help", "", None),
    Known("-V --version", "", None),
)  # fmt: skip
