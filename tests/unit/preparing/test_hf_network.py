"""The graph that is built of a Hugging Face directory, against the same weights in NumPy, kind by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_bert import sample_texts
from support.tiny_hf import KINDS, LAYERS, READOUTS, WIDTH, TinyHf, wordpieces, write_tiny_hf

pytestmark = pytest.mark.tensorflow

TEXTS = ["", "good", "[PAD] film [MASK]", *sample_texts(12, longest=30), "word " * 90]
# A padding id that is not 0, so that positions that do not begin behind it are wrong.
SETTINGS = {"roberta": {"pad_token_id": 4}}


def tiny(place: Path, kind: str, **settings: Any) -> TinyHf:
    return write_tiny_hf(place / kind, kind, **SETTINGS.get(kind, {}), **settings)


def examples(model: Any) -> Any:
    from penult_service.preparing.examples import Examples

    return Examples(model, [token for token, _ in model.known.seams.tokens])


def tokenizer(model: Any) -> Any:
    return examples(model).tokenizer


def read(model: Any, texts: list[str]) -> dict[str, np.ndarray]:
    """The readouts and outputs of the graph that was built."""
    from penult_service.preparing.parts import references

    (pooled, before), (tokens, everywhere) = model.known.seams.read
    feeds = examples(model)
    function = references(model, {before, everywhere, *model.flat.outputs.values()})
    found = function(*feeds.arguments(feeds.rows(texts)))
    named = {pooled.layer: before, tokens.layer: everywhere, **model.flat.outputs}
    return {name: found[ref].numpy() for name, ref in named.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_graph_equals_numpy(tmp_path: Path, kind: str) -> None:
    from penult_service.preparing.hf_model import open_model

    made = tiny(tmp_path, kind)
    model = open_model(made.directory)
    inputs = tokenizer(model).tokenize(TEXTS).inputs
    types = inputs.get("input_types", np.zeros_like(inputs["input_ids"]))
    tokens, embedding, logits = made.oracle.outputs(inputs["input_ids"], inputs["input_mask"], types)
    found = read(model, TEXTS)
    real = inputs["input_mask"] == 1
    assert embedding.std() > 0.1
    assert model.known.seams.seam == READOUTS[kind]
    np.testing.assert_allclose(found[READOUTS[kind]], embedding, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["last_hidden_state"][real], tokens[real], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-5)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found["probabilities"], shares / shares.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_its_operations_are_on_the_list(tmp_path: Path, kind: str) -> None:
    from penult_service.guard.allowed import SERVING, allowed_at
    from penult_service.preparing.hf_model import open_model

    model = open_model(tiny(tmp_path, kind).directory)
    assert {node.op for node in model.flat.nodes.values()} <= allowed_at(SERVING)


def test_types_of_tokens_reach_the_model(tmp_path: Path) -> None:
    import tensorflow as tf
    from penult_service.preparing.hf_model import open_model

    made = tiny(tmp_path, "bert")
    model = open_model(made.directory)
    ids = np.array([[2, 50, 60, 3]], np.int32)
    mask, types = np.ones_like(ids), np.array([[0, 0, 1, 1]], np.int32)
    found = model.function(*(tf.constant(value) for value in (ids, mask, types)))["logits"].numpy()
    np.testing.assert_allclose(found, made.oracle.outputs(ids, mask, types)[2], rtol=1e-5, atol=1e-5)
    assert np.abs(found - made.oracle.outputs(ids, mask, 0 * types)[2]).max() > 0.01


@pytest.mark.parametrize(
    ("problem", "classes", "kind"),
    [
        ("single_label_classification", 3, "softmax"),
        ("multi_label_classification", 3, "multilabel"),
        ("multi_label_classification", 1, "multilabel"),
        ("regression", 1, "other"),
        ("regression", 2, "other"),
        (None, 2, "softmax"),
        (None, 1, "other"),
    ],
)
def test_what_the_logits_mean(tmp_path: Path, problem: str | None, classes: int, kind: str) -> None:
    from penult_service.preparing.hf_model import open_model

    settings = {"problem_type": problem} if problem else {}
    made = write_tiny_hf(tmp_path / "model", classes=classes, **settings)
    model = open_model(made.directory)
    assert model.known is not None
    assert (model.known.head.kind, model.known.head.classes) == (kind, classes)
    found = read(model, TEXTS)
    if kind == "multilabel":
        np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-found["logits"])), atol=1e-6)
    assert ("probabilities" in found) == (kind != "other")
    assert any("problem_type" in note for note in model.notes) == (problem is None)


def test_dropouts_are_those_of_the_configuration(tmp_path: Path) -> None:
    from penult_service.preparing.hf_model import open_model

    rates = {"hidden_dropout_prob": 0.15, "attention_probs_dropout_prob": 0.25, "classifier_dropout": 0.35}
    sites = open_model(tiny(tmp_path, "bert", **rates).directory).known.seams.sites
    layers = [f"bert.encoder.layer.{i}" for i in range(LAYERS)]
    ends = {"attention.self.dropout": 0.25, "attention.output.dropout": 0.15, "output.dropout": 0.15}
    inside = [("bert.embeddings.dropout", 0.15)]
    inside += [(f"{layer}.{end}", rate) for layer in layers for end, rate in ends.items()]
    expected = [(path, rate, "before") for path, rate in inside] + [("dropout", 0.35, "at")]
    assert [(site.path, site.rate, site.place) for site in sites] == expected
    assert {site.layer_class for site in sites} == {"Dropout"}


def test_a_dropout_that_acts_twice_in_the_head_is_read_the_last_time(tmp_path: Path) -> None:
    from penult_service.preparing.hf_model import open_model

    model = open_model(tiny(tmp_path, "electra").directory)
    sites = [site for site in model.known.seams.sites if site.path.startswith("classifier.dropout")]
    places = [(site.place, site.tensor) for site in sites]
    assert [site.path for site in sites] == ["classifier.dropout", "classifier.dropout#2"]
    assert [place for place, _ in places] == ["before", "at"]
    assert model.known.seams.after == f"{places[1][1]}:0"
    assert {readout.dimension for readout, _ in model.known.seams.read} == {WIDTH}


@pytest.mark.parametrize(("key", "rate"), [("seq_classif_dropout", 0.2), ("dropout", 0.3)])
def test_distilbert_has_a_rate_of_its_own_for_the_head(tmp_path: Path, key: str, rate: float) -> None:
    from penult_service.preparing.hf_model import open_model

    made = tiny(tmp_path, "distilbert", **{key: rate})
    assert open_model(made.directory).known.seams.sites[-1].rate == 0.2


@pytest.mark.parametrize("activation", ["relu", "gelu_new", "gelu_pytorch_tanh"])
def test_activation_of_the_configuration(tmp_path: Path, activation: str) -> None:
    from penult_service.preparing.hf_model import open_model

    made = tiny(tmp_path, "bert", hidden_act=activation, layer_norm_eps=1e-3)
    model = open_model(made.directory)
    inputs = tokenizer(model).tokenize(TEXTS).inputs
    _, embedding, _ = made.oracle.outputs(*inputs.values())
    np.testing.assert_allclose(read(model, TEXTS)["pooler_output"], embedding, rtol=1e-5, atol=1e-5)


def test_ids_are_those_of_the_library(tmp_path: Path) -> None:
    from penult_service.preparing.hf_model import open_model

    made = tiny(tmp_path, "bert")
    theirs = wordpieces(made.directory)
    theirs.enable_truncation(48)
    table = tokenizer(open_model(made.directory)).tokenize(TEXTS)
    rows = [
        row[:length].tolist() for row, length in zip(table.inputs["input_ids"], table.lengths, strict=True)
    ]
    assert rows == [encoding.ids for encoding in theirs.encode_batch(TEXTS)]
