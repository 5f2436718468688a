"""Which dropouts are put back, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import SAMPLE_ENCODE, SAMPLE_HEAD, Manifest
from penult_service.preparing import pipeline
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.examples import Rows
from penult_service.preparing.proof.served import Served
from penult_service.preparing.sampling.putting import sampled_sites
from support import seed_model as seeds
from support import text_models as tm
from support.formats import kit
from support.formats.kit import KERAS, TF_KERAS, Kit
from support.keyed_noise import keyed_noise

pytestmark = pytest.mark.tensorflow
TEXTS = np.array(kit.TEXTS, dtype=object)
ROWS = Rows({"text": TEXTS})
Array = NDArray[Any]


def prepared(model: Any, place: Path, ending: str = "", **options: Any) -> Served:
    source = place / f"model{ending}"
    if ending == "export":
        model.export(str(source), verbose=False)
    else:
        model.save(str(source))
    return of(source, place, **options)


def of(source: Path, place: Path, layer: str | None = None, **options: Any) -> Served:
    manifest = pipeline.prepare(source, place / "prepared", layer, lambda *_: None, **options)
    return Served(tf.saved_model.load(str(place / "prepared")).signatures, manifest)


def draw(manifest: Manifest, count: int = len(TEXTS), last: float = 0.0) -> Draw:
    keys = masks.keys_of(3, np.zeros(count, np.int64), np.arange(count))
    own = [(site.rate or 0.0) * site.sampled for site in manifest.sites]
    return Draw(*keys, np.array([*own, last], np.float32))


def sampled(served: Served, rows: Rows = ROWS) -> Array:
    inputs, drawn = served.tokenize(rows), draw(served.manifest, len(rows))
    inside = served.manifest.samples_inside
    embedding = served.sample_encode(inputs, drawn) if inside else served.encode(inputs)
    (found,) = served.sample_head(embedding, inputs, drawn).values()
    return np.asarray(found)


def clean(served: Served, rows: Rows = ROWS) -> Array:
    inputs = served.tokenize(rows)
    (found,) = served.head(served.encode(inputs), inputs).values()
    return np.asarray(found)


def by_keras(model: Any, served: Served, *given: Any) -> Array:
    given = given or (tf.constant(list(TEXTS)),)
    with keyed_noise(model, served.manifest.sites, draw(served.manifest)):
        return kit.as_numpy(model(given[0] if len(given) == 1 else list(given), training=True))


def which(served: Served) -> dict[str, bool]:
    return {site.path: site.sampled for site in served.manifest.sites}


# Noise that leaves nothing in the graph of a tf_keras SavedModel


def test_noise_without_a_trace_is_put_back_where_one_layer_reads_it(tmp_path: Path) -> None:
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.dense(6, "hidden", "tanh")(k.average()(k.table()(k.words()(text))))
    x = k.dense(6, "inner", "tanh")(k.layers.GaussianNoise(0.3, name="noise")(x))
    model = k.model(text, k.dense(3, "output")(k.layers.AlphaDropout(0.2, name="alpha")(x)))
    served = prepared(model, tmp_path)
    assert [(one.path, one.place) for one in served.manifest.sites] == [("noise", "before"), ("alpha", "at")]
    assert which(served) == {"noise": True, "alpha": True}
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("reader", "known"),
    [pytest.param("LayerNormalization", True, marks=pytest.mark.full), ("UnitNormalization", False)],
)
def test_noise_without_a_trace_is_not_put_back_where_its_tensor_is_read_twice(
    reader: str, known: bool, tmp_path: Path
) -> None:
    """A layer that asks for its shape alone reads it once."""
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.dense(6, "hidden", "tanh")(k.average()(k.table()(k.words()(text))))
    x = getattr(k.layers, reader)(name="norm")(k.layers.GaussianNoise(0.3, name="noise")(x))
    x = k.dense(6, "inner", "tanh")(x)
    model = k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path)
    assert which(served) == {"noise": known, "last": True}
    assert (SAMPLE_ENCODE in served.signatures) is known
    said = [line for line in served.manifest.proof.findings if "cannot be put back at noise" in line]
    assert len(said) == (0 if known else 1)
    if known:
        np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


def test_noise_without_a_trace_in_front_of_the_head_is_put_back_whoever_reads_it(tmp_path: Path) -> None:
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.average()(k.table()(k.words()(text)))
    x = k.layers.GaussianNoise(0.3, name="noise")(x)
    two = [k.dense(3, "one")(x), k.dense(3, "two")(x)]
    model = k.model(text, k.layers.Add(name="sum")(two))
    served = prepared(model, tmp_path)
    assert [(one.place, one.sampled) for one in served.manifest.sites] == [("at", True)]
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


# Where a dropout stands


@pytest.mark.parametrize(
    ("flavour", "ending"), [(TF_KERAS, ""), pytest.param(KERAS, ".keras", marks=pytest.mark.full)]
)
def test_of_several_on_the_embedding_one_behind_the_other_all_belong_to_the_head(
    flavour: str, ending: str, tmp_path: Path
) -> None:
    k = Kit(flavour)
    text = k.text()
    x = k.average()(k.table()(k.words()(text)))
    for name in ("one", "two", "three"):
        x = k.dropout(0.3, name)(x)
    model = k.model(text, k.dense(3, "output")(x))
    served = prepared(model, tmp_path, ending)
    assert {site.place for site in served.manifest.sites} == {"at"}
    assert SAMPLE_ENCODE not in served.signatures
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flavour", [TF_KERAS, pytest.param(KERAS, marks=pytest.mark.full)])
def test_rows_that_a_layer_takes_apart(flavour: str, tmp_path: Path) -> None:
    k = Kit(flavour)
    text = k.text()
    x = k.table(masked=False)(k.words()(text))
    x = k.layers.TimeDistributed(k.dropout(0.3, "each_word"), name="words_apart")(x)
    x = k.dense(6, "hidden", "tanh")(k.average()(x))
    model = k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path, ".keras")
    # Keras 3 calls the layer once a word.
    assert len(served.manifest.sites) == (2 if flavour == TF_KERAS else kit.LENGTH + 1)
    assert all(which(served).values())
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


def test_a_layer_that_is_asked_for(tmp_path: Path) -> None:
    """What stood in front of the seam stands behind it then."""
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.dense(6, "hidden", "tanh")(k.average()(k.table()(k.words()(text))))
    x = k.dense(6, "inner", "tanh")(k.dropout(0.3, "first")(x))
    model = k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path, layer="hidden")
    assert all(which(served).values())
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("flavour", "ending", "policy"),
    [
        (TF_KERAS, "", "mixed_float16"),
        pytest.param(KERAS, ".keras", "mixed_bfloat16", marks=pytest.mark.full),
        pytest.param(TF_KERAS, "", "mixed_bfloat16", marks=pytest.mark.full),
        pytest.param(KERAS, ".keras", "mixed_float16", marks=pytest.mark.full),
    ],
)
def test_half_precision(flavour: str, ending: str, policy: str, tmp_path: Path) -> None:
    k = Kit(flavour)
    with k.policy(policy):
        text = k.text()
        x = k.average()(k.layers.SpatialDropout1D(0.3, name="spatial")(k.table()(k.words()(text))))
        x = k.dense(6, "hidden", "tanh")(x)
        model = k.model(text, k.dense(3, "output", dtype="float32")(k.dropout(0.4, "last")(x)))
        served = prepared(model, tmp_path, ending)
        assert all(which(served).values())
        expected = by_keras(model, served)
    limit = 4e-3 if policy == "mixed_float16" else 5e-2
    np.testing.assert_allclose(sampled(served), expected, rtol=limit, atol=limit)
    assert np.abs(clean(served) - expected).max() > 3 * limit


def test_numbers_beside_the_text(tmp_path: Path) -> None:
    k = Kit(TF_KERAS)
    text, numbers = k.text(), k.layers.Input((2,), name="numbers")
    x = k.average()(k.dropout(0.2, "words_dropout")(k.table()(k.words()(text))))
    x = k.layers.Concatenate(name="joined")([k.dropout(0.3, "first")(x), numbers])
    x = k.dense(6, "hidden", "tanh")(x)
    x = k.layers.Concatenate(name="again")([k.dropout(0.4, "last")(x), numbers])
    model = k.model([text, numbers], k.dense(3, "output")(x))
    served = prepared(model, tmp_path)
    beside = np.random.default_rng(1).normal(size=(len(TEXTS), 2)).astype(np.float32)
    rows = Rows({"text": TEXTS, "numbers": beside})
    assert served.manifest.head_values
    assert which(served) == {"words_dropout": True, "first": True, "last": True}
    expected = by_keras(model, served, tf.constant(list(TEXTS)), tf.constant(beside))
    np.testing.assert_allclose(sampled(served, rows), expected, rtol=1e-5, atol=1e-5)


def test_numbers_alone(tmp_path: Path) -> None:
    """Rows without a length; the first dropout stands on what the caller gives."""
    k = Kit(TF_KERAS)
    numbers = k.layers.Input((4,), name="numbers")
    x = k.dense(6, "hidden", "tanh")(k.dropout(0.3, "first")(numbers))
    model = k.model(numbers, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path)
    given = np.random.default_rng(1).normal(size=(len(TEXTS), 4)).astype(np.float32)
    assert which(served) == {"first": True, "last": True}
    found = sampled(served, Rows({"numbers": given}))
    np.testing.assert_allclose(found, by_keras(model, served, tf.constant(given)), rtol=1e-5, atol=1e-5)


@pytest.mark.full
def test_what_drops_inside_a_loop_is_no_site(tmp_path: Path) -> None:
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.layers.LSTM(6, dropout=0.3, recurrent_dropout=0.3, name="lstm")(k.table()(k.words()(text)))
    model = k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path)
    assert which(served) == {"last": True}
    assert SAMPLE_ENCODE not in served.signatures


# Rates that are not known


def exportable() -> Any:
    k = Kit(KERAS)
    text = k.text()
    x = k.dense(6, "hidden", "tanh")(k.average()(k.table()(k.words()(text))))
    return k.model(text, k.dense(3, "output")(k.dropout(0.4, "dropout")(x)))


def test_an_export_without_rates_drops_the_embedding_itself(tmp_path: Path) -> None:
    model = exportable()
    served = prepared(model, tmp_path, "export")
    assert served.manifest.sites == ()
    assert not served.manifest.unsampled
    inputs, drawn = served.tokenize(ROWS), draw(served.manifest, last=0.4)
    embedding = served.encode(inputs)
    (found,) = served.sample_head(embedding, inputs, drawn).values()
    masked = masks.dropped(embedding, drawn.row_keys, 0, float(drawn.rates[0]))
    expected = model.get_layer("output")(tf.constant(masked))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_export_with_a_declared_rate_has_the_site(tmp_path: Path) -> None:
    model = exportable()
    served = prepared(model, tmp_path, "export", declared=Declaration(dropout={"dropout": 0.4}))
    assert [(one.path, one.rate, one.place) for one in served.manifest.sites] == [("dropout", 0.4, "at")]
    assert all(which(served).values())
    np.testing.assert_allclose(sampled(served), by_keras(model, served), rtol=1e-5, atol=1e-5)


def test_a_model_without_dropout_drops_the_embedding_itself(tmp_path: Path) -> None:
    model = seeds.keras().Model(text := tm.text_input(), tm.dense(3, "output", "softmax")(tm.pooled(text)))
    served = prepared(model, tmp_path)
    inputs, drawn = served.tokenize(ROWS), draw(served.manifest, last=0.5)
    embedding = served.encode(inputs)
    (found,) = served.sample_head(embedding, inputs, drawn).values()
    (expected,) = served.head(masks.dropped(embedding, drawn.row_keys, 0, 0.5), inputs).values()
    np.testing.assert_array_equal(found, expected)


# What cannot be sampled


def test_a_model_that_nothing_is_read_of(tmp_path: Path) -> None:
    from support.formats import plain

    made = plain.no_seam(tmp_path)
    served = of(made.source, tmp_path)
    assert served.manifest.unread
    assert "no embedding of this model can be read" in served.manifest.unsampled
    assert not {SAMPLE_HEAD, SAMPLE_ENCODE} & set(served.signatures)


def test_a_model_that_draws_numbers_itself(tmp_path: Path) -> None:
    text = tm.text_input()
    noisy = tm.layers().Dropout(0.4, name="always")(tm.pooled(text), training=True)
    model = seeds.keras().Model(text, tm.dense(3, "output")(tm.layers().Dropout(0.3, name="last")(noisy)))
    served = prepared(model, tmp_path, allow_stochastic=True)
    assert "draws random numbers at inference" in served.manifest.unsampled
    assert not {SAMPLE_HEAD, SAMPLE_ENCODE} & set(served.signatures)
    assert not any(which(served).values())


def test_a_dropout_whose_rows_cannot_be_told_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    """One on words, all texts' first ones in front, then the second ones: which row is whose depends on company."""
    k = Kit(TF_KERAS)
    text = k.text()
    x = k.dropout(0.2, "words_dropout")(k.table(masked=False)(k.words()(text)))
    turned = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, kit.WIDTH])
    turned = k.dropout(0.3, "turned")(turned)
    x = tf.transpose(tf.reshape(turned, [kit.LENGTH, -1, kit.WIDTH]), [1, 0, 2])
    x = k.dense(6, "hidden", "tanh")(k.average()(x))
    model = k.model(text, k.dense(3, "output")(k.dropout(0.4, "last")(x)))
    served = prepared(model, tmp_path)
    assert which(served) == {"words_dropout": True, "turned": False, "last": True}
    (note,) = [line for line in served.manifest.proof.findings if "put back" in line]
    assert "cannot be put back at turned" in note
    assert "alone and in company" in note
    assert served.manifest.samples_inside
    assert [site.path for _, site in sampled_sites(served.manifest.sites, "before")] == ["words_dropout"]


@pytest.mark.parametrize("what", ["sample_head", "sample_encode"])
def test_a_contradiction_is_said_and_the_model_is_served(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = getattr(Served, what)

    def wrong(*args: Any) -> Any:
        found = plain(*args)
        return (
            found + 0.25 if what == "sample_encode" else {name: value + 0.25 for name, value in found.items()}
        )

    monkeypatch.setattr(Served, what, wrong)
    text = tm.text_input()
    x = tm.dense(6, "hidden", "tanh")(tm.layers().Dropout(0.3, name="first")(tm.pooled(text)))
    model = seeds.keras().Model(text, tm.dense(3, "output")(tm.layers().Dropout(0.3, name="last")(x)))
    served = prepared(model, tmp_path)
    manifest = served.manifest
    assert manifest.proof.proven
    said = manifest.unsampled if what == "sample_head" else " ".join(manifest.proof.findings)
    assert "the experiment contradicts it (with every rate at 0" in said
    assert "at most 1e-05" in said
    if what == "sample_encode":
        assert not manifest.unsampled
        assert which(served) == {"first": False, "last": True}
        assert not manifest.samples_inside
    assert not any(figure.name.startswith(what) for figure in manifest.proof.figures)


def test_masks_that_do_not_fit_are_a_contradiction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> Any:
        raise tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [4,3] vs. [2,3]")

    monkeypatch.setattr(Served, "sample_head", wrong)
    served = prepared(tm.classifier(), tmp_path)
    assert "(with every rate at 0" in served.manifest.unsampled
    assert "inf" in served.manifest.unsampled


def test_the_figures_stand_in_the_manifest(tmp_path: Path) -> None:
    text = tm.text_input()
    x = tm.dense(6, "hidden", "tanh")(tm.layers().Dropout(0.3, name="first")(tm.pooled(text)))
    model = seeds.keras().Model(text, tm.dense(3, "output")(tm.layers().Dropout(0.3, name="last")(x)))
    manifest = prepared(model, tmp_path).manifest
    figures = {one.name: one for one in manifest.proof.figures if one.name.startswith("sample")}
    assert set(figures) == {
        "sample_head_off",
        "sample_head_alone",
        "sample_head_masks",
        "sample_encode_off",
        "sample_encode_alone",
    }
    assert all(one.value <= one.limit <= 1e-4 for one in figures.values())
