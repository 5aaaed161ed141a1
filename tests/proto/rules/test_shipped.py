"""Each shipped rule finds what it is for, and nothing of what only looks like it, nor of what another is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from stages.proto.rules.fields import Seen
from stages.proto.rules.rulefile import Rule, parse_rules
from stages.tlsgrab.rules import shipped
from tests.proto.rules.material import made, seen

RULES: dict[str, Rule] = {rule.name: rule for text in shipped().values() for rule in parse_rules(text)}

NET, COM = "www.mnbvcxzlkj.net", "www.2qwertyuiopasdfg.com"


@dataclass
class Case:
    """A certificate, and what of the handshake matters. `near`: the same with one thing changed."""

    subject: dict[str, str]
    issuer: dict[str, str] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    handshake: dict[str, Any] = field(default_factory=dict)
    near: tuple[dict[str, Any], ...] = ()  #: fields of Case to replace

    def seen(self, **changes: Any) -> Seen:
        parts = {name: changes.get(name, getattr(self, name)) for name in ("subject", "issuer", "more", "handshake")}
        leaf = made(parts["subject"], parts["issuer"], **parts["more"])
        return seen(leaf, **parts["handshake"])


def tor(handshake: dict[str, Any]) -> Case:
    rsa = {"kind": "rsa2048", "life": timedelta(days=90), "serial": 2**62}
    return Case(
        {"CN": NET},
        {"CN": COM},
        rsa,
        handshake,
        near=(
            {"subject": {"CN": "www.example.net"}},  # seven letters
            {"subject": {"CN": "www.abcdefgh1.net"}},  # no base32
            {"subject": {"CN": "www.mnbvcxzlkj.org"}},
            {"issuer": {"CN": "Example CA"}},
            {"more": {**rsa, "dns": (NET,)}},  # a web server has extensions
            {"handshake": {**handshake, "chain": 3}},
        ),
    )


V1 = {"suite": 0x0033, "version": 0x0301, "chain": 2}

CASES = {
    "tor-relay": tor({"suite": 0x1301, "version": 0x0304}),
    "tor-relay-v1": tor(V1),
    "fritzbox": Case({"CN": "fritz.box"}, None, {"dns": ("fritz.box", "www.fritz.box"), "ca": True},
                     near=({"issuer": {"CN": "CA"}}, {"subject": {"CN": "box"}, "more": {"dns": ("a.fritz.box",)}})),
    "draytek-vigor": Case({"C": "TW", "ST": "HsinChu", "L": "HuKou", "O": "DrayTek Corp.", "OU": "DrayTek Support",
                           "CN": "Vigor Router"}, near=({"subject": {"O": "DrayTek Corp.", "CN": "vigor.example"}},)),
    "netgear-routerlogin": Case({"O": "NETGEAR", "CN": "www.routerlogin.net"}, {"CN": "Netgear CA"},
                                near=({"subject": {"CN": "www.routerlogin.net"}},
                                      {"subject": {"O": "NETGEAR", "CN": "x"}})),
    "tplink-router": Case({"CN": "tplinkwifi.net"}, near=({"issuer": {"CN": "CA"}}, {"subject": {"CN": "tplink.net"}})),
    "asus-router": Case({"CN": "router.asus.com"}, near=({"issuer": {"CN": "CA"}}, {"subject": {"CN": "asus.com"}})),
    "openwrt": Case({"C": "ZZ", "ST": "Somewhere", "L": "Unknown", "O": "OpenWrtd3adb33f", "CN": "OpenWrt"},
                    near=({"subject": {"O": "LEDE", "CN": "OpenWrt"}}, {"subject": {"O": "OpenWrt", "CN": "router"}})),
    "ubiquiti-airos": Case({"C": "US", "ST": "CA", "L": "San Jose", "O": "Ubiquiti Networks Inc.",
                            "OU": "Technical Support", "CN": "UBNT"}, near=({"subject": {"CN": "UBNT"}},)),
    "ubiquiti-edgeos": Case({"C": "US", "O": "Ubiquiti Inc.", "CN": "UbiquitiRouterUI"},
                            near=({"subject": {"O": "Ubiquiti Inc.", "CN": "router"}},)),
    "zyxel-gateway": Case({"CN": "usg60w_B8ECA3001122"}, near=({"subject": {"CN": "usg60w_B8ECA30011"}},
                                                               {"subject": {"CN": "xusg60w_B8ECA3001122"}})),
    "lancom-router": Case({"C": "DE", "O": "LANCOM SYSTEMS", "CN": "LANCOM 1781EF+"}, {"CN": "LANCOM CA"},
                          near=({"subject": {"O": "LANCOM Systems GmbH", "CN": "www.example"}},)),
    "fortinet-fortigate": Case(
        {"C": "US", "ST": "California", "L": "Sunnyvale", "O": "Fortinet", "OU": "FortiGate", "CN": "FGT60E4Q16000000"},
        {"O": "Fortinet", "OU": "Certificate Authority", "CN": "support"},
        near=({"issuer": {"O": "Other", "CN": "CA"}}, {"subject": {"O": "Fortinet", "OU": "Web", "CN": "x"}})),
    "sonicwall": Case({"O": "HTTPS Management Certificate for SonicWALL (self-signed)", "CN": "192.168.168.168"},
                      near=({"subject": {"O": "SonicWALL", "CN": "192.168.168.168"}},)),
    "pfsense": Case({"O": "pfSense webConfigurator Self-Signed Certificate", "CN": "pfSense-5f0c"}, None,
                    {"dns": ("pfSense-5f0c",)}, near=({"issuer": {"CN": "CA"}}, {"subject": {"CN": "pfSense-5f0c"}})),
    "opnsense": Case({"O": "OPNsense self-signed web certificate", "CN": "OPNsense.localdomain"},
                     near=({"subject": {"O": "OPNsense", "CN": "OPNsense.localdomain"}},)),
    "cisco-ios": Case({"CN": "IOS-Self-Signed-Certificate-1234567890"},
                      near=({"subject": {"CN": "IOS-Self-Signed-Certificate-x"}}, {"issuer": {"CN": "CA"}})),
    "cisco-asa-temporary": Case({"CN": "ASA Temporary Self Signed Certificate"}, near=({"subject": {"CN": "ASA"}},)),
    "dell-idrac": Case({"C": "US", "ST": "Texas", "L": "Round Rock", "O": "Dell Inc.", "OU": "Remote Access Group",
                        "CN": "idrac-ABC1234"}, near=({"subject": {"O": "Dell Inc.", "OU": "IT", "CN": "idrac-1"}},)),
    "hp-ilo": Case({"C": "US", "ST": "Texas", "L": "Houston", "O": "Hewlett Packard Enterprise", "OU": "ISS",
                    "CN": "ILOCZ1234567"},
                   {"O": "Hewlett Packard Enterprise", "OU": "ISS", "CN": "Default Issuer (Do not trust)"},
                   near=({"issuer": {"OU": "ISS", "CN": "Our CA"}},)),
    "supermicro-ipmi": Case({"C": "US", "L": "San Jose", "O": "Super Micro Computer, Inc.", "OU": "Software",
                             "CN": "IPMI"}, near=({"subject": {"O": "Super Micro Computer", "CN": "IPMI"}},)),
    "vmware-esx": Case({"C": "US", "L": "Palo Alto", "O": "VMware, Inc", "OU": "VMware ESX Server Default Certificate",
                        "CN": "localhost.localdomain"}, {"O": "VMware Installer"},
                       near=({"subject": {"O": "VMware, Inc", "OU": "vCenter", "CN": "x"}},)),
    "synology": Case({"C": "TW", "L": "Taipei", "O": "Synology Inc.", "CN": "synology"},
                     {"O": "Synology Inc.", "CN": "Synology Inc. CA"},
                     near=({"subject": {"O": "Synology Inc.", "CN": "www.example"}},)),
    "qnap": Case({"C": "TW", "O": "QNAP Systems, Inc.", "OU": "NAS", "CN": "QNAP NAS"},
                 near=({"subject": {"O": "QNAP", "CN": "QNAP NAS"}},)),
    "unifi-controller": Case({"C": "US", "O": "Ubiquiti Inc.", "OU": "UniFi", "CN": "UniFi"},
                             near=({"subject": {"OU": "UniFi", "CN": "unifi.example"}}, {"issuer": {"CN": "CA"}})),
    "plesk": Case({"C": "CH", "L": "Schaffhausen", "O": "Plesk", "CN": "Plesk"},
                  near=({"subject": {"O": "x", "CN": "Plesk"}},)),
    "kubernetes-ingress": Case({"O": "Acme Co", "CN": "Kubernetes Ingress Controller Fake Certificate"},
                               near=({"subject": {"O": "Acme Co", "CN": "x"}},)),
    "traefik": Case({"CN": "TRAEFIK DEFAULT CERT"}, None, {"dns": ("0a1b.traefik.default",)},
                    near=({"issuer": {"CN": "CA"}}, {"subject": {"CN": "traefik"}})),
    "openssl-defaults": Case({"C": "AU", "ST": "Some-State", "O": "Internet Widgits Pty Ltd"},
                             near=({"issuer": {"CN": "CA"}}, {"subject": {"O": "Widgits"}})),
    "redhat-mod-ssl": Case({"ST": "SomeState", "L": "SomeCity", "O": "SomeOrganization", "OU": "SomeOrganizationalUnit",
                            "CN": "localhost.localdomain", "email": "root@localhost.localdomain"},
                           near=({"subject": {"O": "SomeOrganization", "CN": "a"}},)),
}  # fmt: skip


def test_every_rule_has_its_case() -> None:
    assert set(CASES) == set(RULES)
    assert all(case.near for case in CASES.values())
    assert all(rule.about for rule in RULES.values())


@pytest.mark.parametrize("name", sorted(CASES))
def test_finds_its_own_and_not_what_is_near(name: str) -> None:
    rule, case = RULES[name], CASES[name]
    assert rule.holds(case.seen())
    for change in case.near:
        assert not rule.holds(case.seen(**change)), change
    assert not rule.holds(seen())


@pytest.mark.parametrize("name", sorted(CASES))
def test_finds_nothing_of_the_others(name: str) -> None:
    kin = {"tor-relay", "tor-relay-v1"}
    one = CASES[name].seen()
    held = {other for other, rule in RULES.items() if rule.holds(one)}
    assert held - (kin if name in kin else set()) == {name} - kin


def test_an_ordinary_web_server_is_none_of_them() -> None:
    leaf = made({"CN": "www.example.org"}, {"C": "US", "O": "Let's Encrypt", "CN": "R3"}, dns=("www.example.org",))
    assert not any(rule.holds(seen(leaf, 2)) for rule in RULES.values())


def test_the_first_link_protocol_is_asked_with_its_three_suites() -> None:
    hello = RULES["tor-relay-v1"].hello
    assert hello is not None
    assert (hello.suites, max(hello.versions)) == ((0x39, 0x33, 0x16), 0x0303)
    assert {name for name, rule in RULES.items() if rule.hello is not None} == {"tor-relay-v1"}
