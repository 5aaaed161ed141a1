"""What is said before TLS on ports where it begins inside another protocol, sans-IO: bytes in, bytes out.

A prelude ends in one of two ways: `ready`, the next bytes are a ClientHello, or a StarttlsError that says why not.
Nothing is said that is not needed for that.

prelude     what a prelude is, and the bound on what it reads
text        preludes made of lines
upgraded    a prelude and then a TLS dialogue, as one dialogue
registry    by name and by port
"""
