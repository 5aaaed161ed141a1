"""tlsgrab: one TLS handshake per hit; version, suite, ALPN and the chain as it was sent.

settings    options
sni         the name that is asked for
openssl     `full` mode: the handshake, by OpenSSL over memory BIOs
stage       hits in, tls records out
app         puts a stage together
"""
