"""What a caller has to give a model for each row, as its manifest says."""

from __future__ import annotations

from dataclasses import dataclass

from penult_service.prepared import GRAPH, LIBRARY, TEXT, Manifest, TokenInput

TEXT_ROLE, VALUE = "text", "value"
# The second text of a pair, for a model that takes one text and whose tokenizer knows pairs.
TEXT_PAIR = "text_pair"


@dataclass(frozen=True)
class Slot:
    """An input of a model.

    Attributes:
        name: What callers call it.
        dtype: ``string``, else NumPy's name.
        shape: Of one row; -1: of any length.
        role: ``text``, or as in `prepared.TokenInput`.
        made: Whether tokenizing makes it of the texts; it may be given in their place.
        encode: Its name in `encode`; empty: it has none there.
        whole: Its name in `whole`; empty: it has none there.
        limit: Ids are below it; 0: not known, or no ids.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    made: bool = False
    encode: str = ""
    whole: str = ""
    limit: int = 0


def slots(manifest: Manifest) -> tuple[Slot, ...]:
    """The inputs, in the order in which records without names have them; those that tokenizing makes come last."""
    own = {token.field: token for token in manifest.inputs if token.field}
    by_file = manifest.tokenizer == LIBRARY
    found = [Slot(TEXT, "string", (), TEXT_ROLE)] if by_file else []
    for field in manifest.fields:
        token = own.get(field.name)
        if field.dtype == "string" and not field.shape:
            if not by_file:
                found.append(Slot(field.name, "string", (), TEXT_ROLE, whole=field.argument))
            continue
        role = token.role if token else VALUE
        found.append(
            Slot(
                field.name,
                field.dtype,
                field.shape,
                role,
                made=by_file and role != VALUE,
                encode=token.name if token else "",
                whole=token.name if token and manifest.tokenizer != GRAPH else field.argument,
                limit=_limit(manifest, token) if token else 0,
            )
        )
    if manifest.tokenizer != GRAPH:  # of models whose manifest does not say whose inputs they are
        found += [
            Slot(
                t.name,
                t.dtype,
                t.shape,
                t.role,
                made=by_file and t.role != VALUE,
                encode=t.name,
                whole=t.name,
                limit=_limit(manifest, t),
            )
            for t in manifest.inputs
            if not t.field
        ]
    return tuple(sorted(found, key=lambda slot: slot.made))


def _limit(manifest: Manifest, token: TokenInput) -> int:
    return (token.rows or manifest.vocabulary) if token.role == "ids" else 0
