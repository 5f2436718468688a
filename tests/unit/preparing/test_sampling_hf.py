"""Dropout put back into Hugging Face classifiers, against the same network in NumPy with masks at its own places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import Site
from penult_service.preparing import pipeline
from penult_service.preparing.examples import Rows
from penult_service.preparing.proof.served import Served
from penult_service.tokenizing.library import library_tokenizer
from support.tiny_bert import sample_texts
from support.tiny_hf import NumpyClassifier, TinyHf, write_tiny_hf

pytestmark = pytest.mark.tensorflow
TEXTS = list(sample_texts(4, seed=6, longest=12))
Array = NDArray[Any]
# Where the masks go, in the order in which they act: of BERT's embeddings, of each layer, of the head.
EMBEDDINGS, SHARES, ATTENDED, OUTER, HIDDEN, HEAD = (
    "embeddings",
    "shares",
    "attended",
    "outer",
    "hidden",
    "head",
)
PLACES: dict[str, tuple[str, ...]] = {
    "bert": (SHARES, ATTENDED, OUTER),
    "roberta": (SHARES, ATTENDED, OUTER),
    "electra": (SHARES, ATTENDED, OUTER),
    "distilbert": (SHARES, OUTER),
    "albert": (SHARES, ATTENDED),
}


class Dropping(NumpyClassifier):
    """The oracle with masks: the n-th dropout that acts has the number n."""

    def __init__(self, plain: NumpyClassifier, sites: tuple[Site, ...], draw: Draw) -> None:
        self.__dict__.update(plain.__dict__)
        self.sites, self.draw, self.acted = sites, draw, 0

    def drop(self, x: Array) -> Array:
        rate = self.draw.rates[self.acted]
        kept = masks.uniform(self.draw.row_keys, self.acted, x.shape[1:]) >= rate
        self.acted += 1
        return np.where(kept, x / np.float64(np.float32(1) - rate), 0.0)

    def at(self, place: str, x: Array) -> Array:
        return self.drop(x) if place in PLACES[self.kind] else x

    def norm(self, name: str, x: Array) -> Array:
        found = super().norm(name, x)
        return self.drop(found) if name == "embeddings.LayerNorm" else found

    def dense(self, name: str, x: Array) -> Array:
        found = super().dense(name, x)
        if name.endswith("attention.output.dense"):
            return self.at(ATTENDED, found)
        return self.at(OUTER, found) if name.endswith("output.dense") else found

    def attention(self, name: str, x: Array, mask: Array) -> Array:
        """With dropout on the shares: softmax is the last thing before the values are mixed."""
        rows, length, width = x.shape
        heads = self.config["num_attention_heads"]

        def split(part: str) -> Array:
            turned = (
                super(Dropping, self).dense(f"{name}.{part}", x).reshape(rows, length, heads, width // heads)
            )
            return np.asarray(turned.transpose(0, 2, 1, 3))

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.sqrt(width / heads)
        scores = np.where(mask[:, None, None, :] > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = self.at(SHARES, shares / shares.sum(axis=-1, keepdims=True))
        return np.asarray((shares @ split("value")).transpose(0, 2, 1, 3).reshape(rows, length, width))

    def predicted(self, ids: Array, mask: Array, types: Array) -> Array:
        """Softmax of the logits, all dropouts of the head active."""
        from support.tiny_hf import _HIDDEN

        first = self.layers(ids, mask, types)[-1][:, 0]
        hidden, out, activation = _HIDDEN[self.kind]
        if self.kind in ("roberta", "electra"):
            first = self.drop(first)
        logits = self.dense(out, self.drop(activation(self.dense(hidden, first))))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def served(tiny: TinyHf, place: Path) -> Served:
    manifest = pipeline.prepare(tiny.directory, place, None, lambda *_: None)
    signatures = tf.saved_model.load(str(place)).signatures
    return Served(signatures, manifest, library_tokenizer(place, manifest.inputs))


def sampled(model: Served, inputs: dict[str, Array], draw: Draw) -> Array:
    embedding = model.sample_encode(inputs, draw)
    return np.asarray(model.sample_head(embedding, inputs, draw)[model.manifest.head.output])


def drawn(model: Served, rows: Array) -> Draw:
    rates = [site.rate or 0.0 for site in model.manifest.sites]
    return Draw(*masks.keys_of(2, np.full(len(rows), 4), rows), np.array([*rates, 0], np.float32))


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind == "bert" else pytest.mark.full) for kind in PLACES],
)
def test_every_dropout_of_the_model(kind: str, tmp_path: Path) -> None:
    rates = {"classifier_dropout": 0.3, "attention_probs_dropout_prob": 0.2, "hidden_dropout_prob": 0.1}
    if kind == "distilbert":
        rates = {"seq_classif_dropout": 0.3, "attention_dropout": 0.2, "dropout": 0.1}
    if kind == "albert":
        rates["classifier_dropout_prob"] = rates.pop("classifier_dropout")
    tiny = write_tiny_hf(tmp_path / "hf", kind, **rates)
    model = served(tiny, tmp_path / "prepared")
    manifest = model.manifest
    head = 2 if kind in ("roberta", "electra") else 1
    assert len(manifest.sites) == 1 + 2 * len(PLACES[kind]) + head
    assert len({site.path for site in manifest.sites}) == len(manifest.sites)
    assert all(site.sampled and not site.shared for site in manifest.sites)
    assert not manifest.unsampled

    inputs = model.tokenize(Rows({"text": np.array(TEXTS, dtype=object)}))
    named = {token.role: inputs[token.name] for token in manifest.inputs}
    ids, mask = named["ids"], named["mask"]
    types = named.get("types", np.zeros_like(ids))
    draw = drawn(model, np.arange(len(TEXTS)))
    oracle = Dropping(tiny.oracle, manifest.sites, draw)
    expected = oracle.predicted(ids, mask, types)
    assert oracle.acted == len(manifest.sites)
    found = sampled(model, inputs, draw)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    clean = model.head(model.encode(inputs), inputs)[manifest.head.output]
    assert np.abs(found - clean).max() > 1e-2

    for row, length in enumerate(model.lengths(inputs)):  # alone, without its padding
        alone = sampled(model, model.batch(inputs, [row], int(length)), drawn(model, np.array([row])))
        np.testing.assert_allclose(alone[0], found[row], rtol=1e-5, atol=1e-5)
