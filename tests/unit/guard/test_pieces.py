"""Sentencepiece models in a graph: the library's own are taken, those that lead out of themselves are refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.errors import ModelRefused
from penult_service.guard import pieces, prepared
from penult_service.preparing.inspecting.inspection import inspect
from support import saved_graphs as graphs
from support import tiny_keras_hub as hub

pytestmark = pytest.mark.tensorflow


def trained(rule: str = "nmt_nfkc", kind: str = "unigram") -> bytes:
    """What the library makes of a few texts."""
    import sentencepiece

    held = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the film was good", "a bad one"] * 30),
        model_writer=held,
        vocab_size=22,
        hard_vocab_limit=False,
        model_type=kind,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    return held.getvalue()


def field(number: int, value: bytes) -> bytes:
    """A field of bytes of a protocol buffer."""
    size, length = len(value), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + value


def with_table(units: list[int], replacements: bytes, normalizer: int = 3) -> bytes:
    """A model whose normaliser has that table."""
    trie = np.array(units, "<u4").tobytes()
    return field(normalizer, field(2, len(trie).to_bytes(4, "little") + trie + replacements))


@pytest.mark.parametrize("rule", ["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
def test_every_model_that_the_library_trains_is_taken(rule: str, kind: str) -> None:
    pieces.check(trained(rule, kind))


def test_a_table_is_looked_at_in_both_normalisers() -> None:
    inside = [0] * 256
    pieces.check(with_table(inside, b"a\0"))
    far = [1 << 10 << 10, *inside[1:]]
    for normalizer in (3, 5):
        with pytest.raises(ValueError, match="leads out of itself"):
            pieces.check(with_table(far, b"a\0", normalizer))


@pytest.mark.parametrize(
    ("units", "replacements", "why"),
    [
        ([0] * 255, b"a\0", "leads out of itself"),  # a byte of the text is added to the place
        ([0] * 300, b"a\0", "leads out of itself"),
        ([1 << 9 | 1 << 10, *[0] * 255], b"a\0", "leads out of itself"),  # 1 << 8 with the bit of far steps
        ([1 << 8, *[0] * 255], b"a\0", "out of its replacements"),
        ([1 << 8 | 1 << 10, 1 << 31 | 2, *[0] * 254], b"a\0", "out of its replacements"),
        ([1 << 8 | 1 << 10, 1 << 31 | 1, *[0] * 254], b"a\0", None),
        ([1 << 31 | 7] * 256, b"a\0", None),  # nothing walks over an end
        ([0] * 256, b"a", "no end"),
        ([0] * 256, b"", "no end"),
        ([], b"a\0", "no end"),
    ],
)
def test_a_table_that_leads_out(units: list[int], replacements: bytes, why: str | None) -> None:
    if why is None:
        pieces.check(with_table(units, replacements))
        return
    with pytest.raises(ValueError, match=why):
        pieces.check(with_table(units, replacements))


def test_every_cut_of_a_model_is_judged_without_a_crash() -> None:
    model, judged = trained(), 0
    for end in range(0, len(model), 997):
        try:
            pieces.check(model[:end])
        except ValueError:
            judged += 1
    assert judged > 100


def test_a_table_in_a_second_normaliser_counts_too() -> None:
    """The reader of protocol buffers puts two messages of one field together."""
    with pytest.raises(ValueError, match="leads out"):
        pieces.check(trained() + with_table([1 << 20] * 256, b"\0"))


def test_what_is_no_protocol_buffer() -> None:
    for wrong in (b"\x00", b"\x1b", b"\x1a\xff", b"\xff" * 11, b"\x09\x01"):
        with pytest.raises(ValueError, match="it "):
            pieces.check(wrong)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with a sentencepiece model. Not to be changed: copy it first."""
    import tensorflow_text

    module = tf.Module()
    module.tokenizer = tensorflow_text.SentencepieceTokenizer(hub.pieces())

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def tokenize(text: Any) -> dict[str, Any]:
        return {"ids": module.tokenizer.tokenize(text).to_tensor()}

    place = tmp_path_factory.mktemp("pieces") / "model"
    tf.saved_model.save(module, str(place), signatures={"tokenize": tokenize})
    return place


def changed(**attributes: Any) -> Any:
    def change(meta_graph: Any) -> None:
        for nodes in (
            meta_graph.graph_def.node,
            *(f.node_def for f in meta_graph.graph_def.library.function),
        ):
            for node in nodes:
                if node.op == pieces.OP:
                    for name, value in attributes.items():
                        if isinstance(value, bool):
                            node.attr[name].b = value
                        else:
                            node.attr[name].s = value

    return change


def test_a_saved_one_is_allowed_and_loaded(saved: Path) -> None:
    inspect(saved)
    prepared.check(saved)
    tokenize = tf.saved_model.load(str(saved)).signatures["tokenize"]
    own = hub.made_tokenizer("albert")
    texts = ["the film was good", "Ünïcode"]
    assert tokenize(text=tf.constant(texts))["ids"].numpy()[0].tolist()[: len(own(texts)[0])] == list(
        own(texts)[0]
    )


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"model": with_table([1 << 20] * 256, b"\0")}, "leads out of itself"),
        ({"container": b"theirs"}, "shares the model of another"),
        ({"use_node_name_sharing": True}, "shares the model of another"),
    ],
)
@pytest.mark.parametrize("look", [inspect, prepared.check])
def test_a_changed_one_is_refused_before_it_is_loaded(
    saved: Path, tmp_path: Path, look: Any, attributes: dict[str, Any], why: str
) -> None:
    tampered = graphs.edited(graphs.copied(saved, tmp_path), changed(**attributes))
    with pytest.raises(ModelRefused, match=why) as caught:
        look(tampered)
    assert caught.value.reason == "BAD_SENTENCEPIECE"
    assert str(tampered) in caught.value.message
