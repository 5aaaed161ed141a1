"""memcached (its protocol.txt): a version, or the errors of a server that reads line by line. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape, starts

recognise: Final[Recogniser] = either(
    shape("VERSION #"), starts(b"ERROR\r\nERROR\r\n", b"CLIENT_ERROR ", b"SERVER_ERROR ")
)
