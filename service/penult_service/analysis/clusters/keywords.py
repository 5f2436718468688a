"""Words that tell each cluster from the others: class-based TF-IDF (Grootendorst 2022, section 3.3).

All texts of a cluster are one document. The weight of a term is the square root of its share of the document, which
holds back words that are in every sentence, times ln(1 + A / f): A is the mean number of terms of a document, f how
often the term is in all. There is no list of stop words, which would be one language's: a word has to be more frequent
in the cluster than in the others, and much more where it is common in their texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Keywords = tuple[tuple[tuple[str, float], ...], ...]

_TELLING, _TELLING_MUCH = 1.5, 3.0  # times as frequent in a cluster as in the others
_COMMON = 0.02  # share of the texts outside that have the word
_MOST_BYTES = 16 << 20  # of texts that are read; of more, rows drawn evenly
_LONGEST = 40  # characters of a word
# Scripts that are written without spaces are read in pairs of characters.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_{_UNSPACED}]+)*")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


def keywords(
    text_bytes: NDArray[np.uint8],
    text_ends: NDArray[np.int64],
    labels: NDArray[Any],
    clusters: int,
    most: int,
) -> Keywords:
    """Up to `most` terms of each cluster with their weights, the heaviest first, equal ones in alphabetical order.

    Args:
        text_bytes: The texts in UTF-8, one after the other.
        text_ends: Where each ends, [n].
        labels: The cluster of each text, [n], 0 to `clusters` - 1; -1: none. Those in none are one document more.
        clusters: How many there are.
        most: At least 1.

    Terms are words and pairs of neighbouring words, in lower case. A pair counts where both of its words are telling,
    neither is common outside, and it is there twice. Numbers are no words.
    """
    counted = _counted(_texts(text_bytes, text_ends), labels, clusters)
    singles, pairs = counted.singles, counted.pairs
    names = [*counted.words, *(" ".join(counted.words[word] for word in pair) for pair in counted.of_pair)]
    totals = np.bincount(singles.document, singles.times, clusters + 1) + np.bincount(
        pairs.document, pairs.times, clusters + 1
    )
    mean = float(totals.sum()) / max(1, int(np.count_nonzero(totals)))
    found = []
    for number in range(clusters):
        word, times_others, share = singles.of(number, totals)
        common = counted.common(number)
        telling = times_others >= np.where(common, _TELLING_MUCH, _TELLING)
        good = np.zeros(len(counted.words), dtype=np.bool_)
        good[word[telling & ~common]] = True
        pair, times_others, pair_share = pairs.of(number, totals)
        often = (times_others >= _TELLING) & good[counted.of_pair[pair]].all(axis=1)
        often &= pairs.frequency[pair] > 1
        term = np.concatenate([word[telling], pair[often] + len(counted.words)])
        frequency = np.concatenate([singles.frequency[word[telling]], pairs.frequency[pair[often]]])
        weight = np.sqrt(np.concatenate([share[telling], pair_share[often]])) * np.log1p(mean / frequency)
        best = sorted(zip((-weight).tolist(), (names[i] for i in term), strict=True))[:most]
        found.append(tuple((name, -negative) for negative, name in best))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Counts:
    """`times` a term is in a document, one entry for each that is there, by document; `frequency` of each in all."""

    document: Ints
    term: Ints
    times: Ints
    frequency: Ints

    def of(self, number: int, totals: NDArray[Any]) -> tuple[Ints, NDArray[np.float64], NDArray[np.float64]]:
        """The terms of a document, how many times as frequent each is there as in the others, and its share there."""
        own = self.entries(number)
        term, times = self.term[own], self.times[own]
        inside = times / max(totals[number], 1)
        outside = (self.frequency[term] - times) / max(totals.sum() - totals[number], 1)
        often = np.divide(inside, outside, out=np.full(len(term), np.inf), where=outside > 0)
        return term, often, inside

    def entries(self, number: int) -> slice:
        """Those of a document."""
        return slice(*np.searchsorted(self.document, [number, number + 1]))


@dataclass(frozen=True, eq=False)
class _Counted:
    words: list[str]
    singles: _Counts
    texts_with: Ints  # how many texts of the document have the word, of each entry of `singles`
    texts: Ints  # [documents]
    of_pair: Ints  # [pairs, 2], the words of each
    pairs: _Counts

    @cached_property
    def texts_with_any(self) -> NDArray[np.float64]:
        """How many texts have each word."""
        return np.asarray(np.bincount(self.singles.term, self.texts_with, len(self.words)), dtype=np.float64)

    def common(self, number: int) -> NDArray[np.bool_]:
        """Which words of a document are in many texts of the others, two at least."""
        own = self.singles.entries(number)
        outside = self.texts_with_any[self.singles.term[own]] - self.texts_with[own]
        return np.asarray(outside > max(1.0, _COMMON * (self.texts.sum() - self.texts[number])))


def _texts(text_bytes: NDArray[np.uint8], text_ends: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Numbers and texts, of many bytes those drawn evenly."""
    step = max(1, -(-len(text_bytes) // _MOST_BYTES))
    for number in range(0, len(text_ends), step):
        start = int(text_ends[number - 1]) if number else 0
        yield number, text_bytes[start : int(text_ends[number])].tobytes().decode("utf-8", errors="replace")


def _counted(texts: Iterator[tuple[int, str]], labels: NDArray[Any], clusters: int) -> _Counted:
    known: dict[str, int] = {}
    codes: list[int] = []
    documents: list[int] = []
    lengths: list[int] = []
    for number, text in texts:
        before = len(codes)
        # A place that is no word keeps its neighbours from being a pair.
        codes += [known.setdefault(word, len(known)) if word else -1 for word in _words(text)]
        lengths.append(len(codes) - before)
        documents.append(int(labels[number]) if labels[number] >= 0 else clusters)
    word = np.array(codes, dtype=np.int64)
    of_line = np.array(documents, dtype=np.int64)
    document = np.repeat(of_line, lengths)
    line = np.repeat(np.arange(len(lengths)), lengths)
    singles = _count(document[word >= 0], word[word >= 0], len(known))
    once = np.unique(line[word >= 0] * max(1, len(known)) + word[word >= 0])
    of_text, held = np.divmod(once, max(1, len(known)))
    texts_with = _count(of_line[of_text], held, len(known)).times
    beside = (line[1:] == line[:-1]) & (word[1:] >= 0) & (word[:-1] >= 0)
    both = word[:-1][beside] * len(known) + word[1:][beside]
    named, pair = np.unique(both, return_inverse=True)
    of_pair = np.stack(np.divmod(named, max(1, len(known))), axis=1)
    pairs = _count(document[:-1][beside], pair, len(named))
    return _Counted(
        list(known), singles, texts_with, np.bincount(of_line, minlength=clusters + 1), of_pair, pairs
    )


def _words(text: str) -> Iterator[str]:
    """Words in lower case; an empty one where something is that is none."""
    for found in _WORD.findall(text.lower()):
        if _IS_UNSPACED.match(found):
            yield ""
            for at in range(max(1, len(found) - 1)):
                yield found[at : at + 2]
                yield ""
        elif len(found) < 2 or len(found) > _LONGEST or found.isdecimal():
            yield ""
        else:
            yield found


def _count(document: Ints, term: Ints, terms: int) -> _Counts:
    keys, times = np.unique(document * max(1, terms) + term, return_counts=True)
    documents, kept = np.divmod(keys, max(1, terms))
    return _Counts(documents, kept, times, np.bincount(term, minlength=terms))
