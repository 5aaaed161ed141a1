"""Names of the object identifiers in certificates (RFC 5280, 3279, 4055, 5480, 8410, 6962, CA/Browser Forum).

What is not here is shown as its number: a name is never guessed.
"""

from __future__ import annotations

from typing import Final

#: Attribute of a distinguished name -> (key in documents, keyword of RFC 4514 or "" for those that have none there).
ATTRIBUTES: Final[dict[str, tuple[str, str]]] = {
    "2.5.4.3": ("common_name", "CN"),
    "2.5.4.4": ("surname", ""),
    "2.5.4.5": ("serial_number", ""),
    "2.5.4.6": ("country", "C"),
    "2.5.4.7": ("locality", "L"),
    "2.5.4.8": ("province", "ST"),
    "2.5.4.9": ("street_address", "STREET"),
    "2.5.4.10": ("organization", "O"),
    "2.5.4.11": ("organizational_unit", "OU"),
    "2.5.4.17": ("postal_code", ""),
    "2.5.4.42": ("given_name", ""),
    "2.5.4.97": ("organization_id", ""),
    "0.9.2342.19200300.100.1.1": ("user_id", "UID"),
    "0.9.2342.19200300.100.1.25": ("domain_component", "DC"),
    "1.2.840.113549.1.9.1": ("email_address", ""),
    "1.3.6.1.4.1.311.60.2.1.1": ("jurisdiction_locality", ""),
    "1.3.6.1.4.1.311.60.2.1.2": ("jurisdiction_province", ""),
    "1.3.6.1.4.1.311.60.2.1.3": ("jurisdiction_country", ""),
}

#: Signature algorithm -> name (as RFC 3279, 4055, 5758, 8410 write it), hash, kind of key.
SIGNATURES: Final[dict[str, tuple[str, str, str]]] = {
    "1.2.840.113549.1.1.2": ("md2WithRSAEncryption", "md2", "rsa"),
    "1.2.840.113549.1.1.3": ("md4WithRSAEncryption", "md4", "rsa"),
    "1.2.840.113549.1.1.4": ("md5WithRSAEncryption", "md5", "rsa"),
    "1.2.840.113549.1.1.5": ("sha1WithRSAEncryption", "sha1", "rsa"),
    "1.3.14.3.2.29": ("sha1WithRSASignature", "sha1", "rsa"),
    "1.2.840.113549.1.1.10": ("RSASSA-PSS", "", "rsa-pss"),
    "1.2.840.113549.1.1.11": ("sha256WithRSAEncryption", "sha256", "rsa"),
    "1.2.840.113549.1.1.12": ("sha384WithRSAEncryption", "sha384", "rsa"),
    "1.2.840.113549.1.1.13": ("sha512WithRSAEncryption", "sha512", "rsa"),
    "1.2.840.113549.1.1.14": ("sha224WithRSAEncryption", "sha224", "rsa"),
    "1.2.840.10040.4.3": ("dsa-with-sha1", "sha1", "dsa"),
    "2.16.840.1.101.3.4.3.1": ("dsa-with-sha224", "sha224", "dsa"),
    "2.16.840.1.101.3.4.3.2": ("dsa-with-sha256", "sha256", "dsa"),
    "1.2.840.10045.4.1": ("ecdsa-with-SHA1", "sha1", "ec"),
    "1.2.840.10045.4.3.1": ("ecdsa-with-SHA224", "sha224", "ec"),
    "1.2.840.10045.4.3.2": ("ecdsa-with-SHA256", "sha256", "ec"),
    "1.2.840.10045.4.3.3": ("ecdsa-with-SHA384", "sha384", "ec"),
    "1.2.840.10045.4.3.4": ("ecdsa-with-SHA512", "sha512", "ec"),
    "1.3.101.112": ("ed25519", "sha512", "ed25519"),
    "1.3.101.113": ("ed448", "shake256", "ed448"),
}

#: Hashes as parameters of RSASSA-PSS (RFC 4055 section 2.1).
HASHES: Final = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.2.840.113549.2.5": "md5",
}

#: Algorithm of a public key -> its kind.
KEYS: Final = {
    "1.2.840.113549.1.1.1": "rsa",
    "1.2.840.113549.1.1.10": "rsa-pss",
    "2.5.8.1.1": "rsa",
    "1.2.840.10040.4.1": "dsa",
    "1.2.840.10046.2.1": "dh",
    "1.2.840.10045.2.1": "ec",
    "1.3.101.110": "x25519",
    "1.3.101.111": "x448",
    "1.3.101.112": "ed25519",
    "1.3.101.113": "ed448",
}

#: Named curve -> (name, bits of the field).
CURVES: Final = {
    "1.2.840.10045.3.1.1": ("secp192r1", 192),
    "1.3.132.0.33": ("secp224r1", 224),
    "1.2.840.10045.3.1.7": ("secp256r1", 256),
    "1.3.132.0.34": ("secp384r1", 384),
    "1.3.132.0.35": ("secp521r1", 521),
    "1.3.132.0.10": ("secp256k1", 256),
    "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256),
    "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384),
    "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
    "1.2.156.10197.1.301": ("sm2p256v1", 256),
}

#: Extended key usage -> its name.
PURPOSES: Final = {
    "1.3.6.1.5.5.7.3.1": "server_auth",
    "1.3.6.1.5.5.7.3.2": "client_auth",
    "1.3.6.1.5.5.7.3.3": "code_signing",
    "1.3.6.1.5.5.7.3.4": "email_protection",
    "1.3.6.1.5.5.7.3.5": "ipsec_end_system",
    "1.3.6.1.5.5.7.3.6": "ipsec_tunnel",
    "1.3.6.1.5.5.7.3.7": "ipsec_user",
    "1.3.6.1.5.5.7.3.8": "time_stamping",
    "1.3.6.1.5.5.7.3.9": "ocsp_signing",
    "2.5.29.37.0": "any",
    "1.3.6.1.4.1.311.10.3.3": "microsoft_server_gated_crypto",
    "2.16.840.1.113730.4.1": "netscape_server_gated_crypto",
}

#: Bits of KeyUsage (RFC 5280 4.2.1.3), in their order.
USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "certificate_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

#: Policy of the CA/Browser Forum -> what was validated.
LEVELS: Final = {
    "2.23.140.1.2.1": "DV",
    "2.23.140.1.2.2": "OV",
    "2.23.140.1.2.3": "IV",
    "2.23.140.1.1": "EV",
}

#: Extensions that we read.
KEY_USAGE: Final = "2.5.29.15"
SUBJECT_ALT_NAME: Final = "2.5.29.17"
ISSUER_ALT_NAME: Final = "2.5.29.18"
BASIC_CONSTRAINTS: Final = "2.5.29.19"
NAME_CONSTRAINTS: Final = "2.5.29.30"
CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
CERTIFICATE_POLICIES: Final = "2.5.29.32"
AUTHORITY_KEY_ID: Final = "2.5.29.35"
SUBJECT_KEY_ID: Final = "2.5.29.14"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
AUTHORITY_INFO_ACCESS: Final = "1.3.6.1.5.5.7.1.1"
CT_SCTS: Final = "1.3.6.1.4.1.11129.2.4.2"
CT_POISON: Final = "1.3.6.1.4.1.11129.2.4.3"
TLS_FEATURE: Final = "1.3.6.1.5.5.7.1.24"
TOR_SERVICE_DESCRIPTORS: Final = "2.23.140.1.31"
CABF_ORGANIZATION_ID: Final = "2.23.140.3.1"
QC_STATEMENTS: Final = "1.3.6.1.5.5.7.1.3"

#: Access methods, and qualifiers of a policy.
OCSP: Final = "1.3.6.1.5.5.7.48.1"
CA_ISSUERS: Final = "1.3.6.1.5.5.7.48.2"
CPS: Final = "1.3.6.1.5.5.7.2.1"
USER_NOTICE: Final = "1.3.6.1.5.5.7.2.2"
