"""What the function for training tells of dropouts, added to what was found in the inference graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from penult_service.prepared import Site
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.opened import Mark, Opened
from penult_service.preparing.places import Seams, Stand
from penult_service.preparing.seam import dropouts
from penult_service.preparing.seam.inner import Inner, find_inner
from penult_service.preparing.seam.same_values import HANDS_ON
from penult_service.preparing.seam.seams import site_of, stand_of
from penult_service.preparing.seam.survey import Survey
from penult_service.preparing.seam.training import Training

_LISTED = 6  # scopes that a note names
_OFF = "it is off in training too, as of a layer or an encoder that was called with training=False"


def with_inner(opened: Opened, survey: Survey, seams: Seams) -> tuple[Opened, Seams]:
    """The model with a place for each dropout that only its function for training shows, and these among the sites.

    Neither seam moves, and no tensor has another value.

    Args:
        opened: The model as it is cut, its graph that of `survey`.
        survey: The same, surveyed.
        seams: Where it is cut.
    """
    known = [(mark, dropouts.scope_in(survey, mark)) for mark in dropouts.stands(survey)]
    try:
        found = find_inner(survey, known)
        seams = _as_trained(survey, seams)
        added = list(_sites(survey, seams, found))
    except Exception as error:  # noqa: BLE001  (what a file holds for training may be anything; it is served without)
        note = (
            f"its function for training was not understood ({type(error).__name__}), so it shows no dropouts"
        )
        return opened, replace(seams, notes=(*seams.notes, note))
    order = {name: number for number, name in enumerate(found.flat.nodes)}
    own = order[node_of(seams.after)] if seams.after else 0

    def place(pair: tuple[Site, Stand]) -> int:
        """In the order of the graph; but the first one at the seam is the one that the file shows, if any."""
        number = order[node_of(pair[1].after)]
        return max(number, own) if pair[0].place == "at" else number

    both = [*zip(seams.sites, seams.stands, strict=True), *added]
    both.sort(key=place)
    merged = replace(
        seams,
        sites=tuple(site for site, _ in both),
        stands=tuple(stand for _, stand in both),
        notes=(*seams.notes, *_notes(found, len(added))),
    )
    return replace(opened, flat=found.flat), merged


def _as_trained(survey: Survey, seams: Seams) -> Seams:
    """Those dropouts that the function for training shows to be off in training too are not put back.

    So in a tf_keras model whose encoder was called with `training=False`. One of rate 0 draws nothing either way.
    """
    training = Training(survey.opened)
    if training.flat is None:
        return seams
    found = []
    for mark, site, stand in zip(dropouts.stands(survey), seams.sites, seams.stands, strict=False):
        traced = stand.before != stand.after and stand.after == mark.after and bool(site.rate)
        off = traced and training.shows_off(dropouts.scope_in(survey, mark))
        found.append(replace(stand, recipe=None, why=_OFF) if off else stand)
    return replace(seams, stands=(*found, *seams.stands[len(found) :]))


def _sites(survey: Survey, seams: Seams, found: Inner) -> Iterator[tuple[Site, Stand]]:
    flat = found.flat
    front = flat.upstream([seams.before]) if seams.before else set(flat.nodes)
    paths = {site.path for site in seams.sites}
    for mark in found.marks:
        source = _source(flat, mark.before)
        place = "after"
        if node_of(mark.after) in front:
            place = "before"
        elif survey.in_full(source) == _source(flat, seams.before) or source == _source(flat, seams.before):
            place = "at"
        if place == "at" and seams.sites and not survey.opened.layers:
            continue  # the one that a person has declared
        path = mark.layer.path + (f"#{mark.call}" if mark.call > 1 or mark.layer.path in paths else "")
        site = site_of(path, mark.layer, node_of(source), place, {})
        yield site, _stand(survey, mark, source, site)


def _stand(survey: Survey, mark: Mark, source: Ref, site: Site) -> Stand:
    """Where it stands; what was not measured, as it is on no way from an input, is not put back."""
    if source in survey.tensors:
        measured = stand_of(survey, Mark(source, source, mark.layer), site)
        return replace(measured, before=mark.before, after=mark.after)
    return Stand(mark.before, mark.after, survey.tensors[survey.outputs[0]], None)


def _source(flat: FlatGraph, ref: Ref) -> Ref:
    while flat.nodes[node_of(ref)].op in HANDS_ON:
        ref = flat.nodes[node_of(ref)].input[0]
    return ref


def _notes(found: Inner, count: int) -> Iterator[str]:
    if count:
        alike = "is the inference function but for what it drops" if found.whole else "shows them"
        yield f"{count} dropouts leave nothing in the inference graph; the function for training {alike}"
    if found.missed:
        named = ", ".join(found.missed[:_LISTED])
        more = f" and {len(found.missed) - _LISTED} more" if len(found.missed) > _LISTED else ""
        yield (
            f"in training numbers are drawn in {named}{more} for what is no dropout, or none whose place in the "
            "inference graph is certain: it stays off when dropout is put back"
        )
