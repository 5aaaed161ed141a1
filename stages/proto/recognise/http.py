"""HTTP/1 (RFC 9112 section 4): a status line; or HTML without one, as HTTP/0.9 servers answer. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape, starts

recognise: Final[Recogniser] = either(shape("HTTP/#.# ###"), shape("HTTP/# ###"), starts(b"<!doctype html", b"<html"))
