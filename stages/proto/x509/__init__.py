"""X.509 certificates as a measurement meets them: everything that can be read is read, and what cannot is said.

oids         names of object identifiers
dn           distinguished names: parts, RFC 4514
keys         SubjectPublicKeyInfo: algorithm, size, curve, numbers
general      GeneralName, as the extensions hold it
extensions   what each extension says
certificate  the certificate: raw parts for whoever verifies, and the document for whoever stores
hostnames    which names a certificate is for (RFC 6125), and how names are sorted
verdict      yes, no or unknown, and why
signatures   whether a key signed a certificate
shape        how a certificate was made: fingerprint of its generator
zcrypto      the same in the shape that zcrypto and zgrab2 print

Bytes in, facts out.
"""
