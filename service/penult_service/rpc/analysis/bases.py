"""Stored maps and clusterings that new rows are placed by: held where they lie, and what they were made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from penult_service.analysis import calls
from penult_service.analysis.calls import ArrayFile, Call
from penult_service.embedder import EmbedOptions
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.rpc.stored import Stored
from penult_service.storage import HeldResult, ResultInfo, ResultStore, StoredResult

PROJECTIONS, CLUSTERINGS = "projections", "clusterings"
FITTED = ("fitted_rows", "fitted_first")
# What is stored for new rows alone: replies do without.
FOR_NEW_ROWS = (*FITTED, "fitted_inverse", "mean", "loadings", "reduced", "centres", "centre_labels")
_CLUSTERED = ("fitted_inverse", "centres", "centre_labels")
_LEAST_CLUSTER = 5
# Arrays of a worker, by those that are stored.
_ARRAYS: Mapping[type[Call], Mapping[str, str]] = {
    calls.Transform: {name: name for name in (*FITTED, "coordinates", "mean", "loadings")},
    calls.Assign: {name: name for name in (*FITTED, "centres", "centre_labels")}
    | {"labels": "stored_labels"},
    calls.Grow: {name: name for name in (*FITTED, "fitted_inverse", "centres", "centre_labels")}
    | {"labels": "stored_labels"},
    calls.EditClusters: {
        name: name for name in (*FITTED, "fitted_inverse", "centres", "centre_labels", "reduced")
    }
    | {"labels": "stored_labels"},
    calls.Project: {"coordinates": "anchor"},
}


@dataclass(frozen=True)
class StoredName:
    """A stored map or clustering that an analysis is about: `projections` or `clusterings`, its name, and the field of
    the request that named it."""

    plural: str
    name: str
    field: str


@dataclass(frozen=True, eq=False)
class Basis:
    """One that is held. `files` are the arrays that a worker wants of it, by the names that it has for them."""

    asked: StoredName
    held: HeldResult
    files: Mapping[str, ArrayFile]

    @property
    def info(self) -> ResultInfo:
        """What is known of it."""
        return self.held.info

    @property
    def space(self) -> str:
        """The embedding space of its rows, empty when not known."""
        return self.held.info.source.embedding_space

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the files."""
        return {name: file.shape for name, file in self.files.items()}

    def call(self, asked: Call) -> Call:
        """What is asked, with what the stored thing was made with.

        Raises:
            InvalidInput: a map that is to be aligned to has places of another number of dimensions (WRONG_COMBINATION).
        """
        used, facts = self.info.parameters, self.info.facts
        known: dict[str, Any] = {
            "method": used.get("method", asked.name),
            "metric": used.get("metric", "cosine"),
            "far_distance": facts.get("far_distance"),
        }
        match asked:
            case calls.Transform():
                return replace(asked, **known, n_neighbors=_neighbors(used))
            case calls.Assign():
                return replace(asked, **known)
            case calls.Grow():
                return replace(
                    asked,
                    **known,
                    min_cluster_size=asked.min_cluster_size or used.get("min_cluster_size") or _LEAST_CLUSTER,
                    min_samples=used.get("min_samples") or asked.min_samples,
                    next_label=next_label(self.info),
                    seed=used.get("seed", asked.seed),
                )
            case calls.EditClusters():
                return replace(
                    asked,
                    metric=known["metric"],
                    next_label=next_label(self.info),
                    seed=used.get("seed", asked.seed),
                )
            case calls.Project():
                self._check_anchor(asked)
        return asked

    def check_rows(self, rows: int, columns: int) -> None:
        """That new rows [rows, columns] are as wide as those of the stored thing, or as many as those of an anchor.

        Raises:
            InvalidInput: they are not (DIMENSION_MISMATCH, ROWS_MISMATCH).
        """
        there = self.info.source.rows
        if "anchor" in self.files and rows != there:
            raise InvalidInput(
                f"projection {self.info.name!r} has {there} rows, source has {rows}; align maps of the same rows, in"
                " the same order",
                reason="ROWS_MISMATCH",
                field=self.asked.field,
                metadata={self.asked.field: str(there), "source": str(rows)},
            )
        width = columns if "anchor" in self.files else self.files["fitted_rows"].shape[1]
        if width != columns:
            raise InvalidInput(
                f"the rows of {self.asked.field} {self.info.name!r} have {width} numbers, those of source {columns};"
                " embed them as the others were",
                reason="DIMENSION_MISMATCH",
                field="source",
                metadata={self.asked.field: str(width), "source": str(columns)},
            )

    def _check_anchor(self, asked: calls.Project) -> None:
        dimensions = self.files["anchor"].shape[1]
        if asked.method != "umap":
            raise InvalidInput(
                f"aligned_to belongs to umap, and {asked.method} does not use it; leave it out",
                reason="WRONG_COMBINATION",
                field=self.asked.field,
            )
        if dimensions != asked.n_components:
            raise InvalidInput(
                f"projection {self.info.name!r} has {dimensions} dimensions; a map of {asked.n_components} cannot lie"
                f" as it does, so give n_components {dimensions}",
                reason="WRONG_COMBINATION",
                field="n_components",
            )


def next_label(info: ResultInfo) -> int:
    """The first label that no cluster ever had; 0 of what an older release stored, which is not changed but by name."""
    return int(info.facts.get("next_label", 0))


class Bases:
    """Finds them."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def store(self, plural: str) -> ResultStore:
        """Where those of a kind are."""
        storage = self._stored.storage
        return storage.projections if plural == PROJECTIONS else storage.clusterings

    async def get(self, asked: StoredName) -> StoredResult:
        """The one of that name, with what replies have of it. Raises NotFound, DataDamaged."""
        with _field_of(asked):
            return await self._stored.run(self.store(asked.plural).get, asked.name, without=FOR_NEW_ROWS)

    async def open(self, asked: StoredName, call: Call) -> Basis:
        """The one of that name, for that call; its `held` has to be closed.

        Raises:
            NotFound, DataDamaged: as `ResultStore.hold`. PreconditionFailed: it was stored without what the call takes
                (CANNOT_TRANSFORM, CANNOT_ASSIGN).
        """
        names = _ARRAYS[type(call)]
        with _field_of(asked):
            held = await self._stored.run(self.store(asked.plural).hold, asked.name, tuple(names))
        try:
            return _basis(asked, held, call, names)
        except BaseException:
            held.close()
            raise


@contextmanager
def _field_of(asked: StoredName) -> Iterator[None]:
    """Errors name the field of the request, not `name`."""
    try:
        yield
    except PenultError as error:
        if error.field:
            error.field = asked.field
        raise


def embedding_of(info: ResultInfo) -> Mapping[str, Any] | None:
    """How the rows of a stored thing were embedded, as `embedding_facts` says; None of vectors.

    What an older release stored says the model and the readout only.
    """
    told = info.facts.get("embedding")
    if told:
        return dict(told)
    origin = info.facts.get("provenance")
    if not origin or "model" not in origin:
        return None
    return {
        "model": origin["model"],
        "model_digest": origin.get("model_digest", ""),
        "layer": origin.get("layer"),
        "pooling": origin.get("pooling", "").removeprefix("POOLING_").lower() or None,
        "normalize": origin.get("normalized", False),
        "truncate": "right",
    }


def merged(options: EmbedOptions, unsaid: tuple[str, ...], embedding: Mapping[str, Any]) -> EmbedOptions:
    """The options of a request, and where they say nothing those of the embedding."""
    return replace(options, **{name: embedding[name] for name in unsaid if name in embedding})


def _basis(asked: StoredName, held: HeldResult, call: Call, names: Mapping[str, str]) -> Basis:
    files = {
        names[key]: ArrayFile(place.path, place.shape, place.offset, place.dtype)
        for key, place in held.places.items()
    }
    if not isinstance(call, calls.Project) and not {*FITTED} <= files.keys():
        transform = isinstance(call, calls.Transform)
        word, verb = ("projection", "transform") if transform else ("clustering", "assign")
        raise PreconditionFailed(
            f"{word} {asked.name!r} was stored by an earlier Penult, without the rows that it was made of: make it"
            f" again under this name (overwrite), then new rows can be {'placed on it' if transform else 'assigned'}",
            reason=f"CANNOT_{verb.upper()}",
            field=asked.field,
        )
    return Basis(asked, held, files)


def _neighbors(used: Mapping[str, Any]) -> int:
    if used.get("method") == "tsne":
        return max(2, round(used.get("perplexity") or 30.0))
    return int(used.get("n_neighbors") or calls.Transform.n_neighbors)
