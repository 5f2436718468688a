"""KerasHub classifiers, as files and as presets: what they say, and what stands in front of their dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.proof.experiment import TOLERANCE, relative
from support import tiny_keras_hub as hub
from support.pretrained import shared_texts
from support.tiny_bert import VOCABULARY

pytestmark = pytest.mark.tensorflow


@cache
def made(family: str) -> Any:
    """A classifier of the family. Not to be changed."""
    return hub.classifier(family)


@cache
def expected(family: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """What it predicts of the texts, and its features by hand."""
    model = made(family)
    return hub.predicted(model, hub.TEXTS), hub.features(model, hub.tokens(model, hub.TEXTS))


def as_file(model: Any, place: Path) -> Path:
    model.save(place / "model.keras")
    return place / "model.keras"


def as_preset(model: Any, place: Path) -> Path:
    model.save_to_preset(str(place / "preset"))
    return place / "preset"


def as_h5(model: Any, place: Path) -> Path:
    """With the vocabulary beside it."""
    model.save(place / "model.h5")
    model.preprocessor.tokenizer.save_assets(str(place))
    return place / "model.h5"


def opened(source: Path, declared: Declaration = NOTHING) -> Any:
    """As the pipeline opens it."""
    from penult_service.preparing.inspecting.inspection import inspect
    from penult_service.preparing.opening import open_model

    inspect(source)
    return open_model(source, None, declared)


def said(model: Any, *texts: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the graph as read says of texts, and the tensor in front of its last dropout."""
    import tensorflow as tf
    from penult_service.preparing.cut import cut
    from penult_service.preparing.examples import feeds

    given = [tf.constant(list(one)) for one in texts]
    if model.tokenizer is not None:
        given = [tf.constant(value) for value in model.tokenizer.tokenize(*map(list, texts)).inputs.values()]
    (output,) = model.function(*given).values()
    front = cut(model.flat, feeds(model), {"front": model.marks[-1].before})(*given)["front"]
    return output.numpy(), front.numpy()


def agrees(found: Any, wanted: Any) -> None:
    assert relative(found, wanted) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "save"),
    [
        ("bert", as_preset),
        *(pytest.param(family, as_preset, marks=pytest.mark.full) for family in hub.FAMILIES[1:]),
        *(pytest.param(family, as_file, marks=pytest.mark.full) for family in hub.FAMILIES),
        *(pytest.param(family, as_h5, marks=pytest.mark.full) for family in ("bert", "roberta", "albert")),
    ],
)
def test_it_says_what_keras_hub_says(family: str, save: Callable[[Any, Path], Path], tmp_path: Path) -> None:
    model = opened(save(made(family), tmp_path))
    outputs, front = said(model, hub.TEXTS)
    predicted, features = expected(family)
    assert np.ptp(predicted, axis=0).min() > 0.1, "texts that are all alike prove nothing"
    agrees(outputs, predicted)
    agrees(front, features)
    assert model.marks[-1].layer.name == hub.SEAMS[family]
    assert (
        model.format
        == {as_file: "KerasHub .keras", as_preset: "KerasHub preset", as_h5: "KerasHub .h5"}[save]
    )
    assert model.loss == ({} if save is as_preset else {"logits": "softmax"})


@pytest.mark.parametrize(
    ("family", "save"), [("bert", as_preset), pytest.param("roberta", as_file, marks=pytest.mark.full)]
)
def test_without_a_preprocessor_it_takes_tokens(
    family: str, save: Callable[[Any, Path], Path], tmp_path: Path
) -> None:
    import tensorflow as tf

    model = opened(save(hub.classifier(family, with_preprocessor=False), tmp_path))
    tokens = hub.tokens(made(family), hub.TEXTS)
    assert {one.name for one in model.inputs} == set(tokens)
    assert not model.texts
    assert model.tokenizer is None
    (output,) = model.function(*[tf.cast(tokens[one.name], one.dtype) for one in model.inputs]).values()
    agrees(output.numpy(), expected(family)[0])


@pytest.mark.parametrize("family", ["bert", pytest.param("albert", marks=pytest.mark.full)])
def test_a_preprocessor_inside_of_a_functional_model(family: str, tmp_path: Path) -> None:
    """Keras alone cannot read this file: the tokenizer is called before it has its vocabulary."""
    import keras

    whole = made(family)
    text = keras.Input((), dtype="string", name="text")
    pooled = whole.backbone(whole.preprocessor(text))["pooled_output"]
    keras.Model(text, whole.output_dense(whole.output_dropout(pooled))).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="TextClassifierPreprocessor"):
        keras.saving.load_model(tmp_path / "model.keras")
    outputs, front = said(opened(tmp_path / "model.keras"), hub.TEXTS)
    agrees(outputs, expected(family)[0])
    agrees(front, expected(family)[1])


@pytest.mark.full
def test_pairs_of_texts_when_they_are_declared(tmp_path: Path) -> None:
    whole = made("bert")
    first, second = list(hub.TEXTS), list(reversed(hub.TEXTS))
    declared = Declaration(inputs={"premise": "text", "hypothesis": "text"})
    model = opened(as_preset(whole, tmp_path), declared)
    assert [one.name for one in model.inputs] == ["premise", "hypothesis"]
    predicted = whole.predict((first, second), verbose=0)
    agrees(said(model, first, second)[0], predicted)
    assert relative(predicted, expected("bert")[0]) > 0.01


@pytest.mark.full
def test_a_text_with_the_name_of_the_padding_is_masked_as_by_the_preprocessor(tmp_path: Path) -> None:
    texts = ["a good <pad> film", "<pad>", "a <s> b </s>", *hub.TEXTS]
    outputs, _ = said(opened(as_preset(made("roberta"), tmp_path)), texts)
    agrees(outputs, hub.predicted(made("roberta"), texts))


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [
        {"lowercase": False},
        {"lowercase": True, "strip_accents": True},
        {"lowercase": False, "special_tokens_in_strings": True},
        {"lowercase": True, "oov_token": "[MASK]"},
    ],
)
def test_the_settings_of_the_tokenizer_are_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    model = hub.classifier("bert", tokenizer=hub.made_tokenizer("bert", **settings))
    texts = [*hub.TEXTS, "[MASK] Naïve [SEP] café", "naive cafe"]
    agrees(said(opened(as_preset(model, tmp_path)), texts)[0], hub.predicted(model, texts))


def of_policy(policy: str, place: Path) -> tuple[Any, Path]:
    """A classifier whose layers compute so, and its preset."""
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        model = hub.classifier("bert")
        return model, as_preset(model, place)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.full
def test_weights_of_half_precision_are_read_as_from_preset_reads_them(tmp_path: Path) -> None:
    _, place = of_policy("bfloat16", tmp_path)
    own = hub.models().BertTextClassifier.from_preset(str(place))
    agrees(said(opened(place), hub.TEXTS)[0], hub.predicted(own, hub.TEXTS))


@pytest.mark.full
def test_mixed_precision_is_kept(tmp_path: Path) -> None:
    """KerasHub's `from_preset` fails on such a preset; it is held against the live model, both of three digits."""
    model, place = of_policy("mixed_bfloat16", tmp_path)
    outputs, _ = said(opened(place), hub.TEXTS)
    assert relative(np.float32(outputs), np.float32(hub.predicted(model, hub.TEXTS))) < 0.05


def test_labels_beside_a_preset(tmp_path: Path) -> None:
    place = as_preset(made("distilbert"), tmp_path)
    (place / "labels.json").write_text('["a", "b", "c"]')
    assert opened(place).labels == ("a", "b", "c")


@pytest.mark.full
def test_the_witness_takes_texts_as_predict_does(tmp_path: Path) -> None:
    import tensorflow as tf

    model = opened(as_file(made("bert"), tmp_path))
    witness = model.keras()
    texts = tf.constant(list(hub.TEXTS))
    agrees(witness.predict(texts, batch_size=4, verbose=0), expected("bert")[0])
    agrees(witness(texts, training=False).numpy(), expected("bert")[0])


def counted(model: Any, texts: Sequence[str]) -> tuple[list[int], list[bool]]:
    """Tokens of each text as its own preprocessor makes them, and whether it cuts any off."""
    kept = hub.tokens(model, texts)["padding_mask"].sum(axis=1)
    longer = type(model.preprocessor)(model.preprocessor.tokenizer, sequence_length=200)
    whole = hub.tokens_of(longer, texts)["padding_mask"].sum(axis=1)
    return kept.tolist(), (whole > kept).tolist()


def prepared(source: Path, place: Path) -> tuple[Any, Any]:
    """The manifest and the tokenizer of what is prepared of it."""
    import tensorflow as tf
    from penult_service.preparing import pipeline
    from penult_service.tokenizing.graph import GraphTokenizer
    from penult_service.tokenizing.library import library_tokenizer

    manifest = pipeline.prepare(source, place, None, lambda *_: None)
    if manifest.tokenizer == "graph":
        loaded = tf.saved_model.load(str(place))
        return manifest, GraphTokenizer(loaded.signatures["tokenize"], manifest)
    return manifest, library_tokenizer(place, manifest.inputs)


def embedded(manifest: Any, place: Path, inputs: Any) -> NDArray[Any]:
    import tensorflow as tf

    encode = tf.saved_model.load(str(place)).signatures[manifest.encode_signature([manifest.seam])]
    given = {name: tf.constant(value) for name, value in inputs.items()}
    return np.asarray(encode(**given)[manifest.seam])


@pytest.mark.full
@pytest.mark.parametrize("family", hub.FAMILIES)
def test_prepared_it_embeds_as_by_hand(family: str, tmp_path: Path) -> None:
    place = tmp_path / "prepared"
    manifest, tokenizer = prepared(as_preset(made(family), tmp_path), place)
    table = tokenizer.tokenize(list(hub.TEXTS))
    agrees(embedded(manifest, place, table.inputs), expected(family)[1])
    lengths, cut = counted(made(family), hub.TEXTS)
    assert table.lengths.tolist() == lengths
    assert list(table.truncations) == ["cut" if one else "none" for one in cut]
    assert manifest.proof.proven
    assert manifest.trims
    assert manifest.max_length == hub.LENGTH
    at = [site for site in manifest.sites if site.place == "at"]
    assert [(site.path, site.rate) for site in at] == [(hub.SEAMS[family], 0.1)]


@pytest.mark.full
def test_padding_that_is_not_the_first_word(tmp_path: Path) -> None:
    """As in the examples of KerasHub's documentation: what counts is its mask, not which ids are 0."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *VOCABULARY[5:]]
    model = hub.classifier("bert", tokenizer=hub.models().BertTokenizer(words, lowercase=True))
    place = tmp_path / "prepared"
    manifest, tokenizer = prepared(as_preset(model, tmp_path), place)
    table = tokenizer.tokenize(list(hub.TEXTS))
    lengths, cut = counted(model, hub.TEXTS)
    assert table.lengths.tolist() == lengths
    assert list(table.truncations) == ["cut" if one else "none" for one in cut]
    agrees(embedded(manifest, place, table.inputs), hub.features(model, hub.tokens(model, hub.TEXTS)))


@pytest.mark.full
@pytest.mark.parametrize("family", hub.FAMILIES)
def test_the_ids_of_real_texts(family: str, tmp_path: Path) -> None:
    """Every text of the data sets beside the checkout, and odd ones, against KerasHub's own preprocessor."""
    texts = [*shared_texts(), *odd_texts()]
    model = hub.classifier(family, length=96)
    manifest, tokenizer = prepared(as_preset(model, tmp_path), tmp_path / "prepared")
    table = tokenizer.tokenize(texts)
    ids = table.inputs[next(token.name for token in manifest.inputs if token.role == "ids")]
    own = hub.tokens(model, texts)["token_ids"]
    different = [
        text for text, one, other in zip(texts, ids, own, strict=True) if (one != other[: len(one)]).any()
    ]
    assert different == []
    assert len(texts) > 5_000


def odd_texts() -> list[str]:
    from penult_service.preparing.formats.keras_hub_pairs import tried

    characters = [chr(point) for point in range(0x2FFFF) if not 0xD800 <= point <= 0xDFFF]
    return [*tried(("[CLS]", "[MASK]", "<s>")), *(f"a{c}b {c}" for c in characters[::7])]
