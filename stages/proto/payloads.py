"""First datagrams by port: what makes a service of that port answer. Written from the protocols' specifications. Pure.

Each asks for as little as the protocol allows (a version, a name, a capability), changes nothing, and carries a cookie
where the protocol returns one. The table is one text of templates (`stages.proto.template`): what is random is drawn
for each target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stages.proto.cookie import Cookie
from stages.proto.template import Template


@dataclass(frozen=True, slots=True)
class First:
    """The first datagram to a service."""

    name: str
    ports: tuple[int, ...]
    template: Template
    cookie: Cookie | None = None
    expect: bytes = b""  #: an answer in which something else stands is one of something else
    expect_at: int = 0  #: where


def _first(name: str, ports: tuple[int, ...], template: str, number: int = -1, at: int | None = None) -> First:
    cookie = Cookie(number, at) if number >= 0 else None
    return First(name, ports, Template.parse(template.encode("latin-1")), cookie)


def _hex(text: str) -> str:
    return "${HEX=" + text.replace(" ", "").replace("\n", "") + "}"


#: A NetBIOS node status request (RFC 1002 section 4.2.17): the name `*` and 15 zeros in half-bytes, NBSTAT, IN.
NETBIOS: Final = "${RAND_BYTE=2}" + _hex("0000 0001 0000 0000 0000 20") + "CK" + "A" * 30 + _hex("00 0021 0001")

#: A DNS question for the version of the server (a TXT record of class CHAOS; RFC 4892).
DNS: Final = (
    "${RAND_BYTE=2}" + _hex("0100 0001 0000 0000 0000 07") + "version" + _hex("04") + "bind" + _hex("00 0010 0003")
)

#: The services of the link (RFC 6763 section 9), asked for by unicast (RFC 6762 section 5.5).
MDNS: Final = (
    "${RAND_BYTE=2}" + _hex("0000 0001 0000 0000 0000 09") + "_services" + _hex("07") + "_dns-sd" + _hex("04")
    + "_udp" + _hex("05") + "local" + _hex("00 000c 8001")
)  # fmt: skip

#: NTP (RFC 5905 section 7.3), version 4, client: the transmit timestamp comes back as the originate timestamp.
NTP: Final = _hex("e3 00 04 fa 0001 0000 0001 0000" + "00" * 28) + "${RAND_BYTE=8}"

#: SNMPv2c get of sysDescr.0 with the community `public` (RFC 1901, RFC 3416). The request id is four letters: a
#: positive number that is encoded in four bytes whoever encodes it.
SNMP: Final = (
    _hex("30 29 02 01 01 04 06") + "public" + _hex("a0 1c 02 04") + "${RAND_ALPHA=4}"
    + _hex("02 01 00 02 01 00 30 0e 30 0c 06 08 2b 06 01 02 01 01 01 00 05 00")
)  # fmt: skip

#: SSDP search (UPnP Device Architecture 1.1 section 1.3.2), sent by unicast.
SSDP: Final = (
    'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n'
)

#: SIP OPTIONS (RFC 3261 section 11): every answer repeats the Call-ID.
SIP: Final = (
    "OPTIONS sip:${DADDR} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP ${SADDR}:${SPORT};branch=z9hG4bK${RAND_ALPHANUM=16};rport\r\n"
    "From: <sip:ping@${SADDR}:${SPORT}>;tag=${RAND_DIGIT=8}\r\n"
    "To: <sip:${DADDR}:${DPORT}>\r\n"
    "Call-ID: ${RAND_ALPHANUM=16}@${SADDR}\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "Contact: <sip:ping@${SADDR}:${SPORT}>\r\n"
    "Max-Forwards: 70\r\n"
    "Accept: application/sdp\r\n"
    "Content-Length: 0\r\n\r\n"
)

#: CoAP GET /.well-known/core (RFC 7252, RFC 6690): confirmable, message id, a token of 8 bytes.
COAP: Final = (
    _hex("48 01") + "${RAND_BYTE=2}${RAND_BYTE=8}" + _hex("bb") + ".well-known" + _hex("04") + "core"
)  # fmt: skip

#: memcached `version`, in its UDP frame: request id, number 0 of 1 datagrams.
MEMCACHED: Final = "${RAND_BYTE=2}" + _hex("0000 0001 0000") + "version\r\n"

#: ONC RPC (RFC 5531): the null procedure of the port mapper, version 2 (RFC 1833), no credentials.
PORTMAP: Final = "${RAND_BYTE=4}" + _hex("00000000 00000002 000186a0 00000002 00000000" + "00" * 16)
#: The null procedure of NFS version 3 (RFC 1813).
NFS: Final = "${RAND_BYTE=4}" + _hex("00000000 00000002 000186a3 00000003 00000000" + "00" * 16)

#: TFTP read request (RFC 1350) for a file that nobody has: an error comes back, from another port.
TFTP: Final = _hex("0001") + "${RAND_ALPHANUM=12}" + _hex("00") + "octet" + _hex("00")

#: IKEv1 main mode (RFC 2408, RFC 2409) with one proposal: 3DES, SHA-1, pre-shared key, group 2. The initiator's cookie
#: comes back.
IKE: Final = "${RAND_BYTE=8}" + _hex(
    "0000000000000000 01 10 02 00 00000000 00000054"
    "00 00 0038 00000001 00000001"
    "00 00 002c 00 01 00 01 00 00 0024 00 01 0000"
    "8001 0005 8002 0002 8003 0001 8004 0002 800b 0001 000c 0004 00007080"
)

#: QUIC (RFC 9000 section 6, RFC 8999): a long header of a reserved version, padded to 1200 bytes, so that the server
#: names the versions that it has. Our source connection id comes back as the destination's.
QUIC: Final = _hex("c0 1a2a3a4a 08") + "${RAND_BYTE=8}" + _hex("08") + "${RAND_BYTE=8}" + _hex("00" * 1177)

#: STUN binding request (RFC 8489): magic cookie, a transaction id of 12 bytes.
STUN: Final = _hex("0001 0000 2112a442") + "${RAND_BYTE=12}"

#: L2TP start-control-connection-request (RFC 2661): our tunnel id stands in the header of what comes back.
L2TP: Final = (
    _hex("c802 003e 0000 0000 0000 0000  8008 0000 0000 0001  8008 0000 0002 0100  800a 0000 0003 00000003"
         "8008 0000 0007") + "ll" + _hex("8008 0000 0009") + "${RAND_BYTE=2}" + _hex("8008 0000 000a 0004")
)  # fmt: skip

#: OpenVPN hard reset of a client, version 2: our session id stands behind the acknowledgement.
OPENVPN: Final = _hex("38") + "${RAND_BYTE=8}" + _hex("00 00000000")

#: SQL Server resolution protocol: one byte, as the manual of ZMap has it (client broadcast, MC-SQLR).
SQL_SERVER: Final = _hex("02")

#: IPMI (RMCP, IPMI 2.0 section 13.14): get channel authentication capabilities.
IPMI: Final = _hex("06 00 ff 07  00 00000000 00000000 09  20 18 c8 81 00 38 8e 04 b5")

#: CLDAP search of the root entry (RFC 1798; RFC 4511): message id of four letters.
CLDAP: Final = _hex("30 28 02 04") + "${RAND_ALPHA=4}" + _hex(
    "63 20 04 00 0a 01 00 0a 01 00 02 01 00 02 01 00 01 01 00 87 0b"
) + "objectclass" + _hex("30 00")  # fmt: skip

#: BACnet (ANSI/ASHRAE 135 annex J): read property object-name of the device.
BACNET: Final = _hex("81 0a 0011 01 04 00 05 01 0c 0c 023fffff 19 4d")

#: WS-Discovery probe: `RelatesTo` of the answer is our message id.
WS_DISCOVERY: Final = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
    "<a:MessageID>urn:uuid:00000000-0000-4000-8000-${RAND_DIGIT=12}</a:MessageID>"
    "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
    "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>"
    "</e:Header><e:Body><d:Probe/></e:Body></e:Envelope>"
)

#: Source engine query (A2S_INFO).
SOURCE_QUERY: Final = _hex("ffffffff") + "TSource Engine Query" + _hex("00")

#: RADIUS Status-Server (RFC 5997) without the shared secret: a server that answers anyone at all answers this.
RADIUS: Final = _hex("0c 00 0014") + "${RAND_BYTE=16}"

#: RIP version 1: the whole table (RFC 1058 section 3.4.1).
RIP: Final = _hex("01 01 0000 0000 0000 00000000 00000000 00000000 00000010")

#: The table. A port is in it once.
TABLE: Final = (
    _first("echo", (7,), "${RAND_ALPHANUM=16}", 0, 0),
    _first("qotd", (17,), "\n"),
    _first("chargen", (19,), "\n"),
    _first("dns", (53,), DNS, 0, 0),
    _first("tftp", (69,), TFTP),
    _first("portmap", (111,), PORTMAP, 0, 0),
    _first("ntp", (123,), NTP, 0, 24),
    _first("netbios", (137,), NETBIOS, 0, 0),
    _first("snmp", (161,), SNMP, 0, None),
    _first("cldap", (389,), CLDAP, 0, None),
    _first("quic", (443, 8443), QUIC, 1, 6),
    _first("ike", (500,), IKE, 0, 0),
    _first("rip", (520,), RIP),
    _first("ipmi", (623,), IPMI),
    _first("openvpn", (1194,), OPENVPN, 0, 14),
    _first("sql-server", (1434,), SQL_SERVER),
    _first("l2tp", (1701,), L2TP, 0, 4),
    _first("radius", (1645, 1812), RADIUS),
    _first("ssdp", (1900,), SSDP),
    _first("nfs", (2049,), NFS, 0, 0),
    _first("stun", (3478,), STUN, 0, 8),
    _first("ws-discovery", (3702,), WS_DISCOVERY, 0, None),
    # IKE behind NAT (RFC 3948 section 2.2): four zero bytes in front.
    _first("ike-nat", (4500,), _hex("00000000") + IKE, 0, 4),
    _first("sip", (5060,), SIP, 2, None),
    _first("mdns", (5353,), MDNS, 0, 0),
    _first("coap", (5683,), COAP, 1, 4),
    _first("memcached", (11211,), MEMCACHED, 0, 0),
    _first("source-query", (27015,), SOURCE_QUERY),
    _first("bacnet", (47808,), BACNET),
)

#: To a port that is not in the table goes an empty datagram.
OTHER: Final = First("empty", (), Template.literal(b""))

BY_PORT: Final = {port: first for first in TABLE for port in first.ports}
