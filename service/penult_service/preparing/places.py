"""Where a model is cut, and what is known of it before it is searched."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from penult_service.prepared import Head, Readout, Site, TokenInput
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.sampling.keyed import Recipe


@dataclass(frozen=True)
class Stand:
    """Where a site stands.

    Attributes:
        before: The tensor in front of it.
        after: The one behind it; the same where it leaves nothing in the graph.
        dtype: Their type.
        recipe: How it is put back; None: it is not.
        why: Why not; empty: how is not known.
    """

    before: Ref
    after: Ref
    dtype: tf.DType
    recipe: Recipe | None
    why: str = ""


@dataclass(frozen=True)
class Seams:
    """The places to cut at.

    `tokens` pairs each input of `encode` with its tensor, `read` each readout with its tensor, the default first.
    `seam` is the layer of the readout that the head takes; `before` and `after` are the tensors on both sides of
    its dropout (the same one when no dropout is there), of type `dtype`. `stands` pairs with `sites`. `wordpieces` is a
    tensor of all word pieces, if any. `vocabulary` is how many token ids there are, 0 when no table of them was found.
    `unread` says why nothing can be read; then only the whole function is served. `notes` say how the seam was found.
    """

    tokens: tuple[tuple[TokenInput, Ref], ...]
    read: tuple[tuple[Readout, Ref], ...]
    seam: str
    before: Ref
    after: Ref
    dtype: tf.DType
    sites: tuple[Site, ...]
    wordpieces: Ref | None
    vocabulary: int = 0
    unread: str = ""
    notes: tuple[str, ...] = ()
    stands: tuple[Stand, ...] = ()

    @property
    def shown(self) -> Site | None:
        """The dropout at the seam that the file itself shows, and not only its function for training."""
        pairs = zip(self.sites, self.stands, strict=True)
        at = (site for site, stand in pairs if site.place == "at" and site.tensor == node_of(stand.after))
        return next(at, None)


@dataclass(frozen=True)
class Known:
    """What a reader knows of a model that it built itself: nothing is searched then."""

    seams: Seams
    head: Head
