"""Which dropouts are put back, and at which rate: what is asked, checked against what the model has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import Manifest, Site

MOST_SAMPLES, SAMPLES = 10_000, 30
HEAD, ALL = "head", "all"
# What is said of dropout on the embedding of a model in which no dropout is known there.
EMBEDDING_PATH, EMBEDDING_CLASS = "(embedding)", "Dropout"
_MOST_PATHS_TOLD = 20
_INT64 = 1 << 63
# The least rate that is 1 in float32, in which it is used.
_ALL_DROPPED = 1 - 2.0**-25


@dataclass(frozen=True)
class SampleOptions:
    """Which dropouts, how often, and with which masks.

    Attributes:
        scope: ``head``, those between the embedding and the outputs, or ``all``; not said: ``head``.
        sites: Paths of the dropouts instead.
        rate: Of each of them, at least 0 and below 1; None: what the file records.
        samples: How many a row.
        seed: Of 64 bits, signed.
        first_sample: The number of the first sample, for who asks for some at a time.
        truncate: One of `vectors.TRUNCATIONS`.
    """

    scope: str | None = None
    sites: Sequence[str] = ()
    rate: float | None = None
    samples: int = SAMPLES
    seed: int = 0
    first_sample: int = 0
    truncate: str = "right"


@dataclass(frozen=True)
class ActiveDropout:
    """A dropout that is put back; `rate` of `GaussianNoise` is the standard deviation."""

    path: str
    layer_class: str
    rate: float


@dataclass(frozen=True)
class Chosen:
    """The dropouts that are put back.

    Attributes:
        rates: One a site of the manifest, and that of the embedding itself last; 0: not active.
        active: The same for a person, in the order in which the model computes them.
        inside: Whether any of them stands in front of the embedding, so that each sample is a pass of the encoder.
    """

    rates: tuple[float, ...]
    active: tuple[ActiveDropout, ...]
    inside: bool


def choose(manifest: Manifest, options: SampleOptions) -> Chosen:
    """The dropouts that the options mean.

    Raises:
        PreconditionFailed: dropout cannot be put back into this model, or not there (NO_SAMPLING); nobody says at which
            rate, or there is none to put back (NO_DROPOUT_RATE).
        InvalidInput: both a scope and paths (WRONG_COMBINATION), a path that is none (UNKNOWN_DROPOUT), or a number out
            of range (OUT_OF_RANGE).
    """
    check_options(options)
    if manifest.unsampled:
        raise PreconditionFailed(
            f"dropout cannot be put back into this model: {manifest.unsampled}",
            reason="NO_SAMPLING",
            field="model",
        )
    numbers, embedding = _numbers(manifest, options)
    rates = [0.0] * (len(manifest.sites) + 1)
    for number in numbers:
        rates[number] = _rate(manifest, manifest.sites[number], options.rate)
    if embedding:
        assert options.rate is not None
        rates[-1] = options.rate
    if options.rate is None and not any(rates):
        paths = listed(manifest.sites[i].path for i in numbers)
        raise _no_rate(f"the rate of {paths} is 0, so that nothing is dropped")
    return Chosen(
        rates=tuple(rates),
        active=_active(manifest, rates, numbers, embedding),
        inside=any(manifest.sites[number].place == "before" for number in numbers),
    )


def check_options(options: SampleOptions) -> None:
    """What needs no model. Raises as `choose`."""
    if options.scope and options.sites:
        raise InvalidInput(
            f"a scope ({options.scope!r}) and paths of dropouts are given; give one of them",
            reason="WRONG_COMBINATION",
            field="dropout.sites",
        )
    if options.scope not in (None, HEAD, ALL):
        raise InvalidInput(
            f"scope {options.scope!r} is not known; take {HEAD!r} or {ALL!r}",
            reason="OUT_OF_RANGE",
            field="dropout.scope",
        )
    if options.rate is not None and not 0.0 <= options.rate < _ALL_DROPPED:
        raise _out_of_range("rate", options.rate, "at least 0 and below 1 (also when rounded to float32)")
    if not 1 <= options.samples <= MOST_SAMPLES:
        raise _out_of_range("samples", options.samples, f"1 to {MOST_SAMPLES}")
    if not -_INT64 <= options.seed < _INT64:
        raise _out_of_range("seed", options.seed, "a number of 64 bits")
    if options.first_sample < 0:
        raise _out_of_range("first_sample", options.first_sample, "at least 0")


def _numbers(manifest: Manifest, options: SampleOptions) -> tuple[list[int], bool]:
    """The numbers of the sites, and whether the embedding itself is dropped."""
    known = [i for i, site in enumerate(manifest.sites) if site.sampled]
    behind = [i for i in known if manifest.sites[i].place != "before"]
    if options.sites:
        return _named(manifest, options, behind)
    if options.scope == ALL and len(behind) == len(known):
        raise PreconditionFailed(
            f"no dropout inside the encoder of this model can be put back: {_why_none(manifest)}; ask for those of the "
            "head",
            reason="NO_SAMPLING",
            field="dropout.scope",
        )
    chosen = known if options.scope == ALL else behind
    if not chosen and options.rate is None:
        # Of a graph without layers the declaration says that there is one.
        unseen = not manifest.sites and not manifest.layers
        declared = _declared(manifest, "dropout") if unseen else ""
        raise _no_rate("no dropout is known between its embedding and its outputs", declared)
    return chosen, not behind and options.rate is not None


def _named(manifest: Manifest, options: SampleOptions, behind: Sequence[int]) -> tuple[list[int], bool]:
    paths = dict.fromkeys([site.path for site in manifest.sites] + ([] if behind else [EMBEDDING_PATH]))
    unknown = next((path for path in options.sites if path not in paths), None)
    if unknown is not None:
        scope = unknown.lower() in (HEAD, ALL)
        alone = f"; {unknown.lower()!r} is written so, and alone" if scope else ""
        raise InvalidInput(
            f"this model has no dropout {unknown[:200]!r}; it has: {listed(paths)}{alone}",
            reason="UNKNOWN_DROPOUT",
            field="dropout.sites",
        )
    numbers = [i for i, site in enumerate(manifest.sites) if site.path in options.sites]
    fixed = next((manifest.sites[i] for i in numbers if not manifest.sites[i].sampled), None)
    if fixed is not None:
        possible = listed(dict.fromkeys(site.path for site in manifest.sites if site.sampled))
        raise PreconditionFailed(
            f"dropout {fixed.path!r} ({fixed.layer_class}) cannot be put back: its place in the graph is not known; "
            f"possible: {possible or 'none'}",
            reason="NO_SAMPLING",
            field="dropout.sites",
        )
    embedding = EMBEDDING_PATH in options.sites
    if embedding and options.rate is None:
        raise _no_rate(f"{EMBEDDING_PATH} is no layer, so the file records no rate of it")
    return numbers, embedding


def _rate(manifest: Manifest, site: Site, given: float | None) -> float:
    rate = site.rate if given is None else given
    if rate is None:
        why = f"its file records no rate of {site.path!r} ({site.layer_class})"
        raise _no_rate(why, _declared(manifest, site.path))
    return rate


def _no_rate(why: str, declared: str = "") -> PreconditionFailed:
    return PreconditionFailed(
        f"at which rate to put dropout back is not known: {why}; give one (rate=0.1, --rate 0.1){declared}",
        reason="NO_DROPOUT_RATE",
        field="dropout.rate",
    )


def _declared(manifest: Manifest, path: str) -> str:
    """The line that says the rate once and for all (a TOML key in quotes is a JSON string)."""
    line = f"dropout = {{ {json.dumps(path, ensure_ascii=False)} = 0.1 }}"
    return f", or write {line} into penult.toml beside {manifest.source} and load it again"


def _why_none(manifest: Manifest) -> str:
    inside = [site for site in manifest.sites if site.place == "before"]
    if not inside:
        return "its file tells of none there"
    return f"the places of {listed(site.path for site in inside)} in the graph are not known"


def _active(
    manifest: Manifest, rates: Sequence[float], numbers: Sequence[int], embedding: bool
) -> tuple[ActiveDropout, ...]:
    sites = [manifest.sites[number] for number in numbers]
    found = [
        (site.place == "before", ActiveDropout(site.path, site.layer_class, rates[number]))
        for site, number in zip(sites, numbers, strict=True)
    ]
    own = [ActiveDropout(EMBEDDING_PATH, EMBEDDING_CLASS, rates[-1])] if embedding else []
    return (*(one for inside, one in found if inside), *own, *(one for inside, one in found if not inside))


def _out_of_range(name: str, value: float, wanted: str) -> InvalidInput:
    return InvalidInput(f"{name} is {value}; give {wanted}", reason="OUT_OF_RANGE", field=f"dropout.{name}")


def listed(names: Iterable[str]) -> str:
    """The names for a sentence; of many the first ones."""
    every = list(names)
    more = f" and {len(every) - _MOST_PATHS_TOLD} more" if len(every) > _MOST_PATHS_TOLD else ""
    return ", ".join(every[:_MOST_PATHS_TOLD]) + more
