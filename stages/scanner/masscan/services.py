"""Names of ports, as the IANA registry has them, and of what a banner is, as masscan numbers it. Pure."""

from __future__ import annotations

import re
from typing import Final

#: Names of the ports that people scan most (IANA Service Name and Transport Protocol Port Number Registry).
PORTS: Final = {
    ("tcp", 7): "echo", ("tcp", 13): "daytime", ("tcp", 21): "ftp", ("tcp", 22): "ssh", ("tcp", 23): "telnet",
    ("tcp", 25): "smtp", ("tcp", 43): "whois", ("tcp", 53): "domain", ("tcp", 70): "gopher", ("tcp", 79): "finger",
    ("tcp", 80): "http", ("tcp", 88): "kerberos", ("tcp", 110): "pop3", ("tcp", 111): "sunrpc", ("tcp", 113): "auth",
    ("tcp", 119): "nntp", ("tcp", 135): "epmap", ("tcp", 139): "netbios-ssn", ("tcp", 143): "imap2",
    ("tcp", 179): "bgp", ("tcp", 194): "irc", ("tcp", 389): "ldap", ("tcp", 443): "https", ("tcp", 445): "microsoft-ds",
    ("tcp", 465): "submissions", ("tcp", 548): "afpovertcp", ("tcp", 554): "rtsp", ("tcp", 587): "submission",
    ("tcp", 631): "ipp", ("tcp", 636): "ldaps", ("tcp", 853): "domain-s", ("tcp", 873): "rsync", ("tcp", 990): "ftps",
    ("tcp", 993): "imaps", ("tcp", 995): "pop3s", ("tcp", 1433): "ms-sql-s", ("tcp", 1723): "pptp",
    ("tcp", 1883): "mqtt", ("tcp", 2049): "nfs", ("tcp", 2181): "zookeeper", ("tcp", 3128): "squid",
    ("tcp", 3306): "mysql", ("tcp", 3389): "ms-wbt-server", ("tcp", 5060): "sip", ("tcp", 5061): "sips",
    ("tcp", 5222): "xmpp-client", ("tcp", 5432): "postgresql", ("tcp", 5672): "amqp", ("tcp", 5900): "rfb",
    ("tcp", 6379): "redis", ("tcp", 8080): "http-alt", ("tcp", 8443): "pcsync-https", ("tcp", 9092): "kafka",
    ("tcp", 9200): "wap-wsp", ("tcp", 11211): "memcache", ("tcp", 27017): "mongodb",
    ("udp", 7): "echo", ("udp", 19): "chargen", ("udp", 53): "domain", ("udp", 67): "bootps", ("udp", 69): "tftp",
    ("udp", 111): "sunrpc", ("udp", 123): "ntp", ("udp", 137): "netbios-ns", ("udp", 161): "snmp",
    ("udp", 389): "ldap", ("udp", 500): "isakmp", ("udp", 514): "syslog", ("udp", 520): "router",
    ("udp", 1194): "openvpn", ("udp", 1701): "l2tp", ("udp", 1900): "ssdp", ("udp", 3478): "stun",
    ("udp", 4500): "ipsec-nat-t", ("udp", 5060): "sip", ("udp", 5353): "mdns", ("udp", 5683): "coap",
    ("udp", 11211): "memcache",
}  # fmt: skip

UNKNOWN: Final = "unknown"

#: What a banner is, by masscan's number for it. Seen on masscan 1.3.2; 0 and 1 are what it has no name for.
SERVICES: Final = {
    0: UNKNOWN, 1: UNKNOWN, 2: "ssh", 3: "ssh", 4: "http", 5: "ftp", 6: "dns-ver", 7: "snmp", 8: "nbtstat", 9: "ssl",
    10: "smb", 11: "smtp", 12: "pop", 13: "imap", 14: "zeroaccess", 15: "X509", 16: "title", 17: "html", 18: "ntp",
    19: "vuln", 20: "heartbleed", 21: "ticketbleed", 22: "vnc", 23: "safe", 24: "memcached", 25: "scripting",
    26: "versioning", 27: "coap", 28: "telnet", 29: "rdp", 30: "http.server",
}  # fmt: skip
#: The other way; of two numbers the higher, but for `unknown`.
_NUMBERS: Final = {name: number for number, name in SERVICES.items()} | {UNKNOWN: 0}

_NUMBERED: Final = re.compile(r"\((\d{1,5})\)", re.ASCII).fullmatch
_LARGEST: Final = 0xFFFF

#: Our names for what masscan calls otherwise.
_OURS: Final = {"pop3": "pop", "imap2": "imap", "tls": "ssl", "https": "ssl", "dns": "dns-ver", "rfb": "vnc"}


def port_name(proto: str, port: int) -> str:
    """`http` of TCP 80; a protocol without ports is its own name; `unknown`."""
    if proto in ("icmp", "sctp", "arp"):
        return proto
    return PORTS.get((proto, port), UNKNOWN)


def service_name(number: int) -> str:
    """`ssh` of 2; `(99)` of a number without a name, as masscan has it."""
    return SERVICES.get(number, f"({number})")


def service_number(name: str) -> int:
    """The inverse; 0 for a name that masscan has no number for."""
    numbered = _NUMBERED(name)
    if numbered is not None and int(numbered[1]) <= _LARGEST:
        return int(numbered[1])
    return _NUMBERS.get(_OURS.get(name, name), 0)


def masscan_name(name: str) -> str:
    """One word for what a banner is, without what a line-based format would stumble over."""
    name = _OURS.get(name, name)
    return re.sub(r"[^A-Za-z0-9_.()-]", "_", name) or UNKNOWN
