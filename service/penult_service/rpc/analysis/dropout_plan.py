"""What is drawn to compare texts with and without dropout: which dropouts, in which scopes, of which model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from penult_service.analysis.calls import CompareDropout, Shapes
from penult_service.analysis.results import Adjustment
from penult_service.embedder import ActiveDropout, EmbedOptions, Given, Records, SampleOptions, Tensors
from penult_service.embedder.dropouts import ALL, HEAD, choose, listed
from penult_service.embedder.options import choose_readout, space_of
from penult_service.embedder.seam_dropout import seam_dropout
from penult_service.embedder.uncertainty import CLASSIFIERS
from penult_service.errors import PreconditionFailed
from penult_service.prepared import Manifest
from penult_service.repository.names import Reference

NAMED = "named"
# The adjustment that tells of dropouts that could not be put back in a scope.
SITES = "dropout.sites"
N_CLUSTERS = 8
# What a token takes in an encoder of 50 million parameters on two cores; bytes of text a token.
_TOKEN_SECONDS, _TOKEN_BYTES = 1e-3, 4


@dataclass(frozen=True)
class DropoutSide:
    """Texts or records, and which dropouts are put back.

    `options` without a scope and without paths mean every scope that there is. `labels` is one a row, or none.
    """

    given: Given
    reference: Reference
    options: SampleOptions
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scope:
    """Dropouts that are active together.

    Attributes:
        name: ``head``, ``all``, or ``named`` of those that were asked for by their paths.
        options: How they are drawn.
        active: Which they are.
        inside: Whether any is inside the encoder.
        plain_rate: The rate, where all that happens to an embedding is plain dropout of each of its numbers; else None.
    """

    name: str
    options: SampleOptions
    active: tuple[ActiveDropout, ...]
    inside: bool
    plain_rate: float | None


@dataclass(frozen=True)
class Plan:
    """The scopes, at least one, and those that were left out; how wide an embedding is, its layer and its space.

    `classes` is how many the model tells apart; 0: it is no classifier. `encode_seconds` is what the encoder
    takes for all of it, at a guess: so that a call does not wait for an hour.
    """

    scopes: tuple[Scope, ...]
    left_out: tuple[Adjustment, ...]
    columns: int
    layer: str
    space: str
    classes: int
    encode_seconds: float


def planned(manifest: Manifest, asked: DropoutSide) -> Plan:
    """What is drawn of that model.

    A scope that was not asked for is left out where it cannot be done.

    Raises:
        PenultError: as `embedder.dropouts.choose` and `seam_dropout`; NO_EMBEDDING.
    """
    options = EmbedOptions(layer=manifest.seam or None, pooling="pooled", truncate=asked.options.truncate)
    scopes, left_out = _scopes(manifest, asked.options)
    readout = choose_readout(manifest, options, row_a_text=True)
    return Plan(
        scopes=scopes,
        left_out=left_out,
        columns=readout.dimension,
        layer=readout.layer,
        space=space_of(manifest, readout, options).digest,
        classes=manifest.head.classes if manifest.head.kind in CLASSIFIERS else 0,
        encode_seconds=_encode_seconds(manifest, asked, scopes),
    )


def settled(
    call: CompareDropout, side_rows: int, plan: Plan, passes: int, labels: int
) -> tuple[CompareDropout, Shapes]:
    """The call with its scopes and its number of clusters, and the shapes of its arrays.

    Args:
        call: As it was asked for, with 0 clusters when it did not say.
        side_rows: How many rows there are.
        plan: What is drawn.
        passes: How often.
        labels: How many labels there are; 0: none were given.
    """
    shapes: dict[str, tuple[int, ...]] = {"source": (side_rows, plan.columns)}
    shapes |= {f"draws_{scope.name}": (side_rows, passes, plan.columns) for scope in plan.scopes}
    count = call.n_clusters or labels or plan.classes or N_CLUSTERS
    return replace(call, scopes=tuple(scope.name for scope in plan.scopes), n_clusters=count), shapes


def _scopes(manifest: Manifest, options: SampleOptions) -> tuple[tuple[Scope, ...], tuple[Adjustment, ...]]:
    if options.sites or options.scope:
        one = _scope(manifest, options, options.scope or NAMED)
        return (one,), _fixed(manifest, (one,))
    found: list[Scope] = []
    failed: dict[str, PreconditionFailed] = {}
    for name in (HEAD, ALL):
        try:
            found.append(_scope(manifest, replace(options, scope=name), name))
        except PreconditionFailed as error:
            failed[name] = error
    if not found:
        raise failed[HEAD]
    used = found[0].name
    left_out = (Adjustment("dropout.scope", name, used, error.message) for name, error in failed.items())
    return tuple(found), (*left_out, *_fixed(manifest, found))


def _fixed(manifest: Manifest, scopes: Iterable[Scope]) -> tuple[Adjustment, ...]:
    """What is told of each scope some of whose dropouts cannot be put back."""
    told = []
    for scope in scopes:
        within = [
            site
            for site in manifest.sites
            if scope.name == ALL or (scope.name == HEAD and site.place != "before")
        ]
        fixed = [site.path for site in within if not site.sampled]
        if fixed:
            why = f"the places of {listed(fixed)} in the graph are not known"
            told.append(Adjustment(SITES, scope.name, f"{len(within) - len(fixed)} of {len(within)}", why))
    return tuple(told)


def _scope(manifest: Manifest, options: SampleOptions, name: str) -> Scope:
    chosen = choose(manifest, options)
    at_seam = seam_dropout(manifest, chosen)
    plain = at_seam is not None and at_seam.plain and not chosen.inside
    return Scope(
        name=name,
        options=options,
        active=chosen.active,
        inside=chosen.inside,
        plain_rate=at_seam.rate if at_seam is not None and plain else None,
    )


def _encode_seconds(manifest: Manifest, asked: DropoutSide, scopes: tuple[Scope, ...]) -> float:
    """Of every pass of the encoder, at a guess: of what engine and how large a model is not looked at."""
    passes = len(scopes) + sum(scope.options.samples for scope in scopes if scope.inside)
    longest = manifest.padded_cost
    if not manifest.trims or isinstance(asked.given, Records | Tensors):
        tokens = len(asked.given) * longest
    else:
        tokens = sum(min(longest, 2 + len(str(text)) // _TOKEN_BYTES) for text in asked.given)
    return passes * tokens * _TOKEN_SECONDS
