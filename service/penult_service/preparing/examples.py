"""What the experiments feed a model with: rows of its own inputs, by name, that can be taken apart and put together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.prepared import CALLER, GRAPH, LIBRARY, TEXT, Field, TokenInput
from penult_service.preparing import scales
from penult_service.preparing.graph import Ref
from penult_service.preparing.opened import Input, Opened
from penult_service.tokenizing.library import LibraryTokenizer

_LENGTH = 24  # tokens of a made-up row, where the input has no length of its own
_ANY = 3  # numbers along an axis of no declared length
_SEED = 7


@dataclass(frozen=True)
class Rows:
    """Rows of a model's inputs: input -> array [n, ...]; of texts, where a tokenizer beside the graph reads them."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: Sequence[int]) -> Rows:
        """These rows, in this order."""
        return Rows({name: column[list(rows)] for name, column in self.columns.items()})


class Examples:
    """Feeds one model.

    Args:
        opened: The model.
        tokens: The inputs of its `encode`, when they are known.
        vocabulary: How many token ids there are, for rows that are made up.
    """

    def __init__(self, opened: Opened, tokens: Sequence[TokenInput] = (), vocabulary: int = 2) -> None:
        self._opened = opened
        self._inputs = opened.inputs
        self._texts = opened.texts
        self._tokens = tuple(tokens)
        self._vocabulary = max(vocabulary, 1)
        self.tokenizer: LibraryTokenizer | None = None
        if opened.tokenizer_text and tokens:
            made = [token for token in tokens if token.role != "value"]
            self.tokenizer = LibraryTokenizer(opened.tokenizer_text, made)

    @property
    def kind(self) -> str:
        """What makes the tokens, as the manifest says it."""
        return LIBRARY if self.tokenizer else GRAPH if self._texts else CALLER

    def rows(self, texts: Sequence[str]) -> Rows:
        """A row for each text: of several texts the next one each, numbers and tokens made up, the same every time."""
        if self.tokenizer is not None:
            return Rows({TEXT: np.array(texts, dtype=object), **self._values(len(texts))})
        columns: dict[str, NDArray[Any]] = self._values(len(texts))
        for number, one in enumerate(self._texts):
            columns[one.name] = _moved(np.array(texts, dtype=object), number)
        if not self._texts:
            columns |= self._made_up(texts)
        return Rows({one.name: columns[one.name] for one in self._inputs})

    def arguments(self, rows: Rows) -> list[tf.Tensor]:
        """The rows as the model's own function takes them, in the order of its inputs."""
        columns = dict(rows.columns)
        if self.tokenizer is not None:
            made = self.tokenizer.tokenize(list(columns.pop(TEXT))).inputs
            columns |= {token.field: made[token.name] for token in self._tokens if token.name in made}
        return [_tensor(columns[one.name], one) for one in self._inputs]

    def _values(self, count: int) -> dict[str, NDArray[Any]]:
        """Numbers of every input that is neither text nor token."""
        given = {token.field for token in self._tokens if token.role != "value"}
        generator = np.random.default_rng(_SEED)
        found = {}
        for one in self._inputs:
            if not one.is_text and (self._texts or one.name not in given):
                shape = (count, *(length or _ANY for length in one.shape[1:]))
                numbers = generator.normal(size=shape)
                floating = one.dtype.is_floating
                empty = np.zeros(shape, one.dtype.as_numpy_dtype)
                found[one.name] = scales.expected(self._opened, one, numbers) if floating else empty
        return found

    def _made_up(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Token rows, as long as the texts have words; ids anywhere in the vocabulary, the padding 0.

        Of several rows of ids each has its own ids, and in every second row another length. Numbers for each token are
        above 0, as what passes between events.
        """
        inputs = {one.name: one for one in self._inputs}
        roles = {token.field: token.role for token in self._tokens if token.role != "value"}
        ids = {token.field: token.rows or self._vocabulary for token in self._tokens if token.role == "ids"}
        lengths = [inputs[name].shape[1] for name in roles if inputs[name].shape[1:]]
        width = next((length for length in lengths if length), None)
        words = np.array([len(text.split()) + 2 for text in texts])
        generator = np.random.default_rng(_SEED)
        columns, seen = {}, dict.fromkeys(roles.values(), 0)
        for name, role in roles.items():
            own = (inputs[name].shape[1] if inputs[name].shape[1:] else None) or width
            # Numbers beside the tokens are as long as these.
            counts = np.clip(_moved(words, 0 if role == "steps" else seen[role]), 2, own or _LENGTH)
            seen[role] += 1
            within = np.arange(own or counts.max()) < counts[:, None]
            column = within if role == "mask" else np.zeros(within.shape, np.int64)
            if role == "ids":
                column = within * generator.integers(min(1, ids[name] - 1), ids[name], size=within.shape)
            if role == "steps":
                beside = [length or _ANY for length in inputs[name].shape[2:]]
                drawn = np.abs(generator.normal(size=(*within.shape, *beside)))
                column = np.where(within.reshape(*within.shape, *[1] * len(beside)), drawn, 0)
            columns[name] = column.astype(inputs[name].dtype.as_numpy_dtype)
        return columns


def _moved(column: NDArray[Any], number: int) -> NDArray[Any]:
    """What the input of that number has in every second row is the next one's; in the others all have the same.

    So there are rows of which every text is short: only these show what all of their padding does.
    """
    return np.where(np.arange(len(column)) % 2, column, np.roll(column, -number))


def feeds(opened: Opened) -> dict[Ref, tf.TensorSpec]:
    """Where the model's own function is fed: tensor -> its type and shape, in the order of its inputs."""
    return {one.ref: tf.TensorSpec(one.shape, one.dtype) for one in opened.inputs}


def fields_of(opened: Opened, tokens: Sequence[TokenInput] = ()) -> tuple[Field, ...]:
    """What a caller gives for each row: the model's own inputs, with their names in the signatures."""
    arguments = {token.field: token.name for token in tokens if token.field}
    if len(opened.texts) == 1:
        arguments[opened.texts[0].name] = TEXT
    taken: list[Field] = []
    for number, one in enumerate(opened.inputs):
        argument = arguments.get(one.name) or re.sub(r"\W", "_", one.name).lstrip("_0123456789")
        if not argument or argument in {field.argument for field in taken}:
            argument = f"input_{number + 1}"
        shape = () if one.is_text else tuple(length or -1 for length in one.shape[1:])
        taken.append(Field(one.name, argument, one.dtype.name, shape))
    return tuple(taken)


def as_column(texts: tf.Tensor, one: Input) -> tf.Tensor:
    """Texts string [n] as the input takes them: [n], or [n, 1]."""
    return tf.reshape(texts, [-1] + [1] * (len(one.shape) - 1))


def _tensor(column: NDArray[Any], one: Input) -> tf.Tensor:
    if one.is_text:
        return as_column(tf.constant(list(column), dtype=tf.string), one)
    return tf.constant(column, dtype=one.dtype)
