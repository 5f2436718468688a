"""A byte-pair tokenizer of KerasHub as a file for the `tokenizers` library, proved against the tokenizer itself.

KerasHub's own operations keep what they have cut in a table that they write to, so they are no part of a graph that is
served. What the library makes must be the same ids on every text that is tried here, else the model is refused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing import probe
from penult_service.tokenizing import byte_pairs
from penult_service.tokenizing.library import PAIRS, tokenizer_of

_ROUND_ROBIN = "round_robin"
_AROUND_PAIRS = 4  # <s> first </s></s> second </s>
_TRIED = 400
_SEED = 11
_ODD = (
    " ", " ", "\t", "\n", "\r", "\f", "\v", "\u00a0", "\u2009", "\u202f", "\u3000", "\u2028", "\x85", "\x00",
    "'s", "'T", "'re", "ll", "a", "Word", "1", "2345", "²", "٣", "Ⅷ", "!", "...", "é", "e\u0301", "ß", "日本",
    "👍🏽", "\u200b", "\ufeff", "ﬁ", "\U0001e030", "\u1c89", "\u0378", "<", ">", "[", byte_pairs.MARK,
)  # fmt: skip


def library_file(what: str, tokenizer: Any, length: int, truncate: str = _ROUND_ROBIN) -> str:
    """What `tokenizer.json` holds for texts of at most `length` tokens, start and end included.

    Args:
        what: The model, for messages.
        tokenizer: A `keras_hub` `BytePairTokenizer` with its vocabulary.
        length: The length that the model's preprocessor cuts to.
        truncate: How it cuts several texts to that.

    Raises:
        ModelRefused: TOKENIZER_UNSUPPORTED, the library would make other ids; the message says where.
    """
    vocabulary = {str(token): int(number) for token, number in tokenizer.vocabulary.items()}
    special = [str(token) for token in tokenizer.unsplittable_tokens]
    _refuse_unknown(what, tokenizer, vocabulary, special)
    start, end, padding = (getattr(tokenizer, name) for name in ("start_token", "end_token", "pad_token"))
    raw: dict[str, Any] = {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": length,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": vocabulary[padding],
            "pad_type_id": 0,
            "pad_token": padding,
        },
        "added_tokens": [_added(token, vocabulary[token]) for token in special],
        "normalizer": byte_pairs.normalizer(),
        "pre_tokenizer": byte_pairs.pre_tokenizer(*_classes()),
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [end, vocabulary[end]],
            "cls": [start, vocabulary[start]],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        "decoder": None,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": _merges(tokenizer)},
    }
    _prove(what, tokenizer, raw, special)
    if truncate != _ROUND_ROBIN or (length - _AROUND_PAIRS) % 2:
        raw[PAIRS] = False  # of an odd number of tokens the library gives one more to the second text
    return json.dumps(raw, ensure_ascii=False)


def tried(special: Sequence[str]) -> list[str]:
    """The texts that both are tried on: those of the experiments, and odd characters in any order."""
    generator = random.Random(_SEED)
    alphabet = [*_ODD, *special]
    odd = ["".join(generator.choices(alphabet, k=generator.randrange(12))) for _ in range(_TRIED)]
    return [*probe.MIXED, *probe.SENTENCES[:20], *alphabet, *odd]


def _refuse_unknown(what: str, tokenizer: Any, vocabulary: dict[str, int], special: Sequence[str]) -> None:
    bytes_missing = [character for character in _alphabet() if character not in vocabulary]
    problem = ""
    if tokenizer.add_prefix_space:
        problem = "add_prefix_space is not known here"
    elif len(special) > 10 or any(a != b and a in b for a in special for b in special):
        problem = "its unsplittable tokens overlap, or are more than ten"
    elif any(token not in vocabulary for token in special):
        problem = "an unsplittable token is not in its vocabulary"
    elif bytes_missing:
        problem = (
            f"its vocabulary lacks {len(bytes_missing)} of the 256 bytes, so it has no id for a text with one"
        )
    elif tokenizer.sequence_length:
        problem = "it pads texts itself (sequence_length)"
    if problem:
        raise _unsupported(what, tokenizer, problem)


def _prove(what: str, tokenizer: Any, raw: dict[str, Any], special: Sequence[str]) -> None:
    texts = tried(special)
    try:
        library = tokenizer_of({**raw, "truncation": None, "padding": None, "post_processor": None})
    except Exception as error:  # the library raises nothing more special
        raise _unsupported(what, tokenizer, str(error)[:200]) from error
    found = [encoding.ids for encoding in library.encode_batch_fast(texts)]
    own = own_ids(tokenizer, texts)
    different = [text for text, one, other in zip(texts, found, own, strict=True) if one != other]
    if different:
        problem = f"the tokenizers library cuts {len(different)} of {len(texts)} texts otherwise, such as"
        raise _unsupported(what, tokenizer, f"{problem} {different[0][:60]!r}")


def own_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """What the tokenizer itself makes where KerasHub trains and predicts: by operations of TensorFlow."""
    # Inside a function of TensorFlow it takes these by itself; called like this they need no tracing, 7 s.
    of_tensors = getattr(tokenizer, "_tokenize_tf", None)
    made = (of_tensors or tf.function(tokenizer))(tf.constant(list(texts)))
    rows = made.to_list() if isinstance(made, tf.RaggedTensor) else list(made)
    return [np.asarray(row, np.int64).tolist() for row in rows]


def _merges(tokenizer: Any) -> list[list[str]]:
    return [merge.split(" ") for merge in tokenizer.merges if "#version:" not in merge.lstrip()]


def _added(token: str, number: int) -> dict[str, Any]:
    """A token that is never cut; looked for behind the normalizer, as KerasHub does."""
    fixed = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": True}
    return {"id": number, "content": token, **fixed}


@cache
def _classes() -> tuple[str, str]:
    """Letters and numbers as TensorFlow knows them, as ranges."""
    points = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    characters = tf.constant([chr(point) for point in points])
    letters, numbers = (
        byte_pairs.ranges(
            np.array(points)[tf.strings.regex_full_match(characters, rf"\p{{{kind}}}")].tolist()
        )
        for kind in "LN"
    )
    return letters, numbers


def _alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return list(ByteLevel.alphabet())


def _unsupported(what: str, tokenizer: Any, problem: str) -> ModelRefused:
    return ModelRefused(
        f"{what}: its {type(tokenizer).__name__} cannot be served: {problem}",
        reason="TOKENIZER_UNSUPPORTED",
    )
