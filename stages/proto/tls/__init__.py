"""TLS on the wire, as far as a measurement needs it: names of code points, and what a server says in the clear.

Bytes in, facts out; nothing here decides, waits or encrypts.
"""
