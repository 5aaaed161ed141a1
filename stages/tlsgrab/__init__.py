"""tlsgrab: one TLS handshake per hit; version, suite, ALPN and the chain as it was sent.

settings    options
sni         the name that is asked for
modes       how a handshake is made: our own client up to the certificate, or a whole one
handshake   what the stage sees of it
attempts    another hello for a server that refused one
names       names in certificates as further targets of the same address
endings     outcome, phase and record
openssl     `full` mode: the handshake, by OpenSSL over memory BIOs
stage       hits in, tls records out
app         puts a stage together
"""
