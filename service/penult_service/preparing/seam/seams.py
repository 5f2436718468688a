"""Where to cut: seam 1 behind the tokenizing, seam 2 in front of the last dropout before the head.

Both are found by structure; where that does not tell a place from another one, nothing is read, and the message lists
what can be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.prepared import Readout, Site
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import Layer, Mark, Opened
from penult_service.preparing.places import Seams, Stand
from penult_service.preparing.sampling.kinds import recipe_of
from penult_service.preparing.seam import dropouts, exported
from penult_service.preparing.seam.dropouts import Place
from penult_service.preparing.seam.ragged import as_matrices
from penult_service.preparing.seam.survey import FLOATS, INTEGERS, PROBE, Survey, shown
from penult_service.preparing.seam.token_seam import Tokens, token_seam, vocabulary_of, wordpieces_of

_LISTED = 20  # layers that a message names


def find_seams(survey: Survey, layer: str | None = None, declared: Declaration = NOTHING) -> Seams:
    """Finds both seams, and what can be read.

    Args:
        survey: The model.
        layer: A layer to read instead of the one in front of the dropout; that one stays readable.
        declared: What a person says: more readouts, roles of inputs, rates.

    Returns:
        The seams; with `unread`, when nothing can be read, and why.

    Raises:
        ModelRefused: NO_SUCH_LAYER.
    """
    wanted = {name: named(survey, name) for name in ([layer] if layer else declared.readouts)}
    place = dropouts.find_place(survey) if survey.opened.layers else exported.find_place(survey)
    if place.unread and wanted:
        place = _as_asked(survey, wanted, place)
    tokens = token_seam(survey, declared.inputs)
    unread = _unread(survey, place, tokens)
    if unread:
        sites, places = _sites(survey, Place(), declared)
        known = vocabulary_of(tokens)
        return Seams(tokens, (), "", "", "", tf.float32, sites, None, known, unread, stands=places)
    seam = survey.name_of(place.before)
    sites, places = _sites(survey, place, declared)
    return Seams(
        tokens=tokens,
        read=_readouts(survey, wanted, seam, place.before),
        seam=seam,
        before=place.before,
        after=place.after,
        dtype=survey.tensors[place.before],
        sites=sites,
        stands=places,
        wordpieces=wordpieces_of(survey.flat),
        vocabulary=vocabulary_of(tokens),
        notes=_notes(survey, place, seam),
    )


def surveyed(opened: Opened, *, noise_is_on: bool = False) -> Survey:
    """The survey of a model; where its token ids are ragged, of the same model with matrices in their place."""
    survey = Survey(opened, noise_is_on=noise_is_on)
    if opened.texts and not any(token.role == "ids" for token, _ in token_seam(survey, {})):
        padded = as_matrices(survey)
        return Survey(padded, noise_is_on=noise_is_on) if padded is not None else survey
    return survey


def named(survey: Survey, name: str) -> Ref:
    """The tensor that a person means: the output of a layer, or of an operation.

    Raises:
        ModelRefused: NO_SUCH_LAYER, with those that there are.
    """
    layers = survey.readable()
    if name in layers:
        return layers[name]
    readable = [ref for ref in survey.line if _can_be_read(survey, ref)]
    inner = {_path_at(survey, ref): ref for ref in readable}
    if name in inner:
        return inner[name]
    for ref in readable:
        if name in (ref, node_of(ref), shown(node_of(ref)), survey.name_of(ref)):
            return ref
    there = [*layers, *(path for path in inner if "/" in path)] or [survey.name_of(ref) for ref in readable]
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    raise ModelRefused(
        f"{survey.opened.source} has no layer {name!r} that can be read; these can: "
        f"{', '.join(list(dict.fromkeys(there))[-_LISTED:]) or 'none'}{more}",
        reason="NO_SUCH_LAYER",
    )


def _path_at(survey: Survey, ref: Ref) -> str:
    """The innermost layer that makes the tensor, with those around it: `head/hidden`; empty without layers."""
    layer = layer_at(node_of(survey.source_of(ref)), survey.opened.layers)
    return "" if layer is None else _path_of(survey, layer)


def _can_be_read(survey: Survey, ref: Ref) -> bool:
    return survey.tensors.get(ref) in FLOATS and survey.rows(ref, 2)


def _as_asked(survey: Survey, wanted: Mapping[str, Ref], place: Place) -> Place:
    """The head begins at the last of the tensors that were asked for."""
    ref = max(wanted.values(), key=survey.line.index)
    return Place(ref, ref, f"as asked for; not found, because {place.unread}")


def _unread(survey: Survey, place: Place, tokens: Tokens) -> str:
    """Why nothing can be read; empty when it can."""
    source = survey.opened.source
    if place.unread:
        there = dropouts.candidates(survey)
        if not there:
            return f"{source}: {place.unread}; and no single tensor in it stands on every way to the outputs"
        first = there.partition(" (")[0]
        return (
            f'{source}: {place.unread}, so that where it is to be read must be said: readouts = ["{first}"] in '
            f"penult.toml, or --layer {first!r}. It can be: {there}"
        )
    if survey.opened.texts and not any(token.role == "ids" for token, _ in tokens):
        return (
            f"{source}: no token ids were found between the text and the encoder (integer matrices that all paths pass "
            "and that look up an embedding), so its texts cannot be batched by length, and are not embedded"
        )
    return ""


def _readouts(
    survey: Survey, wanted: Mapping[str, Ref], seam: str, before: Ref
) -> tuple[tuple[Readout, Ref], ...]:
    """What is asked for, what the head takes, and the token vectors."""
    chosen = [(name, "other", ref) for name, ref in wanted.items() if ref != before and name != seam]
    default = next(iter(wanted.values()), before)
    chosen.insert(0 if default == before else len(chosen), (seam, "pooled", before))
    outputs = _token_outputs(survey, before)
    if outputs is not None:
        name = survey.name_of(outputs)
        taken = {other for other, _, _ in chosen}
        chosen.append((f"{name}/tokens" if name in taken else name, "tokens", outputs))
    return tuple((Readout(name, survey.shapes[ref][-1], kind), ref) for name, kind, ref in chosen)


def _token_outputs(survey: Survey, before: Ref) -> Ref | None:
    """The last float tensor [n, length, d] that all paths from the text to the embedding pass, or None."""
    threes = [r for r in survey.dominate(before) if survey.tensors.get(r) in FLOATS and survey.rows(r, 3)]
    lengths = {
        survey.shapes[r][1] for r in survey.tensors if survey.tensors[r] in INTEGERS and survey.rows(r, 2)
    }
    return next((ref for ref in reversed(threes) if survey.shapes[ref][1] in lengths), None)


def _notes(survey: Survey, place: Place, seam: str) -> tuple[str, ...]:
    others = [name for name in survey.readable() if name != seam]
    notes = [f"read at {seam}: {place.how}"]
    if others:
        notes.append(
            f"with --layer or readouts in penult.toml these can be read as well: {', '.join(others)}"
        )
    return tuple(notes)


def _sites(survey: Survey, place: Place, declared: Declaration) -> tuple[tuple[Site, ...], tuple[Stand, ...]]:
    """Every dropout with a mark, and those that the layer graph tells of, and where each stands.

    What is inside a hub layer leaves neither.
    """
    order = {name: number for number, name in enumerate(survey.flat.nodes)}
    after = order.get(node_of(place.after), len(order)) if place.after else len(order)
    sites, places = [], []
    for one in dropouts.stands(survey):
        at = bool(place.before) and (one.after == place.after or _same(survey, one.before, place.before))
        where = "at" if at else "before" if order[node_of(one.after)] < after else "after"
        sites.append(site_of(_path(survey, one), one.layer, node_of(one.after), where, declared.dropout))
        places.append(stand_of(survey, one, sites[-1]))
    if not sites and place.before and not survey.opened.layers:
        sites = _declared_sites(survey, place, declared.dropout)
        mark = Mark(place.before, place.before, Layer("", "", "Dropout", {}))
        places = [stand_of(survey, mark, site) for site in sites]
    return tuple(sites), tuple(places)


def stand_of(survey: Survey, one: Mark, site: Site) -> Stand:
    """Where it stands, and how it is put back, by the shape that what it drops has for so many rows."""
    shape = survey.shapes[one.after]
    stacked = bool(shape) and shape[0] > len(PROBE) and shape[0] % len(PROBE) == 0
    by_rows = bool(shape) and (shape[0] == len(PROBE) or stacked)
    channels_first = one.layer.config.get("data_format") == "channels_first"
    dtype = survey.tensors[one.after]
    known = by_rows and dtype in FLOATS
    recipe = recipe_of(site, len(shape), stacked, channels_first) if known else None
    return Stand(one.before, one.after, dtype, recipe)


def _same(survey: Survey, ref: Ref, other: Ref) -> bool:
    full = [survey.source_of(survey.in_full(one)) for one in (ref, other)]
    return full[0] == full[1]


def _path(survey: Survey, one: Mark) -> str:
    """The layer of a dropout with those around it, and which call it is, of a second one: `head/dropout#2`."""
    return _path_of(survey, one.layer) + (f"#{one.call}" if one.call > 1 else "")


def _path_of(survey: Survey, layer: Layer) -> str:
    around = [
        one
        for one in survey.opened.layers
        if one.path != "root" and layer.path.startswith(f"{one.path}.") and one.name
    ]
    names = [one.name for one in sorted(around, key=lambda one: len(one.path))]
    return "/".join([*names, layer.name])


def _declared_sites(survey: Survey, place: Place, rates: Mapping[str, float]) -> list[Site]:
    """The dropout at the seam of a graph without layers, of the rate declared: the only one, or what is read's."""
    seam = survey.name_of(place.before)
    rate = rates.get(seam, next(iter(rates.values())) if len(rates) == 1 else None)
    if rate is None:
        return []
    name = seam if seam in rates else next(iter(rates))
    return [Site(name, "Dropout", rate, None, node_of(place.before), "at")]


def site_of(path: str, layer: Layer, tensor: str, place: str, rates: Mapping[str, float]) -> Site:
    recorded = layer.config.get("rate", layer.config.get("stddev"))
    rate = rates.get(path, rates.get(layer.name)) if recorded is None else float(recorded)
    shape = layer.config.get("noise_shape")
    items = shape.get("items") if isinstance(shape, dict) else shape
    noise_shape = None if items is None else tuple(-1 if n is None else int(n) for n in items)
    return Site(path, layer.class_name, rate, noise_shape, tensor, place)
