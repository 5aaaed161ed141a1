"""AMQP: a protocol header that names another version, or connection.start (0-9-1 sections 2.2.4, 4.2). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape

recognise: Final[Recogniser] = either(
    shape("AMQP\0\0\x09\1"), shape("AMQP\0\1\0\0"), shape("AMQP\2\1\0\0"), shape("AMQP\3\1\0\0"),
    shape("AMQP\1\1\0\x09"), shape("AMQP\1\1\0\x0a"), shape("AMQP\1\1\x08\0"), shape("\1\0\0\0\0??\0\x0a\0\x0a\0\x09"),
)  # fmt: skip
