"""masscan's file formats, written and read: facts and formats only, from its files and its program's behaviour.

    items       what its files hold: a port's status, a banner
    statuses    answers as items
    services    names of ports and of what a banner is
    words       bytes as printable text, and back
    xml, objects, lines, binary    the formats
    reading     any of them, told apart by its first bytes
    writing     the writer of a format by its name

Pure: bytes in, bytes out.
"""
