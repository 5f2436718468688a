"""What the dropout that is active at the seam makes of an embedding: in NumPy what the graph does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.dropouts import EMBEDDING_CLASS, Chosen
from penult_service.errors import PreconditionFailed
from penult_service.masks import Keys, normal, uniform
from penult_service.prepared import Manifest
from penult_service.vectors import FloatMatrix

_NOISE, _FACTOR, _ALPHA = "GaussianNoise", "GaussianDropout", "AlphaDropout"
_KINDS = ("Dropout", _ALPHA, _NOISE, _FACTOR)
# What AlphaDropout puts in the place of a number: the lower end of the activation SELU (Klambauer et al. 2017,
# Self-Normalizing Neural Networks).
_LOW = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


@dataclass(frozen=True)
class SeamDropout:
    """The dropout at the seam: its number in the manifest, its rate, the axes that share a draw, and its class."""

    site: int
    rate: float
    shared: tuple[int, ...] = ()
    kind: str = EMBEDDING_CLASS

    @property
    def plain(self) -> bool:
        """Whether it zeroes every number by itself, and scales the others up."""
        return self.kind == EMBEDDING_CLASS and not self.shared

    def on(self, embeddings: FloatMatrix, row_keys: Keys, shared_keys: Keys) -> FloatMatrix:
        """Embeddings float32 [n, d] behind it; keys int64 [n], as of `masks.Draw`."""
        rate, width = np.float32(self.rate), embeddings.shape[1:]
        if self.kind == _NOISE:
            return _narrow(embeddings + rate * normal(row_keys, self.site, width))
        if self.kind == _FACTOR:
            spread = np.sqrt(rate / (1 - rate))
            return _narrow(embeddings * (1 + spread * normal(row_keys, self.site, width)))
        keys = shared_keys if 0 in self.shared else row_keys
        kept = uniform(keys, self.site, width, self.shared) >= rate
        if self.kind == _ALPHA:
            scale = 1 / np.sqrt((1 - rate) * (1 + rate * _LOW**2))
            return _narrow(np.where(kept, embeddings, _LOW) * scale - scale * _LOW * rate)
        return _narrow(np.where(kept, embeddings / (1 - rate), 0.0))


def seam_dropout(manifest: Manifest, chosen: Chosen) -> SeamDropout | None:
    """The first active dropout whose input is the embedding; None when none is active there.

    Raises:
        PreconditionFailed: what it does to the embedding is not known here (NO_SAMPLED_EMBEDDING).
    """
    if chosen.rates[-1]:
        return SeamDropout(len(manifest.sites), chosen.rates[-1])
    number = next((i for i, s in enumerate(manifest.sites) if s.place == "at" and chosen.rates[i]), None)
    if number is None:
        return None
    site = manifest.sites[number]
    if site.layer_class not in _KINDS:
        raise PreconditionFailed(
            f"what {site.layer_class} at {site.path!r} makes of the embedding is not known here",
            reason="NO_SAMPLED_EMBEDDING",
            field="model",
        )
    return SeamDropout(number, chosen.rates[number], site.shared, site.layer_class)


def _narrow(values: NDArray[np.generic]) -> FloatMatrix:
    return values.astype(np.float32)
