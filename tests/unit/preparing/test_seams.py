"""Where models of many shapes are cut: in front of the dropout that Keras itself would name, whatever surrounds it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.errors import ModelRefused  # noqa: E402
from penult_service.preparing import parts  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.seams import Seams, find_seams, surveyed  # noqa: E402
from penult_service.preparing.survey import Survey  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.tiny_bert import WORDS  # noqa: E402

Head = Callable[[Any, Any], tuple[Any, Any]]
"""`tf_keras.layers`, the pooled text → the outputs, and the tensor in front of the dropout wanted."""


def plain(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(x)), x


def two_dropouts(layers: Any, x: Any) -> tuple[Any, Any]:
    before = tm.dense(6, "hidden", "relu")(layers.Dropout(0.1, name="first")(x))
    return tm.dense(2, "output")(layers.Dropout(0.2, name="second")(before)), before


def called_twice(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, name="dropout")
    before = tm.dense(6, "hidden", "relu")(dropout(x))
    return tm.dense(2, "output")(dropout(before)), before


def mlp(layers: Any, x: Any) -> tuple[Any, Any]:
    before = layers.ReLU(name="relu")(tm.dense(6, "hidden")(x))
    return tm.dense(2, "output", "sigmoid")(layers.Dropout(0.1, name="dropout")(before)), before


def mlp_behind_the_dropout(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "relu")(layers.Dropout(0.1, name="dropout")(x))
    return tm.dense(2, "output")(hidden), x


def norm_before(layers: Any, x: Any) -> tuple[Any, Any]:
    before = norm(layers)(x)
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(before)), before


def norm_after(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(norm(layers)(layers.Dropout(0.1, name="dropout")(x))), x


def norm(layers: Any) -> Any:
    """A BatchNormalization with statistics that do something."""
    return layers.BatchNormalization(
        name="norm", moving_mean_initializer=tm.normal(4), gamma_initializer=tm.normal(5)
    )


def nested_functional(layers: Any, x: Any) -> tuple[Any, Any]:
    inner_input = layers.Input(shape=(tm.WIDTH,))
    hidden = tm.dense(6, "hidden", "relu")(inner_input)
    dropped = layers.Dropout(0.1, name="inner_dropout")(hidden)
    model = seeds.keras().Model
    inner = model(inner_input, tm.dense(2, "inner_output")(dropped), name="head")
    return inner(x), model(inner_input, hidden)(x)


def sequential(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, name="dropout")
    return seeds.keras().Sequential([dropout, tm.dense(2, "last", "softmax")], name="head")(x), x


def several_outputs(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    return {"zone": tm.dense(2, "zone")(dropped), "age": tm.dense(1, "age")(dropped)}, x


def identity_behind(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    same = layers.Lambda(lambda y: tf.identity(y), name="same")(tm.dense(6, "hidden")(dropped))
    return tm.dense(2, "output")(same), x


def gaussian_noise(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(layers.GaussianNoise(0.4, name="noise")(x)), x


def shared_noise_shape(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, noise_shape=(None, 1), name="dropout")
    return tm.dense(2, "output")(dropout(x)), x


def samples(layers: Any, x: Any) -> tuple[Any, Any]:
    """Several draws of one vector, and their average."""
    output = tm.dense(2, "output")
    drawn = [output(layers.Dropout(0.1 * n, name=f"sample_{n}")(x)) for n in (1, 2, 3)]
    return layers.Average(name="averaged")(drawn), x


def a_dropout_each(layers: Any, x: Any) -> tuple[Any, Any]:
    outputs = {"zone": tm.dense(2, "zone"), "age": tm.dense(1, "age")}
    return {name: made(layers.Dropout(0.1, name=f"drop_{name}")(x)) for name, made in outputs.items()}, x


def one_behind_the_other(layers: Any, x: Any) -> tuple[Any, Any]:
    """One output is taken behind the first dropout, the other behind a second one."""
    hidden = tm.dense(6, "hidden", "tanh")(layers.Dropout(0.1, name="first")(x))
    deep = tm.dense(1, "deep")(layers.Dropout(0.2, name="second")(hidden))
    return {"deep": deep, "plain": tm.dense(2, "plain")(hidden)}, x


def bilinear(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    return layers.Multiply(name="output")([tm.dense(2, "left")(dropped), tm.dense(2, "right")(dropped)]), x


HEADS: dict[str, tuple[Head, str, list[tuple[str, str]]]] = {
    "plain": (plain, "average", [("dropout", "at")]),
    "two": (two_dropouts, "hidden", [("first", "before"), ("second", "at")]),
    "called twice": (called_twice, "hidden", [("dropout", "before"), ("dropout#2", "at")]),
    "mlp": (mlp, "relu", [("dropout", "at")]),
    "mlp behind": (mlp_behind_the_dropout, "average", [("dropout", "at")]),
    "norm before": (norm_before, "norm", [("dropout", "at")]),
    "norm after": (norm_after, "average", [("dropout", "at")]),
    "nested functional": (nested_functional, "head", [("head/inner_dropout", "at")]),
    "nested sequential": (sequential, "average", [("head/dropout", "at")]),
    "several outputs": (several_outputs, "average", [("dropout", "at")]),
    "identity behind": (identity_behind, "average", [("dropout", "at")]),
    "samples": (samples, "average", [(f"sample_{n}", "at") for n in (1, 2, 3)]),
    "a dropout each": (a_dropout_each, "average", [("drop_age", "at"), ("drop_zone", "at")]),
    "one behind the other": (one_behind_the_other, "average", [("first", "at"), ("second", "after")]),
    "bilinear": (bilinear, "average", [("dropout", "at")]),
    "noise shape": (shared_noise_shape, "average", [("dropout", "at")]),
}


def saved(place: Path, head: Head) -> tuple[Path, np.ndarray]:
    """A model with that head; what Keras says stands in front of the dropout, of `tm.TEXTS`."""
    model = seeds.keras().Model
    text = tm.text_input()
    outputs, before = head(tm.layers(), tm.pooled(text))
    directory = tm.save(model(text, outputs), place / "model")
    return directory, tm.answers(model(text, before))


def tensors(survey: Survey, seams: Seams) -> list[np.ndarray]:
    """The tensors of the saved graph on both sides of the dropout found."""
    found = parts.references(survey.opened, {seams.before, seams.after})(tf.constant(tm.TEXTS))
    return [found[ref].numpy() for ref in (seams.before, seams.after)]


@pytest.mark.parametrize(("head", "seam", "places"), HEADS.values(), ids=HEADS.keys())
def test_the_seam_is_in_front_of_the_last_dropout(
    tmp_path: Path, head: Head, seam: str, places: list[tuple[str, str]]
) -> None:
    directory, expected = saved(tmp_path, head)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert len(np.unique(expected, axis=0)) == len(tm.TEXTS)
    for found in tensors(survey, seams):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert seams.seam == seam
    readout = seams.read[0][0]
    assert (readout.layer, readout.dimension, readout.kind) == (seam, expected.shape[1], "pooled")
    assert sorted((site.path, site.place) for site in seams.sites) == sorted(places)
    assert seams.dtype == tf.float32


def test_sites_know_class_rate_and_noise_shape(tmp_path: Path) -> None:
    def head(layers: Any, x: Any) -> tuple[Any, Any]:
        hidden = tm.dense(4, "hidden")(layers.Dropout(0.25, name="first")(x))
        dropped = layers.Dropout(0.5, noise_shape=(None, 1), name="shared")(hidden)
        columns = layers.SpatialDropout1D(0.75, name="columns")(layers.Reshape((2, 2), name="wide")(dropped))
        return tm.dense(2, "output")(layers.Flatten(name="flat")(columns)), x

    directory, _ = saved(tmp_path, head)
    sites = find_seams(Survey(open_model(directory))).sites
    assert [(s.path, s.layer_class, s.rate, s.noise_shape, s.place) for s in sites] == [
        ("first", "Dropout", 0.25, None, "before"),
        ("shared", "Dropout", 0.5, (-1, 1), "at"),
        ("columns", "SpatialDropout1D", 0.75, None, "after"),
    ]


def test_noise_of_another_kind_leaves_no_trace_in_inference(tmp_path: Path) -> None:
    """The model's layer graph says where it stands."""
    directory, expected = saved(tmp_path, gaussian_noise)
    survey = Survey(open_model(directory))
    assert survey.marks == {}
    np.testing.assert_allclose(tensors(survey, find_seams(survey))[0], expected, atol=1e-6)


# No dropout, another layer


def no_dropout(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "tanh")(x)
    return tm.dense(2, "output")(layers.Lambda(lambda y: tf.identity(y), name="dropout")(hidden)), hidden


def not_on_every_path(layers: Any, x: Any) -> tuple[Any, Any]:
    side = tm.dense(2, "side")(layers.Dropout(0.1, name="dropout")(x))
    return layers.Add(name="sum")([side, tm.dense(2, "main")(x)]), x


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, np.ndarray]:
    directory, hidden = saved(tmp_path_factory.mktemp("without"), no_dropout)
    return Survey(open_model(directory)), hidden


def test_without_a_dropout_the_input_of_the_last_trained_layer_is_read(
    without_dropout: tuple[Survey, np.ndarray],
) -> None:
    """Not even when a layer that is none bears its name; and it is said."""
    survey, expected = without_dropout
    seams = find_seams(survey)
    assert seams.before == seams.after
    assert seams.sites == ()
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert any("the input of the last trained layer, output" in note for note in seams.notes)
    assert any("can be read as well: average" in note for note in seams.notes)


def test_a_layer_can_be_named_besides(without_dropout: tuple[Survey, np.ndarray]) -> None:
    survey, expected = without_dropout
    seams = find_seams(survey, "average")
    assert [(readout.layer, readout.kind) for readout, _ in seams.read[:2]] == [
        ("average", "other"),
        (seams.seam, "pooled"),
    ]
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)


def test_a_layer_that_is_not_there(without_dropout: tuple[Survey, np.ndarray]) -> None:
    with pytest.raises(ModelRefused) as caught:
        find_seams(without_dropout[0], "pooler")
    assert caught.value.reason == "NO_SUCH_LAYER"
    assert "'pooler'" in caught.value.message
    assert caught.value.message.endswith("these can: average, hidden")


def test_a_dropout_beside_the_way_is_read_where_the_ways_part(tmp_path: Path) -> None:
    directory, expected = saved(tmp_path, not_on_every_path)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert seams.before == seams.after
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert [(site.path, site.place) for site in seams.sites] == [("dropout", "at")]


def hidden_each(layers: Any, x: Any) -> tuple[Any, Any]:
    """Two outputs, each with a hidden layer and a dropout of its own."""
    hidden = {name: tm.dense(6, f"hidden_{name}", "tanh")(x) for name in ("zone", "age")}
    dropped = {name: layers.Dropout(0.1, name=f"drop_{name}")(one) for name, one in hidden.items()}
    return {name: tm.dense(2, name)(one) for name, one in dropped.items()}, x


def residual(layers: Any, x: Any) -> tuple[Any, Any]:
    away = layers.Dropout(0.1, name="dropout")(tm.dense(tm.WIDTH, "hidden", "tanh")(x))
    return tm.dense(2, "output")(layers.Add(name="sum")([x, away])), x


@pytest.mark.parametrize("head", [hidden_each, residual], ids=lambda head: head.__name__)
def test_where_no_tensor_is_the_input_of_the_last_dropouts_nothing_is_read(
    tmp_path: Path, head: Head
) -> None:
    """Another place in front can be asked for; and what is listed does not hold what stands on one way alone."""
    directory, expected = saved(tmp_path, head)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert seams.read == ()
    assert "no single tensor is the input of the head" in seams.unread
    assert "average (8 numbers a row" in seams.unread
    assert "hidden" not in seams.unread.partition("It can be: ")[2]
    asked = find_seams(survey, "average")
    assert (asked.seam, asked.read[0][0].layer) == ("average", "average")
    np.testing.assert_allclose(tensors(survey, asked)[0], expected, atol=1e-6)


def test_a_dropout_on_the_words_is_none_of_the_head(tmp_path: Path) -> None:
    text = tm.text_input()
    words = tm.layers().Dropout(0.2, name="on_words")(tm.vectors(text))
    pooled = tm.layers().GlobalAveragePooling1D(name="average")(words)
    model = seeds.keras().Model(text, tm.dense(2, "output")(pooled))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    expected = tm.answers(seeds.keras().Model(text, pooled))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert [(site.path, site.place) for site in seams.sites] == [("on_words", "before")]
    assert "no dropout stands on whole texts" in seams.notes[0]


def test_a_vector_is_read_before_it_is_rounded_for_a_dropout_in_half_precision(tmp_path: Path) -> None:
    text = tm.text_input()
    hidden = tm.dense(6, "hidden", "tanh")(tm.pooled(text))
    dropped = tm.layers().Dropout(0.2, dtype="mixed_bfloat16", name="dropout")(hidden)
    model = seeds.keras().Model(text, tm.dense(2, "output")(dropped))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    assert (seams.seam, seams.dtype) == ("hidden", tf.float32)
    found, rounded = tensors(survey, seams)
    expected = tm.answers(seeds.keras().Model(text, hidden))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(rounded.astype(np.float32) - expected).max() > 1e-4


# What the function for training tells, which tf_keras saves too


def own_noise(name: str, *, hidden: bool) -> Any:
    """A layer of the author's own that drops in training, and leaves nothing of it in inference."""

    class Own(tm.layers().Layer):
        def __init__(self) -> None:
            super().__init__(name=name)
            self.inner = tm.dense(6, "inner")

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.inner(x) if hidden else x
            x = tf.nn.dropout(x, rate=0.3) if training else x
            return tf.tanh(x) if hidden else x

    return Own()


def drops_behind(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(own_noise("own", hidden=True)(layers.Dropout(0.1, name="dropout")(x))), x


def drops_without_a_trace(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "tanh")(layers.Dropout(0.1, name="dropout")(x))
    return tm.dense(2, "output")(own_noise("own", hidden=False)(hidden)), hidden


def drops_alone(layers: Any, x: Any) -> tuple[Any, Any]:
    del layers
    return tm.dense(2, "output")(tm.dense(6, "hidden")(own_noise("own", hidden=False)(x))), x


def drops_in_front(layers: Any, x: Any) -> tuple[Any, Any]:
    before = own_noise("own", hidden=True)(x)
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(before)), before


def save_plainly(model: Any, directory: Path) -> Path:
    tf.saved_model.save(model, str(directory))
    return directory


@pytest.mark.parametrize("save", [tm.save, save_plainly], ids=["model.save", "tf.saved_model.save"])
@pytest.mark.parametrize(
    "head", [drops_behind, drops_without_a_trace, drops_alone], ids=lambda head: head.__name__
)
def test_a_dropout_that_only_training_shows_is_found_out(tmp_path: Path, head: Head, save: Any) -> None:
    text = tm.text_input()
    outputs, _ = head(tm.layers(), tm.pooled(text))
    seams = find_seams(Survey(open_model(save(seeds.keras().Model(text, outputs), tmp_path / "model"))))
    assert seams.read == ()
    plain_without_mark = save is save_plainly and head is drops_alone
    why = (
        "does not tell where"
        if plain_without_mark
        else "in training own draws random numbers for whole texts"
    )
    assert why in seams.unread


@pytest.mark.parametrize("save", [tm.save, save_plainly], ids=["model.save", "tf.saved_model.save"])
@pytest.mark.parametrize("head", [drops_in_front, called_twice, sequential], ids=lambda head: head.__name__)
def test_one_in_front_moves_nothing(tmp_path: Path, head: Head, save: Any) -> None:
    text = tm.text_input()
    outputs, before = head(tm.layers(), tm.pooled(text))
    survey = Survey(open_model(save(seeds.keras().Model(text, outputs), tmp_path / "model")))
    seams = find_seams(survey)
    assert seams.unread == ""
    expected = tm.answers(seeds.keras().Model(text, before))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)


def test_training_tells_a_dropout_of_any_name_from_what_only_looks_like_one(tmp_path: Path) -> None:
    layers, text = tm.layers(), tm.text_input()
    hidden = tm.dense(6, "hidden", "tanh")(tm.pooled(text))
    dropped = tm.dense(5, "deep")(layers.Dropout(0.1, name="shaken")(hidden))
    same = layers.Lambda(lambda y: tf.identity(y), name="dropout")(dropped)
    model = seeds.keras().Model(text, tm.dense(2, "output")(same))
    survey = Survey(open_model(save_plainly(model, tmp_path / "model")))
    seams = find_seams(survey)
    expected = tm.answers(seeds.keras().Model(text, hidden))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)


def test_a_layer_inside_of_another_is_named_by_its_path(tmp_path: Path) -> None:
    directory, hidden = saved(tmp_path, nested_functional)
    survey = Survey(open_model(directory))
    seams = find_seams(survey, "head/hidden")
    np.testing.assert_allclose(tensors(survey, seams)[0], hidden, atol=1e-6)


def test_another_layer_comes_first_and_the_one_at_the_dropout_stays(tmp_path: Path) -> None:
    directory, hidden = saved(tmp_path, two_dropouts)
    survey = Survey(open_model(directory))
    seams = find_seams(survey, "average")
    assert [(readout.layer, readout.kind) for readout, _ in seams.read] == [
        ("average", "other"),
        ("hidden", "pooled"),
    ]
    assert seams.seam == "hidden"
    np.testing.assert_allclose(tensors(survey, seams)[0], hidden, atol=1e-6)


def test_an_output_that_no_text_reaches_leaves_nothing_to_read() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def constant(text: Any) -> dict[str, Any]:
        del text
        return {"y": tf.zeros([3, 2])}

    seams = find_seams(Survey(tm.opened(constant)))
    assert seams.read == ()
    assert "no single tensor in it stands on every way to the outputs" in seams.unread


# Token inputs


def test_the_seed_model_has_ids_mask_and_types(seed_model: Path) -> None:
    survey = Survey(open_model(seed_model))
    seams = find_seams(survey)
    assert [(token.name, token.role, token.dtype) for token, _ in seams.tokens] == [
        ("input_ids", "ids", "int32"),
        ("input_mask", "mask", "int32"),
        ("input_types", "types", "int32"),
    ]
    preprocess, encoder = seeds.hub_layers()
    texts = tf.constant(tm.TEXTS)
    expected = preprocess(texts)
    found = parts.references(survey.opened, [ref for _, ref in seams.tokens])(texts)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    for (_, ref), name in zip(seams.tokens, names, strict=True):
        np.testing.assert_array_equal(found[ref], expected[name])
    kinds = [(readout.layer, readout.kind, readout.dimension) for readout, _ in seams.read]
    assert kinds == [
        ("BERT_encoder", "pooled", seeds.WIDTH),
        ("BERT_encoder/tokens", "tokens", seeds.WIDTH),
    ]
    outputs = encoder(expected)
    read = parts.references(survey.opened, [ref for _, ref in seams.read])(texts)
    for (_, ref), name in zip(seams.read, ("pooled_output", "sequence_output"), strict=True):
        np.testing.assert_allclose(read[ref], outputs[name], atol=1e-5)


TABLES = {"ids": tf.Variable(tf.random.normal([97, 4])), "types": tf.Variable(tf.random.normal([2, 4]))}


@tf.function
def tokenize(text: Any, order: tuple[str, ...]) -> list[Any]:
    """Ids, mask and types, made and given in any order, under names that say nothing."""
    ragged = tf.strings.to_hash_bucket_fast(tf.strings.split(text), 96)
    made = {
        "ids": ragged + 1,
        "mask": tf.ones_like(ragged),
        "types": tf.ragged.map_flat_values(lambda values: tf.cast(values > 48, tf.int64), ragged),
    }
    return [tf.cast(made[role].to_tensor(0, shape=[None, 6]), tf.int32, name="tokens") for role in order]


def classified(tokens: dict[str, Any], one_hot: bool) -> Any:
    hot = tf.one_hot(tokens["types"], 2) @ TABLES["types"]
    vectors = tf.gather(TABLES["ids"], tokens["ids"])
    vectors += hot if one_hot else tf.gather(TABLES["types"], tokens["types"])
    pooled = tf.reduce_sum(vectors * tf.cast(tokens["mask"], tf.float32)[:, :, None], 1)
    with tf.name_scope("dropout"):
        pooled = tf.identity(pooled, name="Identity")
    return tf.sigmoid(pooled)


@pytest.mark.parametrize("one_hot", [False, True], ids=["types gathered", "types one-hot"])
@pytest.mark.parametrize("order", list(permutations(["ids", "mask", "types"])), ids="-".join)
def test_roles_are_found_by_what_consumes_a_token_input(order: tuple[str, ...], one_hot: bool) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def model(text: Any) -> dict[str, Any]:
        tokens = dict(zip(order, tokenize(text, order), strict=True))
        return {"y": classified(tokens, one_hot)}

    opened = tm.opened(model, ("dropout", "Dropout"))
    seams = find_seams(Survey(opened))
    texts = tf.constant(tm.TEXTS)
    found = parts.references(opened, [ref for _, ref in seams.tokens])(texts)
    expected = dict(zip(order, tokenize(texts, order), strict=True))
    assert [token.role for token, _ in seams.tokens] == ["ids", "mask", "types"]
    for token, ref in seams.tokens:
        np.testing.assert_array_equal(found[ref], expected[token.role])


def test_a_word_table_gives_ids_only(tmp_path: Path) -> None:
    directory, _ = saved(tmp_path, plain)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    ((token, ref),) = seams.tokens
    assert (token.name, token.role, token.dtype) == ("input_ids", "ids", "int64")
    found = parts.references(survey.opened, [ref])(tf.constant(tm.TEXTS))[ref]
    assert found.shape == (len(tm.TEXTS), tm.LENGTH)
    assert seams.wordpieces is None


def test_ragged_ids_are_padded_and_made_ragged_again(tmp_path: Path) -> None:
    layers, text = tm.layers(), tm.text_input()
    words = layers.TextVectorization(vocabulary=list(WORDS), standardize="lower", ragged=True, name="words")
    ids = words(text)
    vectors = layers.Embedding(len(WORDS) + 2, 4, embeddings_initializer=tm.normal(1), name="vectors")(ids)
    pooled = layers.GlobalAveragePooling1D(name="average")(vectors)
    model = seeds.keras().Model(text, tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(pooled)))
    opened = open_model(tm.save(model, tmp_path / "model"))
    assert find_seams(Survey(opened)).read == ()
    survey = surveyed(opened)
    seams = find_seams(survey)
    assert [token.role for token, _ in seams.tokens] == ["ids", "mask"]
    np.testing.assert_allclose(
        tensors(survey, seams)[0], tm.answers(seeds.keras().Model(text, pooled)), atol=1e-6
    )
    texts = tf.constant(tm.TEXTS)
    wanted = seeds.keras().Model(text, ids)(texts)
    found = parts.references(survey.opened, [ref for _, ref in seams.tokens])(texts)
    padded, mask = (found[ref].numpy() for _, ref in seams.tokens)
    assert [row[used > 0].tolist() for row, used in zip(padded, mask, strict=True)] == wanted.to_list()


def test_a_text_model_without_token_ids_is_not_read() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def lengths(text: Any) -> dict[str, Any]:
        x = tf.cast(tf.strings.length(text), tf.float32)[:, None] * tf.ones([1, 3])
        with tf.name_scope("dropout"):
            x = tf.identity(x, name="Identity")
        return {"y": tf.sigmoid(x)}

    seams = find_seams(Survey(tm.opened(lengths, ("dropout", "Dropout"))))
    assert seams.read == ()
    assert "no token ids were found" in seams.unread
