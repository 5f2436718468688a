"""The answer on dropout in words: it says what the figures say, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult.v1 import model_service_pb2 as models
from penult_service.rpc.analysis.dropout_words import answer

HEAD, ALL = common_pb2.DROPOUT_SCOPE_HEAD, common_pb2.DROPOUT_SCOPE_ALL
SAME = "Take the embeddings before the dropout; in inference after it is the same tensor, bit for bit."


def effect(scope: Any = HEAD, changed: float = 9.4, flipped: int | None = 0, share: float = 0.0, **how: Any):
    """An effect; `agreed` is the index of the clusters, `turned` the least cosine."""
    agreed, turned = how.get("agreed", 1.0), how.get("turned", 0.9)
    return pb.DropoutEffect(
        scope=scope,
        active=[
            common_pb2.ActiveDropout(path=path, rate=rate) for path, rate in how.get("active", [("d", 0.1)])
        ],
        neighbors_changed=changed,
        cosine_to_clean=pb.Distribution(mean=(1 + turned) / 2, min=turned, max=1.0),
        cluster_agreement=pb.Distribution(mean=agreed),
        rows_flipped=flipped,
        predictions_flipped=None if flipped is None else share,
    )


def said(
    *effects: pb.DropoutEffect, value: float | None = 0.0, limit: float = 0.0, proven: bool = True, **how: Any
) -> str:
    """The answer; `alone` is the index of clusters by another seed."""
    figures = [models.ProofFigure(name="embedding_vs_before_dropout", value=1e-7, limit=1e-5)]
    if value is not None:
        figures.append(models.ProofFigure(name="before_vs_after_dropout", value=value, limit=limit))
    return answer(
        pb.CompareDropoutResponse(
            inference=figures,
            effects=effects,
            rows=how.get("rows", 200),
            passes=how.get("passes", 30),
            neighbors=how.get("neighbors", 15),
            n_clusters=how.get("clusters", 4),
            cluster_agreement_reseeded=pb.Distribution(
                mean=how.get("alone", 0.8), std=how.get("spread", 0.0)
            ),
            provenance=common_pb2.Provenance(dropout_proven_inactive=proven),
            adjustments=how.get("adjustments", ()),
        )
    )


def test_the_answer_to_the_question() -> None:
    assert said(effect()) == (
        f"{SAME} With dropout active in front of the head (rate 0.1), on average 9 of the 15 nearest neighbours of a"
        " text would change, and no predicted class would. The 4 clusters of k-means would stay the same (adjusted Rand"
        " index 1)."
    )


@pytest.mark.parametrize(
    ("figures", "first"),
    [
        ({}, SAME),
        (
            {"value": 3e-7, "limit": 1e-5},
            "Take the embeddings before the dropout; in inference after it is the same tensor up to 3e-07.",
        ),
        (
            {"value": 0.25},
            "Take the embeddings before the dropout: after it the numbers differ by up to 0.2, although the model "
            "predicts.",
        ),
        (
            {"value": None},
            "Take the embeddings before the dropout; in inference it is proven to play no part.",
        ),
        (
            {"proven": False},
            "Take the embeddings before the dropout: it is not proven that this model leaves its dropout out when it "
            "predicts.",
        ),
    ],
)
def test_before_or_after(figures: dict[str, Any], first: str) -> None:
    text = said(effect(), **figures)
    assert text.startswith(f"{first} With dropout active")
    assert ("same tensor" in text) == ("same tensor" in first)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (0.0, "none of the 15 nearest neighbours of a text would change"),
        (0.04, "fewer than one of the 15 nearest neighbours of a text (0.04 on average) would change"),
        (1.2, "on average 1 of the 15 nearest neighbours of a text would change"),
        (14.7, "nearly all of the 15 nearest neighbours of a text would change"),
        (15.0, "all of the 15 nearest neighbours of a text would change"),
    ],
)
def test_neighbours(changed: float, words: str) -> None:
    assert f"(rate 0.1), {words}, and no predicted class would." in said(effect(changed=changed))


def test_neighbours_of_few_texts() -> None:
    assert "on average 1 of the 2 nearest neighbours" in said(effect(changed=0.9), neighbors=2, rows=4)
    # Where every other text is a neighbour none can change, whatever dropout does.
    text = said(effect(changed=0.0), neighbors=2, rows=3)
    few = "3 texts are too few to say whether neighbours would change"
    assert f"in front of the head (rate 0.1), no predicted class would change; {few}. The 4" in text
    text = said(effect(changed=0.0, flipped=2, share=0.5), neighbors=2, rows=3)
    assert "2 of 3 texts would change in at least one of 30 passes (50 % of all predictions); 3 texts" in text
    text = said(effect(changed=0.0, flipped=None), neighbors=2, rows=3)
    assert f"in front of the head (rate 0.1): {few}. The 4" in text


@pytest.mark.parametrize(
    ("flipped", "share", "passes", "words"),
    [
        (
            1,
            0.0002,
            30,
            "the predicted class of 1 of 200 texts would in at least one of 30 passes (0.02 % of all",
        ),
        (
            60,
            0.123,
            30,
            "the predicted class of 60 of 200 texts would in at least one of 30 passes (12 % of all",
        ),
        (3, 0.015, 1, "the predicted class of 3 of 200 texts would (1.5 % of all predictions)."),
        (200, 0.9997, 30, "texts would in at least one of 30 passes (99.97 % of all predictions)"),
    ],
)
def test_classes(flipped: int, share: float, passes: int, words: str) -> None:
    text = said(effect(flipped=flipped, share=share), passes=passes)
    assert words in text
    assert "no predicted class" not in text


def test_of_no_classifier_nothing_is_said_of_classes() -> None:
    text = said(effect(flipped=None))
    assert "on average 9 of the 15 nearest neighbours of a text would change. The 4" in text
    assert "class" not in text


def test_a_dropout_behind_the_embedding_changes_none() -> None:
    text = said(effect(changed=0, turned=1.0, flipped=2, share=0.01))
    assert text == (
        f"{SAME} With dropout active in front of the head (rate 0.1), the embeddings would stay as they are, and the"
        " predicted class of 2 of 200 texts would change in at least one of 30 passes (1 % of all predictions)."
    )
    assert said(effect(changed=0, turned=1.0)).endswith(
        "the embeddings would stay as they are, and no predicted class would change."
    )
    assert said(effect(changed=0, turned=1.0, flipped=None)).endswith(
        "the embeddings would stay as they are."
    )


def test_scopes_and_rates() -> None:
    both = said(effect(), effect(ALL, 12.0, active=[("a", 0.1), ("b", 0.3)], agreed=0.7))
    assert "in front of the head (rate 0.1), on average 9 of" in both
    assert "everywhere, inside the encoder too (rates 0.1 to 0.3), on average 12 of" in both
    named = said(effect(0, active=[("enc/a", 0.1), ("enc/b", 0.1)]))
    assert "With dropout active in 'enc/a' and 'enc/b' (rate 0.1)," in named
    assert "in the 3 that were named (rate 0.5)" in said(effect(0, active=[(c, 0.5) for c in "abc"]))


@pytest.mark.parametrize(
    ("agreed", "alone", "words"),
    [
        (1.0, 0.5, "would stay the same (adjusted Rand index 1)."),
        (0.9997, 0.5, "would hardly change (adjusted Rand index 0.9997)."),
        (0.9, 0.8, "would change less than another seed alone changes them"),
        (0.79, 0.8, "would change as much as another seed alone changes them"),
        (0.6, 0.8, "would change more than another seed alone changes them"),
    ],
)
def test_clusters_beside_another_seed(agreed: float, alone: float, words: str) -> None:
    text = said(effect(agreed=agreed), alone=alone, clusters=20)
    assert f"The 20 clusters of k-means {words}" in text
    if agreed < 0.99:
        assert text.endswith(
            f"(adjusted Rand index {agreed:.2f}; another seed of k-means alone {alone:.2f})."
        )


def test_one_pass_is_not_held_against_a_spread() -> None:
    text = said(effect(agreed=0.6), alone=0.8, passes=1)
    assert "an adjusted Rand index of 0.60, those of another seed alone by 0.80; more passes" in text
    assert "In one pass the 4 clusters of k-means agree" in text
    assert "would change more" not in text
    both = said(effect(agreed=0.6), effect(ALL, agreed=0.9), alone=0.8, passes=1)
    assert "In one pass with dropout active in front of the head the 4 clusters" in both


def test_an_index_of_nothing_has_no_sign() -> None:
    assert "(adjusted Rand index 0.00; another seed" in said(effect(agreed=-0.001), alone=0.8)


def test_everywhere_is_not_said_where_some_stay_as_they_are() -> None:
    told = [pb.Adjustment(parameter="dropout.sites", asked="all", used="2 of 3", why="not known")]
    everywhere = effect(ALL, active=[("a", 0.1), ("b", 0.3)], agreed=0.5)
    text = said(everywhere, effect(agreed=0.9), adjustments=told)
    assert "With dropout active in 2 places, inside the encoder too (rates 0.1 to 0.3), on" in text
    assert "With dropout active in 2 places, inside the encoder too, the 4 clusters" in text
    told[0].asked = "head"
    assert "everywhere, inside the encoder too" in said(everywhere, adjustments=told)


def test_clusters_of_the_scope_that_changes_them_most() -> None:
    both = said(effect(agreed=0.79), effect(ALL, agreed=0.6), alone=0.8)
    assert (
        "With dropout active everywhere, inside the encoder too, the 4 clusters of k-means would change more"
        in both
    )
    assert "(adjusted Rand index 0.60; another" in both


def test_within_the_spread_of_other_seeds_clusters_change_as_much() -> None:
    assert "would change as much as another seed alone" in said(effect(agreed=0.75), alone=0.8, spread=0.06)
    assert "would change more than another seed alone" in said(effect(agreed=0.75), alone=0.8, spread=0.04)


def test_one_cluster_is_nothing_to_speak_of() -> None:
    assert "cluster" not in said(effect(), clusters=1)


def test_it_has_two_to_four_sentences() -> None:
    for text in (said(effect()), said(effect(), effect(ALL)), said(effect(), clusters=1)):
        assert 2 <= text.count(". ") + 1 <= 4
