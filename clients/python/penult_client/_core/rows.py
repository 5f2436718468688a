"""What a call is about: texts, records or tensors, told apart by what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult_client._core.inputs import Texts, as_list, check_texts
from penult_client._core.records import Records, check_records
from penult_client._core.tensors import Tensors, check_tensors
from penult_client._exceptions import InputTypeError, PenultError

Rows = Texts | Records | Tensors

_WANTED = "list of str, of dicts or of tuples"


def check_rows(given: Any, field: str = "") -> Rows:
    """Texts, records or tensors that can be sent.

    Args:
        given: A list, array or column of str; a list of dicts by the names of the model's inputs, or of tuples in their
            order; or one dict of arrays by those names, the batch first.
        field: What stands in front of ``texts``, ``records`` or ``tensors`` in errors, such as ``a.``.

    Raises:
        InputTypeError: it is none of them (NOT_A_LIST, NOT_TEXT, NOT_A_RECORD ...).
        InvalidInputError: see `check_texts`, `check_records` and `check_tensors`.
    """
    if isinstance(given, Mapping):
        return check_tensors(given, f"{field}tensors")
    items = as_list(given, f"{field}texts", _WANTED)
    first = items[0] if items else ""
    if isinstance(first, Mapping | tuple | list):
        return check_records(items, f"{field}records")
    try:
        return check_texts(items, f"{field}texts")
    except PenultError:
        odd = next((i for i, item in enumerate(items) if isinstance(item, Mapping | tuple | list)), None)
        if odd is None or not isinstance(first, str):
            raise
    raise InputTypeError(
        f"{field}texts[{odd}] is a {type(items[odd]).__name__}, {field}texts[0] is a str; pass rows of one kind",
        reason="NOT_TEXT",
        field=f"{field}texts[{odd}]",
    )
