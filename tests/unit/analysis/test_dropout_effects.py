"""What dropout does to rows, against NumPy, SciPy and scikit-learn."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis import dropout
from penult_service.analysis.calls import Cluster, CompareDropout, Project
from penult_service.analysis.checks import check
from penult_service.analysis.clusters.clustering import cluster
from penult_service.analysis.dropout import compare, distribution
from penult_service.analysis.maps.projection import project
from penult_service.analysis.progress import telling
from penult_service.analysis.results import CompareDropoutResult
from penult_service.errors import InvalidInput
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score
from support.pools import in_order, some_rows

PASSES, RATE = 5, 0.25
LABELS = np.arange(120) % 4
CLEAN = (some_rows(120, 24) + 1.5 * some_rows(4, 24)[LABELS]).astype(np.float32)


def dropped(rows: NDArray[np.float32], rate: float, passes: int = PASSES) -> NDArray[np.float32]:
    """Draws float32 [n, passes, d] of plain dropout."""
    kept = np.random.default_rng(3).random((len(rows), passes, rows.shape[1])) >= rate
    return np.where(kept, rows[:, None] / np.float32(1 - rate), np.float32(0))


def given(clean: NDArray[np.float32] = CLEAN, rate: float = RATE, passes: int = PASSES) -> dict[str, Any]:
    """The arrays of a call with the scope head; the class is the sign of the first number."""
    draws = dropped(clean, rate, passes)
    return {
        "source": clean,
        "draws_head": draws,
        "predicted": (clean[:, 0] > 0).astype(np.int32),
        "predicted_head": (draws[:, :, 0] > 0).astype(np.int32),
    }


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


def nearest(rows: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    similar = cosines(rows[:, None], rows[None])
    np.fill_diagonal(similar, -np.inf)
    return np.argsort(-similar, axis=1, kind="stable")[:, :k]


def test_cosines_and_what_the_theory_says_of_them() -> None:
    wide = some_rows(200, 512)
    (effect,) = compare(CompareDropout(map=False), given(wide, passes=8)).effects
    draws = dropped(wide, RATE, 8)
    clean = cosines(draws, wide[:, None])
    between = cosines(draws[:, 1:], draws[:, :-1])
    for told, values in ((effect.cosine_to_clean, clean), (effect.cosine_between_draws, between)):
        assert told is not None
        expected = (values.mean(), values.std(), values.min(), values.max())
        np.testing.assert_allclose((told.mean, told.std, told.min, told.max), expected, atol=1e-11)
        assert sum(told.counts) == values.size
        np.testing.assert_array_equal(told.counts, np.histogram(values.round(12), 40)[0])
    assert effect.cosine_to_clean.mean == pytest.approx(np.sqrt(1 - RATE), abs=1e-3)
    assert effect.cosine_between_draws.mean == pytest.approx(1 - RATE, abs=2e-3)


def test_neighbours_pairs_classes_and_clusters() -> None:
    arrays = given()
    made = compare(CompareDropout(n_clusters=4, seed=9, map=False), arrays)
    (effect,) = made.effects
    draws = [arrays["draws_head"][:, i] for i in range(PASSES)]

    clean = nearest(CLEAN, 15)
    found = [nearest(rows, 15) for rows in draws]
    changed = np.array(
        [[15 - len(set(a) & set(b)) for a, b in zip(clean, each, strict=True)] for each in found]
    )
    assert made.neighbors == 15
    assert 1 < effect.neighbors_changed < 14
    assert effect.neighbors_changed == pytest.approx(changed.mean())
    np.testing.assert_allclose(made.row_neighbors_changed, [changed.mean(axis=0)], rtol=1e-6)
    assert effect.nearest_kept == pytest.approx(np.mean([each[:, 0] == clean[:, 0] for each in found]))

    above = np.triu_indices(len(CLEAN), 1)
    ranked = [
        spearmanr(cosines(CLEAN[:, None], CLEAN[None])[above], cosines(rows[:, None], rows[None])[above])[0]
        for rows in draws
    ]
    assert effect.pair_rank_correlation == pytest.approx(np.mean(ranked), abs=1e-9)

    flips = arrays["predicted_head"] != arrays["predicted"][:, None]
    assert 0 < flips.mean() < 1
    assert effect.predictions_flipped == pytest.approx(flips.mean())
    assert effect.rows_flipped == flips.any(axis=1).sum()
    np.testing.assert_allclose(made.row_flipped, [flips.mean(axis=1)], rtol=1e-6)

    def labels(rows: NDArray[np.float32], seed: int = 9) -> NDArray[np.int32]:
        return cluster(Cluster("kmeans", 4, seed=seed), np.ascontiguousarray(rows)).labels

    first = labels(CLEAN)
    agreed = [adjusted_rand_score(first, labels(rows)) for rows in draws]
    assert effect.cluster_agreement == distribution(np.array(agreed))
    others = [adjusted_rand_score(first, labels(CLEAN, seed)) for seed in range(10, 10 + PASSES)]
    assert made.cluster_agreement_reseeded == distribution(np.array(others))
    assert (made.n_clusters, made.adjustments) == (4, ())


def test_scopes_stand_beside_each_other_on_one_map() -> None:
    arrays = given()
    more = dropped(CLEAN, 0.6, 3)
    arrays |= {"draws_all": more, "predicted_all": np.zeros((120, 3), np.int32)}
    told = []
    call = CompareDropout(("head", "all"), n_clusters=4)
    with telling(told.append):
        made = compare(call, arrays)
    assert in_order(told) == ["neighbours", "clusters", "map", "layout"]
    assert [effect.scope for effect in made.effects] == ["head", "all"]
    assert made.effects[0].neighbors_changed < made.effects[1].neighbors_changed
    assert made.row_neighbors_changed.shape == made.row_flipped.shape == (2, 120)
    together = np.concatenate([CLEAN, arrays["draws_head"][:, 0], more[:, 0]])
    np.testing.assert_array_equal(made.coordinates.reshape(-1, 2), project(Project(), together).coordinates)
    alone = compare(CompareDropout(n_clusters=4, map=False), given())
    assert alone.effects[0] == made.effects[0]
    again = compare(call, arrays)
    for field in fields(made):
        one, other = getattr(made, field.name), getattr(again, field.name)
        assert one.tobytes() == other.tobytes() if isinstance(one, np.ndarray) else one == other


def three(clean: NDArray[np.float32], draws: NDArray[np.float32], **how: Any) -> CompareDropoutResult:
    return compare(CompareDropout(**how), {"source": clean, "draws_head": draws})


def test_without_any_change() -> None:
    rows = some_rows(40, 8)
    arrays = given(rows) | {"draws_head": np.repeat(rows[:, None], 2, axis=1)}
    arrays["predicted_head"] = np.repeat(arrays["predicted"][:, None], 2, axis=1)
    (effect,) = compare(CompareDropout(n_clusters=3), arrays).effects
    for told in (effect.cosine_to_clean, effect.cosine_between_draws, effect.cluster_agreement):
        assert (told.mean, told.std, told.min, told.max, told.counts) == (1.0, 0.0, 1.0, 1.0, ())
    assert (effect.neighbors_changed, effect.nearest_kept, effect.pair_rank_correlation) == (0.0, 1.0, 1.0)
    assert (effect.predictions_flipped, effect.rows_flipped) == (0.0, 0)


def test_three_rows_one_pass_no_classes() -> None:
    rows = some_rows(3, 8)
    made = three(rows, dropped(rows, 0.5, 1), n_clusters=8)
    (effect,) = made.effects
    assert (made.neighbors, made.n_clusters) == (2, 3)
    assert (effect.neighbors_changed, effect.cosine_between_draws) == (0.0, None)
    assert (effect.predictions_flipped, effect.rows_flipped) == (None, None)
    assert made.row_flipped.shape == (0, 3)
    assert made.coordinates.shape == (2, 3, 2)
    assert np.isfinite(made.coordinates).all()
    assert [a.parameter for a in made.adjustments] == ["n_clusters"]
    assert (made.adjustments[0].asked, made.adjustments[0].used) == ("8", "3")


def test_equal_rows_have_no_order_of_pairs() -> None:
    rows = np.repeat(some_rows(1, 8), 20, axis=0)
    made = three(rows, dropped(rows, 0.3, 2), n_clusters=4)
    (effect,) = made.effects
    assert effect.pair_rank_correlation is None
    assert made.n_clusters == 1
    assert effect.cosine_to_clean.min < effect.cosine_to_clean.max


def test_what_differs_by_rounding_alone_is_one_number() -> None:
    """NumPy makes no bins between two numbers that are next to each other."""
    for values in ([1.0, np.nextafter(1.0, 0.0)], [0.5, 0.5 + 1e-15], [0.0, 1e-300]):
        found = distribution(np.array(values))
        assert (found.counts, found.min) == ((), found.max)
        assert found.mean == pytest.approx(values[0])
    assert sum(distribution(np.array([1.0, 1.0 - 1e-12])).counts) == 2


def test_zero_rows_have_a_cosine_of_zero() -> None:
    rows = some_rows(30, 8)
    rows[[4, 7]] = 0
    draws = dropped(rows, 0.2, 2)
    draws[9, 0] = 0
    made = three(rows, draws, n_clusters=2)
    (effect,) = made.effects
    assert effect.cosine_to_clean.counts[0] == 5
    assert effect.cosine_to_clean.min == 0.0
    assert np.isfinite(made.coordinates).all()
    nothing = three(np.zeros((5, 4), np.float32), np.zeros((5, 2, 4), np.float32))
    assert nothing.effects[0].neighbors_changed == 0.0
    assert nothing.effects[0].pair_rank_correlation is None


def test_of_many_rows_the_pairs_of_some_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "PAIR_ROWS", 30)
    made = compare(CompareDropout(n_clusters=4, map=False), given())
    (adjusted,) = made.adjustments
    assert (adjusted.parameter, adjusted.asked, adjusted.used) == (
        "pair_rank_correlation", "7140 pairs", "435 pairs",
    )  # fmt: skip
    chosen = np.arange(30) * 4
    above = np.triu_indices(30, 1)
    draws = dropped(CLEAN, RATE)[chosen]
    ranked = [
        spearmanr(
            cosines(CLEAN[chosen][:, None], CLEAN[chosen][None])[above],
            cosines(draws[:, None, i], draws[None, :, i])[above],
        )[0]
        for i in range(PASSES)
    ]
    assert made.effects[0].pair_rank_correlation == pytest.approx(np.mean(ranked), abs=1e-9)


@pytest.mark.parametrize(
    ("shapes", "how", "reason", "field"),
    [
        ({"source": (2, 4), "draws_head": (2, 3, 4)}, {}, "TOO_FEW_ROWS", "input"),
        ({"source": (5_001, 4), "draws_head": (5_001, 3, 4)}, {}, "TOO_MANY_ROWS", "input"),
        ({"draws_head": (9, 1_001, 4)}, {}, "OUT_OF_RANGE", "dropout.samples"),
        ({}, {"seed": -1}, "OUT_OF_RANGE", "dropout.seed"),
        ({}, {"seed": 1 << 32}, "OUT_OF_RANGE", "dropout.seed"),
        ({}, {"n_clusters": 0}, "OUT_OF_RANGE", "n_clusters"),
        ({"labels": (8,)}, {}, "LABELS_MISMATCH", "row_labels"),
    ],
)
def test_what_cannot_be_compared(
    shapes: dict[str, Any], how: dict[str, Any], reason: str, field: str
) -> None:
    good = {"source": (9, 4), "draws_head": (9, 3, 4), "labels": (9,)}
    check(CompareDropout(), good)
    with pytest.raises(InvalidInput) as caught:
        check(CompareDropout(**how), good | shapes)
    assert (caught.value.reason, caught.value.field) == (reason, field)
