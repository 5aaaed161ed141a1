"""The hellos of the program: what is offered, and in which order.

    modern   TLS 1.3 and below in one hello, every suite with which a server shows a certificate and that somebody may
             still have by choice: DHE, static RSA, 3DES and RC4 last
    wide     no TLS 1.3, and all that was ever in use: DES, export, static DH, NULL, and the anonymous ones at the end,
             as a server that has both must choose one with a certificate
    old      TLS 1.0 and below, in a hello as it was written then: no extensions but the server's name
    ancient  SSL 3.0, no extensions at all

A server that refuses one is asked again with another only on a new connection (`fallback`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from stages.proto.tls import codes
from stages.proto.tls.certificate import DECOMPRESSORS
from stages.proto.tls.codes import SECP256R1, SECP384R1, SECP521R1, SSL3, TLS10, TLS11, TLS12, TLS13, X25519
from stages.proto.tls.hello import HelloSpec

#: Suites below 0x9C that came with TLS 1.2 (RFC 5246 appendix A.5).
_ONLY_TLS12: Final = frozenset((*range(0x3B, 0x41), *range(0x67, 0x6E)))

#: TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 section 3.3): in hellos without extensions.
SCSV: Final = 0x00FF

TLS13_SUITES: Final = (0x1301, 0x1302, 0x1303, 0x1304, 0x1305)

#: Suites of TLS 1.2 and below, strong ones first: ECDHE, DHE, static RSA; AEAD before CBC; 3DES and RC4 last.
SUITES: Final = (
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC013, 0xC00A, 0xC014, 0xC023, 0xC027, 0xC024, 0xC028,
    0x009E, 0x009F, 0xCCAA, 0x0033, 0x0039, 0x0067, 0x006B, 0x00A2, 0x00A3, 0x0032, 0x0038,
    0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D, 0x0041, 0x0084, 0xC0AC, 0xC09C,
    0xC008, 0xC012, 0x0016, 0x000A, 0xC007, 0xC011, 0x0005, 0x0004,
)  # fmt: skip

#: What else there was: CCM, ARIA, Camellia, SEED, IDEA; static DH and ECDH; DES, export; NULL with a certificate.
RARE_SUITES: Final = (
    0xC0AD, 0xC0AE, 0xC0AF, 0xC09D, 0xC0A0, 0xC0A1, 0xC09E, 0xC09F, 0xC0A2, 0xC0A3,
    0xC05C, 0xC05D, 0xC060, 0xC061, 0xC052, 0xC053, 0xC050, 0xC051, 0xC056, 0xC057,
    0xC072, 0xC073, 0xC076, 0xC077, 0x0045, 0x0088, 0x00BE, 0x00C4, 0x00BA, 0x00C0, 0x0044, 0x0087, 0x0040, 0x006A,
    0x009A, 0x0096, 0x0099, 0x0007,
    0xC02D, 0xC02E, 0xC031, 0xC032, 0xC025, 0xC026, 0xC029, 0xC02A, 0xC004, 0xC005, 0xC00E, 0xC00F,
    0x00A0, 0x00A1, 0x00A4, 0x00A5, 0x003F, 0x0069, 0x003E, 0x0068, 0x0031, 0x0037, 0x0030, 0x0036,
    0x0043, 0x0086, 0x0042, 0x0085, 0x0098, 0x0097,
    0x0013, 0xC003, 0xC00D, 0x0010, 0x000D, 0xC002, 0xC00C, 0x0066,
    0x0015, 0x0012, 0x0009, 0x000F, 0x000C,
    0x0014, 0x0011, 0x0008, 0x0006, 0x0003, 0x000E, 0x000B, 0x0062, 0x0064,
    0xC006, 0xC010, 0xC001, 0xC00B, 0x003B, 0x0002, 0x0001,
)  # fmt: skip

#: Without a certificate.
ANONYMOUS_SUITES: Final = (
    0x00A6, 0x00A7, 0x006C, 0x006D, 0xC018, 0xC019, 0x0034, 0x003A, 0x0046, 0x0089, 0x009B, 0x00BF, 0x00C5,
    0xC017, 0x001B, 0xC016, 0x0018, 0x001A, 0x0019, 0x0017, 0xC015,
)  # fmt: skip

GROUPS: Final = (X25519, SECP256R1, SECP384R1, SECP521R1)

#: What a server may sign with (RFC 8446 section 4.2.3): everything, so that it has no reason to hide a certificate.
SIGNATURES: Final = (
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x081A, 0x081B, 0x081C,
    0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601,
    0x0303, 0x0301, 0x0402, 0x0302, 0x0203, 0x0201, 0x0202,
)  # fmt: skip

_EXTENSIONS: Final = (
    codes.SERVER_NAME,
    codes.EXTENDED_MASTER_SECRET,
    codes.RENEGOTIATION_INFO,
    codes.SUPPORTED_GROUPS,
    codes.EC_POINT_FORMATS,
    codes.ALPN,
    codes.STATUS_REQUEST,
    codes.SIGNATURE_ALGORITHMS,
    codes.SIGNED_CERTIFICATE_TIMESTAMP,
)

#: What there was before TLS 1.2 and without elliptic curves: of use in a hello without extensions. Some 70, so that the
#: hello stays below 256 bytes, where some old servers and middleboxes stop reading.
_OLD_SUITES: Final = (
    *(suite for suite in (*SUITES, *RARE_SUITES, *ANONYMOUS_SUITES) if suite < 0x9C and suite not in _ONLY_TLS12),
    SCSV,
)

MODERN: Final = HelloSpec(
    name="modern",
    versions=(TLS13, TLS12, TLS11, TLS10),
    suites=TLS13_SUITES + SUITES,
    extensions=(*_EXTENSIONS, codes.SUPPORTED_VERSIONS, codes.COOKIE, codes.KEY_SHARE, codes.COMPRESS_CERTIFICATE),
    groups=GROUPS,
    shares=(X25519,),
    signatures=SIGNATURES,
    certificate_compression=tuple(DECOMPRESSORS),
    session_id=True,
)
WIDE: Final = HelloSpec(
    name="wide",
    versions=(TLS12, TLS11, TLS10, SSL3),
    suites=SUITES + RARE_SUITES + ANONYMOUS_SUITES,
    extensions=_EXTENSIONS,
    groups=(*GROUPS, 30, *range(26, 29), *range(1, 23)),
    signatures=SIGNATURES,
)
OLD: Final = HelloSpec(
    name="old",
    versions=(TLS10, SSL3),
    suites=_OLD_SUITES,
    extensions=(codes.SERVER_NAME,),
)
ANCIENT: Final = HelloSpec(
    name="ancient",
    versions=(SSL3,),
    suites=_OLD_SUITES,
    record_version=SSL3,
)

HELLOS: Final = {spec.name: spec for spec in (MODERN, WIDE, OLD, ANCIENT)}


def limited(spec: HelloSpec, lowest: int, highest: int, alpn: tuple[bytes, ...] = ()) -> HelloSpec | None:
    """The spec with the versions from `lowest` to `highest` only, and those protocols; None: nothing is left of it.

    Where TLS 1.2 is the highest, what belongs to TLS 1.3 alone is left out; where it is the lowest, the older suites.
    """
    versions = tuple(version for version in spec.versions if lowest <= version <= highest)
    if not versions:
        return None
    suites, extensions, shares = spec.suites, spec.extensions, spec.shares
    own = {codes.SUPPORTED_VERSIONS, codes.COOKIE, codes.KEY_SHARE, codes.COMPRESS_CERTIFICATE}
    if TLS13 not in versions:
        suites = tuple(suite for suite in suites if suite not in TLS13_SUITES)
        extensions = tuple(item for item in extensions if isinstance(item, tuple) or item not in own)
        shares = ()
    elif versions == (TLS13,):
        suites = tuple(suite for suite in suites if suite in TLS13_SUITES)
    if max(versions) <= TLS10:
        extensions = tuple(item for item in extensions if item != codes.SIGNATURE_ALGORITHMS)
    return replace(
        spec,
        versions=versions,
        suites=suites,
        extensions=extensions,
        shares=shares,
        alpn=alpn if codes.ALPN in extensions else (),
        session_id=spec.session_id and TLS13 in versions,
    )
