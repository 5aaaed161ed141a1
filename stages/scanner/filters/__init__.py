"""The filter language of --output-filter: which answers are results. Pure.

    text -> tokens (lexer) -> tree (syntax, parser) -> checked against the probe's fields (check) -> masks (compiled)

ZMap's grammar (its manual, "Filtering Output") and more:

    success = 1 && repeat = 0                         `==` is `=`; `&&` binds tighter than `||`; ( ) and !
    classification = synack || classification = "rst"  words with or without quotes
    saddr in 10.0.0.0/8 && !(saddr = 10.0.0.1)         addresses and networks
    sport in (80, 443, 8000-8100)                      lists; ranges of numbers
    tcpopt_mss != null                                 whether a field is known

A comparison with a field that an answer does not have is false, whatever is compared; `!` turns that around.
"""

from __future__ import annotations

from stages.scanner.filters.compiled import Filter, compile_filter
from stages.scanner.filters.lexer import FilterError

__all__ = ["Filter", "FilterError", "compile_filter"]
