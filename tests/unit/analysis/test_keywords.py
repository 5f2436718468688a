"""Keywords: class-based TF-IDF by hand, and what is no keyword."""

from __future__ import annotations

import math

import numpy as np
import pytest
from penult_service.analysis.clusters import keywords as module
from penult_service.analysis.clusters.keywords import Keywords, keywords


def found(texts: list[str], labels: list[int], most: int = 10) -> Keywords:
    """Keywords of texts in clusters."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    joined = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return keywords(joined, ends, np.array(labels, dtype=np.int32), max(labels, default=-1) + 1, most)


def test_words_of_every_sentence_are_no_keywords() -> None:
    """Twice as frequent in one cluster, they would be in front by the share of its words that they are."""
    first = ["and it is the card, and it is lost", "the card is lost and it is late"] * 20
    second = ["it is the rate of today", "a rate of exchange and the fee", "the rate and what it is"] * 20
    words = [word for word, _ in found(first + second, [0] * 40 + [1] * 60)[0]]
    assert words[:2] == ["card", "lost"]
    assert not {"is", "and", "the", "it"} & set(words)


def test_weights_are_those_of_class_based_tf_idf() -> None:
    texts = ["Lost card, lost card!", "the card arrived", "exchange rate", "the exchange rate rate"]
    first, second = found(texts, [0, 0, 1, 1])
    # Terms of cluster 0: lost 2, card 3, the, arrived; pairs lost card 2, card lost, the card, card arrived: 12.
    # Of cluster 1: exchange 2, rate 3, the; exchange rate 2, the exchange, rate rate: 10.
    mean = (12 + 10) / 2
    expected = {
        "card": math.sqrt(3 / 12) * math.log(1 + mean / 3),
        "lost": math.sqrt(2 / 12) * math.log(1 + mean / 2),
        "lost card": math.sqrt(2 / 12) * math.log(1 + mean / 2),
        "arrived": math.sqrt(1 / 12) * math.log(1 + mean),
    }
    assert dict(first) == pytest.approx(expected)
    assert [word for word, _ in first] == ["card", "lost", "lost card", "arrived"]
    weights = {
        "rate": math.sqrt(3 / 10) * math.log(1 + mean / 3),
        "exchange": math.sqrt(2 / 10) * math.log(1 + mean / 2),
    }
    assert {word: weight for word, weight in second if word in weights} == pytest.approx(weights)
    assert found(texts, [0, 0, 1, 1], most=1) == ((first[0],), (second[0],))


def test_words_of_all_clusters_tell_none_apart() -> None:
    topics = ["card", "pin", "rate", "fee", "refund", "phone"]
    texts = [f"where is the {topic} please {i}" for topic in topics for i in range(4)]
    told = found(texts, np.repeat(np.arange(6), 4).tolist())
    assert [[word for word, _ in cluster] for cluster in told] == [[topic] for topic in topics]


def test_a_word_that_most_clusters_have_has_to_be_much_more_frequent() -> None:
    texts = [f"card {word}" for word in ("aa", "bb", "cc", "dd", "ee")]
    texts += ["card card card card card card card lost"]
    told = found(texts, [0, 1, 2, 3, 4, 5])
    assert all("card" not in dict(cluster) for cluster in told[:5])
    assert "lost" in dict(told[5])
    assert "card lost" not in dict(told[5])


def test_noise_is_a_document_and_has_no_keywords() -> None:
    together = found(["apple pie", "plum jam"], [0, 1])
    beside = found(["apple pie", "plum jam", "apple apple tree"], [0, 1, -1])
    assert len(beside) == 2
    assert {word for word, _ in together[0]} == {"apple", "pie"}
    assert {word for word, _ in beside[0]} == {"pie"}


def test_what_is_a_word() -> None:
    texts = ["Don't a I 12 2024 x2 naïve ÜBER don’t", "機械学習 機械", "under_score " + "a" * 41]
    first, second, third = found(texts, [0, 1, 2])
    assert {word for word, _ in first} == {"don't", "x2", "naïve", "über", "don’t"}
    assert {word for word, _ in second} == {"機械", "械学", "学習"}
    assert {word for word, _ in third} == {"under", "score"}


def test_numbers_and_signs_between_words_keep_them_from_being_a_pair() -> None:
    told = found(["top 5 up, top 5 up", "other words"], [0, 1])
    assert {word for word, _ in told[0]} == {"top", "up"}
    assert "top up" in dict(found(["top up, top up", "other words"], [0, 1])[0])


def test_edges() -> None:
    assert found([], []) == ()
    assert found(["", ""], [0, 1]) == ((), ())
    assert found(["12", "?"], [-1, -1]) == ()
    alone = found(["one two one two"], [0])[0]
    assert {word for word, _ in alone} == {"one", "two", "one two"}  # "two one" is there once
    broken = np.frombuffer(b"caf\xe9 noir", dtype=np.uint8)
    assert "noir" in dict(keywords(broken, np.array([9]), np.zeros(1, np.int32), 1, 5)[0])


def test_of_many_bytes_texts_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["even words" if number % 2 == 0 else "odd ones" for number in range(40)]
    monkeypatch.setattr(module, "_MOST_BYTES", sum(map(len, texts)) // 2 + 1)
    assert {word for word, _ in found(texts, [0] * 40)[0]} == {"even", "words", "even words"}
