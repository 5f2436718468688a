"""What is declared, in the manifest of a prepared model: applied where it decides, else held against what was found.

Nothing that a person wrote is passed over: what the model cannot do, or has not got, is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from penult_service.errors import ModelRefused
from penult_service.prepared import CALLER, GRAPH, NO_LIMIT, Manifest
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.places import Seams


def readouts_first(source: Path, seams: Seams, declared: Declaration) -> Seams:
    """The seams of a model whose readouts are known, with those that are declared first.

    Raises:
        ModelRefused: BAD_DECLARATION, there is none of that name.
    """
    names = [readout.layer for readout, _ in seams.read if readout.kind != "tokens"]
    for name in declared.readouts:
        if name not in names:
            raise _wrong(source, f"the readout {name!r}", _instead("layer to read", name, names))
    order = {name: number for number, name in enumerate(declared.readouts)}
    return replace(seams, read=tuple(sorted(seams.read, key=lambda one: order.get(one[0].layer, len(order)))))


def as_declared(manifest: Manifest, declared: Declaration) -> Manifest:
    """The manifest with what is declared of serving.

    Raises:
        ModelRefused: BAD_DECLARATION, the model cannot do it, or has no such input or dropout.
    """
    source = Path(manifest.source)
    if declared.pooling and declared.pooling not in manifest.poolings:
        raise _wrong(
            source, f"pooling = {declared.pooling!r}", f"it can do {', '.join(manifest.poolings) or 'none'}"
        )
    _refuse_other_length(source, manifest, declared)
    _refuse_other_inputs(source, manifest, declared)
    _refuse_other_rates(source, manifest, declared)
    order = {name: number for number, name in enumerate(declared.inputs)}
    return replace(
        manifest,
        pooling=declared.pooling or manifest.pooling,
        max_length=declared.max_length or manifest.max_length,
        fields=tuple(sorted(manifest.fields, key=lambda field: order.get(field.name, len(order)))),
        warm_up=declared.warm_up,
    )


def _refuse_other_length(source: Path, manifest: Manifest, declared: Declaration) -> None:
    length, found = declared.max_length, manifest.max_length
    if length and length != found and not (manifest.tokenizer == CALLER and found == NO_LIMIT):
        cuts = {GRAPH: "its own graph cuts texts", CALLER: "it takes rows of one length"}
        said = "none" if found == NO_LIMIT else str(found)
        why = f"{cuts.get(manifest.tokenizer, 'its tokenizer cuts texts')}, and that length is {said}"
        raise _wrong(source, f"max_length = {length}", why)


def _refuse_other_inputs(source: Path, manifest: Manifest, declared: Declaration) -> None:
    fields = {field.name: field for field in manifest.fields}
    roles = {token.field: token.role for token in manifest.inputs if token.field}
    for name, role in declared.inputs.items():
        if name not in fields:
            raise _wrong(source, f"the input {name!r}", _instead("input", name, fields))
        field = fields[name]
        found = "text" if field.dtype == "string" else roles.get(name, "value")
        if found == "steps":  # numbers too
            found = "value"
        if role != found and not manifest.unread:
            kind = f"{field.dtype} {list(field.shape)} a row" if field.dtype != "string" else "text"
            why = f"that input takes {kind}, and what reads it makes it {found}"
            raise _wrong(source, f"{name} = {role!r}", why)


def _refuse_other_rates(source: Path, manifest: Manifest, declared: Declaration) -> None:
    for name, rate in declared.dropout.items():
        sites = [site for site in manifest.sites if name in (site.path, *_short(site.path))]
        if not sites:
            paths = [site.path for site in manifest.sites]
            raise _wrong(source, f"a rate of {name!r}", _instead("dropout", name, paths))
        other = next((site for site in sites if site.rate != rate), None)
        if other is not None:
            raise _wrong(source, f"{name} = {rate:g}", f"the file records the rate {other.rate}")


def _short(path: str) -> tuple[str, str]:
    """Names that a dropout goes by: `head/dropout#2` is `head/dropout` and `dropout`."""
    plain = path.partition("#")[0]
    return plain, plain.rpartition("/")[2]


def _instead(kind: str, name: str, names: Iterable[str]) -> str:
    there = list(names)
    near = difflib.get_close_matches(name, there, 1) or there
    return f"there is no such {kind}; there is {', '.join(map(repr, near)) or 'none'}"


def _wrong(source: Path, what: str, why: str) -> ModelRefused:
    return ModelRefused(
        f"{source}: penult.toml declares {what}, which does not fit this model: {why}; change that line",
        reason="BAD_DECLARATION",
    )
