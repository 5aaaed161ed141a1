"""Git ("pack protocol" in its documentation): a pkt-line with an error, a version or a reference. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape

recognise: Final[Recogniser] = either(shape("%%%%ERR "), shape("%%%%version #\n"), shape("%%%%" + "%" * 40 + " "))
