"""What a precision changes, against scikit-learn and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from penult_service.embedder.passes import EncodePass, class_probabilities
from penult_service.engines import pricing
from penult_service.engines.examples import of_texts
from penult_service.engines.pricing import Read, price, refusal
from penult_service.prepared import Head
from penult_service.tuned import BFLOAT16, FLOAT32, Price
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.neighbors import NearestNeighbors
from support.fakes import fake_model

RANDOM = np.random.default_rng(3)
SOFTMAX = Head("softmax", "output", 3)
WANTED = RANDOM.standard_normal((200, 16)).astype(np.float32)
FOUND = (WANTED + 0.2 * RANDOM.standard_normal(WANTED.shape)).astype(np.float32)


def test_cosines_and_differences() -> None:
    found = price(Read(WANTED), Read(FOUND), SOFTMAX)
    cosines = 1 - paired_cosine_distances(WANTED.astype(float), FOUND.astype(float))
    assert found.texts == 200
    assert found.lowest_cosine == pytest.approx(cosines.min(), abs=1e-9)
    assert found.mean_cosine == pytest.approx(cosines.mean(), abs=1e-9)
    assert found.largest_difference == pytest.approx(float(np.abs(WANTED - FOUND).max()), abs=1e-6)
    assert found.flipped is None


def test_neighbours_that_stay() -> None:
    found = price(Read(WANTED), Read(FOUND), SOFTMAX)
    near = [
        NearestNeighbors(n_neighbors=11, metric="cosine").fit(x).kneighbors(x, return_distance=False)
        for x in (WANTED.astype(float), FOUND.astype(float))
    ]
    kept = [len((set(a) - {i}) & (set(b) - {i})) / 10 for i, (a, b) in enumerate(zip(*near, strict=True))]
    assert found.neighbors_kept == pytest.approx(np.mean(kept), abs=1e-9)
    few = price(Read(WANTED[:19]), Read(FOUND[:19]), SOFTMAX)
    assert few.neighbors_kept is None


def test_of_many_texts_some_are_asked_for_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = price(Read(WANTED), Read(FOUND), SOFTMAX).neighbors_kept
    monkeypatch.setattr(pricing, "_BLOCK", 7)
    assert price(Read(WANTED), Read(FOUND), SOFTMAX).neighbors_kept == exact
    monkeypatch.setattr(pricing, "_ASKED", 100)
    some = price(Read(WANTED), Read(FOUND), SOFTMAX).neighbors_kept
    assert some != exact
    assert some == pytest.approx(exact, abs=0.05)


def test_the_same_costs_nothing_zeros_too() -> None:
    zeros = np.zeros((3, 4), np.float32)
    same = price(Read(zeros), Read(zeros.copy()), SOFTMAX)
    assert (same.lowest_cosine, same.largest_difference) == (1.0, 0.0)
    assert refusal(FLOAT32, same) == ""


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    broken = FOUND.copy()
    broken[7, 3] = bad
    found = price(Read(WANTED), Read(broken), SOFTMAX)
    assert found.lowest_cosine == -1.0
    assert refusal(FLOAT32, found)
    assert "lowest cosine" in refusal(BFLOAT16, found)


def test_rows_that_are_not_finite_for_either_are_left_out() -> None:
    both, one = WANTED.copy(), FOUND.copy()
    both[5] = one[5] = np.nan
    outputs = np.eye(3, dtype=np.float32)[[0] * len(both)]
    others = outputs.copy()
    others[5] = (0, 1, 0)
    found = price(Read(both, outputs), Read(one, others), SOFTMAX)
    rest = np.arange(len(both)) != 5
    assert found == price(Read(WANTED[rest], outputs[rest]), Read(FOUND[rest], outputs[rest]), SOFTMAX)
    assert (found.texts, found.flipped) == (199, 0.0)
    healed = price(Read(both), Read(FOUND), SOFTMAX)
    assert healed.lowest_cosine == -1.0, "another engine must not make numbers where there are none"
    none = np.full((4, 3), np.nan, np.float32)
    assert price(Read(none), Read(none), SOFTMAX).texts == 0


@pytest.mark.parametrize(
    ("head", "before", "after", "flipped"),
    [
        (SOFTMAX, [[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]], [[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], 0.5),
        (
            Head("softmax", "o", 2, activation="softmax"),
            [[-1.0, 1.0], [3.0, 2.0]],
            [[1.0, -1.0], [2.0, 3.0]],
            1.0,
        ),
        (Head("sigmoid", "o", 2), [[0.49], [0.51]], [[0.51], [0.52]], 0.5),
        (Head("sigmoid", "o", 2, activation="sigmoid"), [[0.3], [-0.3]], [[0.6], [-0.1]], 0.0),
        (Head("multilabel", "o", 2), [[0.9, 0.1], [0.9, 0.9]], [[0.9, 0.6], [0.8, 0.9]], 0.5),
        (Head("regression", "o", 1), [[0.9], [0.1]], [[0.1], [0.9]], None),
        (Head("other", "o", 1), [[0.9], [0.1]], [[0.1], [0.9]], None),
    ],
)
def test_predictions_that_change(head: Head, before: list, after: list, flipped: float | None) -> None:
    a, b = (np.array(x, np.float32) for x in (before, after))
    found = price(Read(WANTED[:2], a), Read(WANTED[:2], b), head)
    assert found.flipped == flipped
    if flipped is not None and head.kind != "multilabel":  # as the probabilities of `classify` have it
        classes = [class_probabilities(head, x).argmax(axis=1) for x in (a, b)]
        assert found.flipped == (classes[0] != classes[1]).mean()


@pytest.mark.parametrize("pooling", ["pooled", "mean", "cls", "max"])
def test_an_engine_is_read_as_the_server_reads_it(pooling: str) -> None:
    model = fake_model()
    manifest = replace(model.manifest, pooling=pooling)
    texts = ["one", "two words", "", "a b c d e f g", "one"]
    examples = of_texts(manifest, model.tokenizer, texts)
    found = pricing.read(model.engine, manifest, examples)
    table = model.tokenizer.tokenize(texts)
    layer = "pooled_output" if pooling == "pooled" else "sequence_output"
    served = EncodePass(model.engine, manifest, layer, pooling, True)([(table, i) for i in range(5)])
    np.testing.assert_allclose(found.embeddings, np.stack([vector for vector, _ in served]), atol=1e-6)
    np.testing.assert_allclose(found.outputs, np.stack([p for _, p in served]), atol=1e-6)


def test_bounds() -> None:
    fine = Price(1000, 0.9991, 0.9999, 0.1, flipped=0.005, neighbors_kept=0.8)
    assert refusal(BFLOAT16, fine) == ""
    assert "0.99890" in refusal(BFLOAT16, replace(fine, lowest_cosine=0.9989))
    said = refusal(BFLOAT16, replace(fine, flipped=0.006))
    assert "0.60% of the predictions change" in said
    assert "1,000 texts" in said
    assert refusal(BFLOAT16, replace(fine, flipped=None)) == ""
    exact = Price(10, 0.9999995, 1.0, 5e-5)
    assert refusal(FLOAT32, exact) == ""
    assert "2e-04" in refusal(FLOAT32, replace(exact, largest_difference=2e-4)) or "0.0002" in refusal(
        FLOAT32, replace(exact, largest_difference=2e-4)
    )
    assert "cosine" in refusal(FLOAT32, replace(exact, lowest_cosine=0.9999))
