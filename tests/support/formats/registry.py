"""Every case of the corpus."""

from __future__ import annotations

from support.formats import hugging_face, keras_formats, keras_hub_models, plain, tokens
from support.formats.case import Case

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *keras_formats.cases(),
        *plain.CASES,
        *keras_hub_models.CASES,
        *hugging_face.CASES,
        *tokens.CASES,
    )
}
"""Row and shape -> the case."""
