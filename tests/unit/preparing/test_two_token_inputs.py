"""Models of several rows of ids, or of none that is masked: each row whole, and no text where it does not belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.embedder.given import Records, Tensors
from penult_service.errors import InvalidInput, ModelRefused, PreconditionFailed
from support.embedding import loaded, with_embedder
from support.formats.kit import KERAS, TF_KERAS, Kit

pytestmark = pytest.mark.tensorflow

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film")


def prepared(source: Path, place: Path) -> Any:
    from penult_service.preparing import pipeline
    from penult_service.preparing.declarations import declaring

    place.mkdir(exist_ok=True)
    pipeline.prepare(source, place / "prepared", None, lambda *_: None, declared=declaring.read(source))
    return loaded(place / "prepared", place)


def vocabulary_beside(model: Path) -> None:
    (model.parent / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (model.parent / "penult.toml").write_text("max_length = 20\n")


def question_and_answer(
    place: Path, lengths: tuple[int | None, int | None] = (None, None)
) -> tuple[Path, Any]:
    """Saved, and what makes the features of questions and answers."""
    kit = Kit(KERAS)
    table = kit.layers.Embedding(40, 8, mask_zero=True, embeddings_initializer=kit.normal(1))
    both = [
        kit.layers.Input((length,), dtype="int32", name=name)
        for name, length in zip(("question", "answer"), lengths, strict=True)
    ]
    features = kit.layers.Concatenate()([kit.average(f"of_{one.name}")(table(one)) for one in both])
    kit.model(both, kit.dense(3, activation="softmax")(kit.dropout()(features))).save(str(place / "m.keras"))
    return place / "m.keras", kit.keras.Model(both, features)


def assert_near(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lengths", [(None, None), (6, 4)])
def test_no_row_of_ids_is_cut_to_the_length_of_another(
    tmp_path: Path, lengths: tuple[int | None, int | None]
) -> None:
    source, features = question_and_answer(tmp_path, lengths)
    model = prepared(source, tmp_path)
    questions = np.array([[5, 6, 7, 8, 9, 10], [3, 4, 0, 0, 0, 0]], np.int32)
    answers = np.array([[5, 6, 0, 0], [7, 0, 0, 0]], np.int32)
    given = Tensors({"question": questions, "answer": answers})
    found = with_embedder(lambda embedder: embedder.embed(model, given))
    assert_near(found.vectors, features([questions, answers]))
    other = Tensors({"question": answers, "answer": answers[:, :3] if not lengths[0] else answers})
    if not lengths[0]:
        found = with_embedder(lambda embedder: embedder.embed(model, other))
        assert_near(found.vectors, features([answers, answers[:, :3]]))


def test_two_inputs_that_need_their_padding_keep_it(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    table = kit.layers.Embedding(40, 8, embeddings_initializer=kit.normal(1))
    inputs, largest = [], []
    for name in ("question", "answer"):
        ids, mask = (
            kit.layers.Input((None,), dtype="int32", name=f"{name}_{part}") for part in ("ids", "mask")
        )
        # 0 where the mask is: the largest of a row with padding is never below it.
        shown = kit.layers.Multiply()([table(ids), kit.layers.Reshape((-1, 1))(mask)])
        largest.append(kit.layers.GlobalMaxPooling1D()(shown))
        inputs += [ids, mask]
    features = kit.layers.Concatenate()(largest)
    kit.model(inputs, kit.dense(3)(kit.dropout()(features))).save(str(tmp_path / "m.keras"))
    assert not prepared(tmp_path / "m.keras", tmp_path).manifest.trims


def test_ids_behind_the_mask_are_not_cut_off(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    ids, mask = (kit.layers.Input((None,), dtype="int32", name=name) for name in ("ids", "mask"))
    vectors = kit.layers.Embedding(40, 8, mask_zero=True, embeddings_initializer=kit.normal(1))(ids)
    seen = kit.layers.Reshape((1, -1))(mask)
    attended = kit.layers.MultiHeadAttention(2, 4)(vectors, vectors, attention_mask=seen)
    # The average goes by the ids alone.
    features = kit.average()(kit.layers.Add()([vectors, attended]))
    kit.model([ids, mask], kit.dense(3)(kit.dropout()(features))).save(str(tmp_path / "m.keras"))
    model = prepared(tmp_path / "m.keras", tmp_path)
    assert model.manifest.trims
    columns = [[[5, 6, 7, 8, 0], [3, 4, 5, 0, 0]], [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]]
    given = dict(zip(("ids", "mask"), np.array(columns, np.int32), strict=True))
    found = with_embedder(lambda embedder: embedder.embed(model, Tensors(given)))
    assert_near(found.vectors, kit.keras.Model([ids, mask], features)(list(given.values())))
    assert found.token_counts.tolist() == [2, 3]


def test_whole_numbers_that_are_no_tokens_are_declared(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    ids = kit.layers.Input((None,), dtype="int32", name="ids")
    counts = kit.layers.Input((4,), dtype="int32", name="counts")
    table = kit.layers.Embedding(40, 8, mask_zero=True, embeddings_initializer=kit.normal(1))
    features = kit.layers.Concatenate()([kit.average()(table(ids)), kit.dense(4, "counted")(counts)])
    kit.model([ids, counts], kit.dense(3)(kit.dropout()(features))).save(str(tmp_path / "m.keras"))
    (tmp_path / "penult.toml").write_text('[inputs]\nids = "ids"\ncounts = "value"\n')
    model = prepared(tmp_path / "m.keras", tmp_path)
    given = {
        "ids": np.array([[5, 6, 7, 8, 9], [3, 4, 0, 0, 0]], np.int32),
        "counts": np.array([[1, 0, 0, 7], [1, 1, 1, 0]], np.int32),
    }
    found = with_embedder(lambda embedder: embedder.embed(model, Tensors(given)))
    assert_near(found.vectors, kit.keras.Model([ids, counts], features)(list(given.values())))
    assert model.manifest.trims


def test_a_text_is_not_put_into_two_inputs(tmp_path: Path) -> None:
    source, _ = question_and_answer(tmp_path)
    vocabulary_beside(source)
    (tmp_path / "penult.toml").unlink()
    model = prepared(source, tmp_path)
    assert any("question (ids), answer (ids)" in note for note in model.manifest.proof.findings)
    with pytest.raises(PreconditionFailed) as refused:
        with_embedder(lambda embedder: embedder.embed(model, ["good film"]))
    assert refused.value.reason == "TEXTS_NOT_TAKEN"


def test_texts_that_change_with_their_padding_are_refused(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    ids = kit.layers.Input((None,), dtype="int32", name="input_ids")
    table = kit.layers.Embedding(len(WORDS), 8, embeddings_initializer=kit.normal(1))
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(kit.average()(table(ids))))
    kit.model(ids, outputs).save(str(tmp_path / "m.keras"))
    vocabulary_beside(tmp_path / "m.keras")
    with pytest.raises(ModelRefused) as refused:
        prepared(tmp_path / "m.keras", tmp_path)
    assert refused.value.reason == "DEPENDS_ON_COMPANY"


@pytest.mark.parametrize("words", [False, True])
def test_predict_of_an_uncut_model_keeps_the_padding(tmp_path: Path, words: bool) -> None:
    kit = Kit(KERAS)
    ids = kit.layers.Input((None,), dtype="int32", name="input_ids")
    average = kit.average()(kit.layers.Embedding(len(WORDS), 8, embeddings_initializer=kit.normal(1))(ids))
    # Two dropouts that read different tensors: no single one is the input of the head.
    sides = [kit.dropout(name=f"drop_{n}")(kit.dense(4, f"side_{n}", "tanh")(average)) for n in (1, 2)]
    whole = kit.model(ids, kit.dense(3)(kit.layers.Concatenate()(sides)))
    whole.save(str(tmp_path / "m.keras"))
    if words:
        vocabulary_beside(tmp_path / "m.keras")
        with pytest.raises(ModelRefused) as refused:
            prepared(tmp_path / "m.keras", tmp_path)
        assert refused.value.reason == "DEPENDS_ON_COMPANY"
        return
    model = prepared(tmp_path / "m.keras", tmp_path)
    assert model.manifest.unread
    rows = np.array([[4, 5, 0, 0, 0], [3, 0, 0, 0, 0]], np.int32)
    found = with_embedder(lambda embedder: embedder.predict(model, Tensors({"input_ids": rows})))
    assert_near(next(iter(found.values())), whole(rows))


def test_an_uncut_model_whose_rows_change_with_their_company_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.table = tf.Variable(tf.random.stateless_normal([40, 3], [1, 2]))

    def saved(name: str, axis: int) -> Path:
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="ids")])
        def scores(ids: Any) -> dict[str, Any]:
            found = tf.nn.softmax(tf.reduce_mean(tf.gather(module.table, ids), 1), axis=axis)
            return {"scores": found, "scale": tf.constant(2.0)}

        tf.saved_model.save(module, str(tmp_path / name), signatures={"serving_default": scores})
        return tmp_path / name

    model = prepared(saved("by_row", 1), tmp_path)
    assert model.manifest.unread
    with pytest.raises(ModelRefused) as refused:
        prepared(saved("by_batch", 0), tmp_path / "other")
    assert refused.value.reason == "DEPENDS_ON_COMPANY"


@pytest.mark.parametrize("masked", [False, True])
def test_two_texts_of_their_own_lengths(tmp_path: Path, masked: bool) -> None:
    import tensorflow as tf

    kit = Kit(TF_KERAS)
    question, answer = kit.text("question"), kit.text("answer")
    table, average = kit.table(masked=masked), kit.average()
    ids = kit.words(8, name="short")(question), kit.words(16, name="long")(answer)
    features = kit.layers.Concatenate()([average(table(one)) for one in ids])
    kit.model([question, answer], kit.dense(3)(kit.dropout()(features))).save(str(tmp_path / "m"))
    model = prepared(tmp_path / "m", tmp_path)
    rows = [("a good film", "the film was good"), ("the plot , and the music", "a bad one")]
    columns = [tf.constant(list(column)) for column in zip(*rows, strict=True)]
    wanted = kit.keras.Model([question, answer], features)(columns)
    named = Records([{"question": one, "answer": other} for one, other in rows])
    for given in (named, Records(rows)):
        found = with_embedder(lambda embedder, given=given: embedder.embed(model, given))
        assert_near(found.vectors, wanted)


def test_each_row_of_ids_has_the_table_that_it_looks_up(tmp_path: Path) -> None:
    """Positions are ids of a smaller table."""
    kit = Kit(KERAS)
    ids, places = (kit.layers.Input((None,), dtype="int32", name=name) for name in ("ids", "positions"))
    words = kit.layers.Embedding(40, 8, embeddings_initializer=kit.normal(1))(ids)
    moved = kit.layers.Embedding(32, 8, embeddings_initializer=kit.normal(2))(places)
    features = kit.average()(kit.layers.Add()([words, moved]))
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(features))
    kit.model([ids, places], outputs).save(str(tmp_path / "m.keras"))
    model = prepared(tmp_path / "m.keras", tmp_path)
    given = {"ids": np.array([[39, 5, 7]], np.int32), "positions": np.array([[0, 31, 2]], np.int32)}
    found = with_embedder(lambda embedder: embedder.embed(model, Tensors(given)))
    assert_near(found.vectors, kit.keras.Model([ids, places], features)([given["ids"], given["positions"]]))
    for name, most in (("ids", 39), ("positions", 31)):
        wrong = Tensors({**given, name: np.full((1, 3), most + 1, np.int32)})
        with pytest.raises(InvalidInput, match=f"{most + 1}, the model has 0 to {most}") as refused:
            with_embedder(lambda embedder, wrong=wrong: embedder.embed(model, wrong))
        assert refused.value.reason == "OUT_OF_RANGE"
