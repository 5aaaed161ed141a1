"""A filter that can be asked: of a whole array of answers at once, or of single rows. Pure.

It is compiled once a scan. An array gives a mask by numpy: each term is a comparison of one column; `&&` and `||` are
bitwise. Rows that no packet engine made (the connect engine's, of which IPv6 addresses are texts) are asked one by one,
by the same tree.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from stages.scanner.fields import Field, fields_of
from stages.scanner.filters import check as checks
from stages.scanner.filters.columns import Bools, Column, column_of, table
from stages.scanner.filters.parser import parse
from stages.scanner.rows import Answer, rows

if TYPE_CHECKING:
    from stages.scanner.answers import AnswerArray

Term: TypeAlias = checks.Known | checks.Numbers | checks.Among | checks.Words | checks.Networks
Mask: TypeAlias = Callable[["AnswerArray"], Bools]
Keeps: TypeAlias = Callable[[Answer], bool]
Test: TypeAlias = Callable[[object], bool]

_COMPARE: Final = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


class Filter:
    """One filter for the answers of one probe module."""

    __slots__ = ("_keeps", "_mask", "text")

    def __init__(self, text: str, mask: Mask | None, keeps: Keeps | None) -> None:
        self.text = text
        self._mask = mask
        self._keeps = keeps

    def mask(self, answers: AnswerArray) -> Bools:
        """Which of the answers it lets through."""
        return np.ones(len(answers), np.bool_) if self._mask is None else self._mask(answers)

    def keeps(self, answer: Answer) -> bool:
        """Whether it lets this one through."""
        return self._keeps is None or self._keeps(answer)

    @property
    def everything(self) -> bool:
        """Nothing is left out."""
        return self._mask is None


def compile_filter(text: str, probe: str, fields: Sequence[Field] | None = None) -> Filter:
    """The filter `text` over the fields of `probe` (or `fields`, where there are others); an empty one lets all
    through. Raises FilterError (a ValueError) that shows where the mistake is."""
    tree = parse(text)
    if tree is None:
        return Filter("", None, None)
    known = fields_of(probe) if fields is None else fields
    checked = checks.check(tree, text, {field.name: field for field in known}, probe)
    return Filter(text, _mask(checked, probe), _keeps(checked))


# -- arrays ------------------------------------------------------------------------------------------------------------


def _mask(term: checks.Checked, probe: str) -> Mask:
    match term:
        case checks.Every(parts):
            return _joined([_mask(part, probe) for part in parts], np.bitwise_and)
        case checks.Any(parts):
            return _joined([_mask(part, probe) for part in parts], np.bitwise_or)
        case checks.Inverse(inside):
            mask = _mask(inside, probe)
            return lambda array: ~mask(array)
    column = column_of(term.field, probe)
    return _by_rows(term) if column is None else _by_column(term, column)


def _joined(masks: Sequence[Mask], join: np.ufunc) -> Mask:
    first, *others = masks

    def mask(array: AnswerArray) -> Bools:
        result = first(array)
        for other in others:
            result = join(result, other(array))
        return result

    return mask


def _by_rows(term: Term) -> Mask:
    get, test = term.field.get, _test(term)

    def mask(array: AnswerArray) -> Bools:
        return np.fromiter((test(get(row)) for row in rows(array)), np.bool_, len(array))

    return mask


def _by_column(term: Term, column: Column) -> Mask:
    known, values, compare = column.known, column.values, _vector(term, column)
    if isinstance(term, checks.Known):
        wanted = term.known

        def knows(array: AnswerArray) -> Bools:
            found = np.ones(len(array), np.bool_) if known is None else known(array)
            return found if wanted else ~found

        return knows
    if known is None:
        return lambda array: compare(values(array))
    return lambda array: compare(values(array)) & known(array)


def _vector(term: Term, column: Column) -> Callable[[Bools], Bools]:
    """The comparison, of an array of values."""
    match term:
        case checks.Numbers(_, sign, value):
            compare = _COMPARE[sign]
            return lambda values: compare(values, value)
        case checks.Among(_, ranges, outside):
            return _in_ranges(ranges, outside)
        case checks.Networks(_, networks, outside):
            return _in_ranges([(first, last) for version, first, last in networks if version == 4], outside)
        case checks.Words(_, words, outside):
            assert column.words is not None
            chosen = table({code: None for code, word in column.words.items() if (word in words) != outside})
            return lambda values: chosen[values]
        case checks.Known():
            return lambda values: values
    raise TypeError(f"no term: {term!r}")


def _in_ranges(ranges: Sequence[tuple[float, float]], outside: bool) -> Callable[[Bools], Bools]:
    def compare(values: Bools) -> Bools:
        found = np.zeros(len(values), np.bool_)
        for first, last in ranges:
            found |= (values >= first) & (values <= last)
        return ~found if outside else found

    return compare


# -- rows --------------------------------------------------------------------------------------------------------------


def _keeps(term: checks.Checked) -> Keeps:
    match term:
        case checks.Every(parts):
            every = [_keeps(part) for part in parts]
            return lambda answer: all(keeps(answer) for keeps in every)
        case checks.Any(parts):
            some = [_keeps(part) for part in parts]
            return lambda answer: any(keeps(answer) for keeps in some)
        case checks.Inverse(inside):
            keeps = _keeps(inside)
            return lambda answer: not keeps(answer)
    get, test = term.field.get, _test(term)
    return lambda answer: test(get(answer))


def _test(term: Term) -> Test:
    """The comparison, of one value."""
    if isinstance(term, checks.Known):
        wanted = term.known
        return lambda value: (value is not None) == wanted
    test = _value_test(term)
    return lambda value: value is not None and test(value)


def _value_test(term: checks.Numbers | checks.Among | checks.Words | checks.Networks) -> Test:
    match term:
        case checks.Numbers(_, sign, bound):
            compare = _COMPARE[sign]
            return lambda value: bool(compare(value, bound))  # type: ignore[arg-type]
        case checks.Among(_, ranges, outside):
            return lambda value: any(low <= value <= high for low, high in ranges) != outside  # type: ignore[operator]
        case checks.Words(_, words, outside):
            return lambda value: (value in words) != outside
        case checks.Networks(_, networks, outside):

            def inside(value: object) -> bool:
                address = ip_address(str(value))
                number = int(address)
                return any(v == address.version and low <= number <= high for v, low, high in networks) != outside

            return inside
