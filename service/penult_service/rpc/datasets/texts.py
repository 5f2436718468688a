"""Texts that are appended to a set: embedded as the set says, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from penult.v1 import common_pb2

from penult_service.embedder import Embedder, EmbedOptions, EmbedResult, LoadedModel
from penult_service.embedder.options import choose_readout, space_of
from penult_service.errors import NotFound, PenultError, PreconditionFailed
from penult_service.repository.names import parse_reference
from penult_service.repository.repository import Repository
from penult_service.rpc import replies
from penult_service.rpc.datasets.codec import AskedRows, AskedSet
from penult_service.rpc.handlers import Call
from penult_service.rpc.stored import Stored
from penult_service.storage import EmbeddingSet
from penult_service.vectors import FloatMatrix


class SetTexts:
    """Finds the model of a set, and embeds with it."""

    def __init__(self, stored: Stored, repository: Repository[LoadedModel], embedder: Embedder) -> None:
        self._stored, self._repository, self._embedder = stored, repository, embedder

    def embedding_of(self, asked: AskedSet) -> tuple[dict[str, Any], str, int]:
        """How a new set embeds texts, as its provenance holds it; the space and dimension of its rows.

        Raises:
            NotFound, Unavailable, PreconditionFailed: as the repository and `choose_readout` say.
        """
        assert asked.options is not None
        model = self._repository.resolve(asked.reference, "options.model")
        options = asked.options.on(model.manifest)
        readout = choose_readout(model.manifest, options, row_a_text=True)
        space = space_of(model.manifest, readout, options).digest
        embedding = {
            "model": f"models/{model.name}/versions/{model.version}",
            "model_digest": model.manifest.model_digest,
            "layer": readout.layer,
            "pooling": options.pooling,
            "normalize": options.normalize,
            "truncate": options.truncate,
        }
        return embedding, space, readout.dimension

    async def vectors(
        self, opened: EmbeddingSet, rows: AskedRows, call: Call
    ) -> tuple[FloatMatrix, common_pb2.Provenance | None]:
        """The vectors of rows that came as texts: float32 [n, dimension], and where they came from.

        A row whose id is there gets the vector that is stored, and what is sent again adds nothing, although a text
        may come out different in its last bits when it is computed beside others. (Whether its text is the same,
        the set compares.)

        Raises:
            PreconditionFailed: the set takes vectors only (NO_EMBED_OPTIONS), or its model version is not here any
                more (MODEL_GONE). PenultError: a text cannot be embedded; the field names it.
        """
        texts, info = rows.texts or (), opened.info
        embedding = info.provenance.get("embedding")
        if not embedding:
            raise PreconditionFailed(
                f"rows without vectors: set {info.name!r} was made without a model; send vectors, or make the set"
                " with options",
                reason="NO_EMBED_OPTIONS",
                field="vectors",
            )
        known = await self._stored.run(opened.find, rows.ids)
        firsts: dict[str, int] = {}
        same_as = np.array([firsts.setdefault(key, i) for i, key in enumerate(rows.ids)], np.int64)
        new = [i for i in firsts.values() if known[i] < 0]
        vectors = np.empty((len(rows.ids), info.dimension), np.float32)
        origin = None
        if new:
            result, origin = await self._embedded(embedding, info.embedding_space, texts, new, call)
            vectors[new] = result.vectors
        if (known >= 0).any():
            vectors[known >= 0] = await self._stored.run(_stored_vectors, opened, known[known >= 0])
        return vectors[same_as], origin

    async def _embedded(
        self, embedding: Mapping[str, Any], space: str, texts: Sequence[Any], rows: list[int], call: Call
    ) -> tuple[EmbedResult, common_pb2.Provenance]:
        options = EmbedOptions(
            **{name: embedding[name] for name in ("layer", "pooling", "normalize", "truncate")}
        )
        model = self._model(embedding, space, options)
        call.model, call.texts = embedding["model"], call.texts + len(rows)
        result = await self._embedder.embed(model, [texts[i] for i in rows], options, deadline=call.deadline)
        for place, error in result.row_errors.items():
            raise _renumbered(error, place, rows[place])
        call.tokens += int(result.token_counts.sum())
        return result, replies.embedding_provenance(model, result, options)

    def _model(self, embedding: Mapping[str, Any], space: str, options: EmbedOptions) -> LoadedModel:
        name = embedding["model"]
        why = "is not here"
        try:
            model = self._repository.resolve(parse_reference(name, "options.model"), "options.model")
            if space_of(model.manifest, choose_readout(model.manifest, options), options).digest == space:
                return model
            why = "is another model now (its files have changed)"
        except NotFound:
            pass
        raise PreconditionFailed(
            f"the texts of this set are embedded by {name}, which {why}: serve the version with model_digest"
            f" {embedding['model_digest'][:16]}…, or append vectors",
            reason="MODEL_GONE",
            metadata={"model": name, "model_digest": embedding["model_digest"]},
        )


def _stored_vectors(opened: EmbeddingSet, numbers: Any) -> FloatMatrix:
    with opened.snapshot() as snapshot:
        found: FloatMatrix = snapshot.vectors()[numbers]
        return found


def _renumbered(error: PenultError, place: int, row: int) -> PenultError:
    """The error of a text, which was one of a few, with the number that it has among all."""
    error.field = error.field.replace(f"texts[{place}]", f"texts[{row}]")
    error.message = error.message.replace(f"texts[{place}]", f"texts[{row}]")
    return error
