"""Models of events with times: numbers for each id are cut and filled up with the ids, in whatever batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.embedder.given import Records, Tensors
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.preparing import pipeline
from penult_service.preparing.declarations import declaring
from support.embedding import loaded, with_embedder
from support.formats.kit import KERAS, TF_KERAS, Kit

pytestmark = pytest.mark.tensorflow

IDS, UNITS = 12, 6


def events_model(
    kit: Kit, minutes_shape: tuple[int | None, ...] = (None,), **options: Any
) -> tuple[Any, Any]:
    """Events and the minutes between them → a softmax; and what stands in front of its dropout."""
    layers = kit.layers
    fixed = {"batch_size": 2} if options.get("stateful") else {}
    events = layers.Input((None,), dtype="int32", name="events", **fixed)
    minutes = layers.Input(minutes_shape, name="minutes", **fixed)
    table = layers.Embedding(IDS, 4, mask_zero=True, embeddings_initializer=kit.normal(1))
    steps = minutes if len(minutes_shape) == 2 else layers.Reshape((-1, 1))(minutes)
    both = layers.Concatenate()([table(events), steps])
    # Not the mask of Concatenate: that of Keras 3 lets a step count where any of its inputs has no mask.
    lstm = layers.LSTM(UNITS, kernel_initializer=kit.normal(2), bias_initializer=kit.normal(3), **options)
    state = lstm(both, mask=table.compute_mask(events))
    model = kit.model([events, minutes], kit.dense(3, activation="softmax")(kit.dropout()(state)))
    return model, kit.keras.Model([events, minutes], state)


def prepared(source: Path, place: Path) -> Any:
    pipeline.prepare(source, place / "prepared", None, lambda *_: None, declared=declaring.read(source))
    return loaded(place / "prepared", place)


def saved(kit: Kit, model: Any, place: Path) -> Path:
    if kit.flavour == TF_KERAS:
        model.save(str(place / "m"), save_format="tf")
        return place / "m"
    model.save(str(place / "m.keras"))
    return place / "m.keras"


def rows(padding: str) -> tuple[Any, Any]:
    """Five rows of 9, 7, 3, 1 and 8 events."""
    rng = np.random.default_rng(4)
    within = np.arange(9) < np.array([9, 7, 3, 1, 8])[:, None]
    within = within[:, ::-1] if padding == "left" else within
    events = rng.integers(1, IDS, within.shape) * within
    return events.astype(np.int32), (rng.exponential(3.0, within.shape) * within).astype(np.float32)


def assert_near(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flavour", [KERAS, TF_KERAS])
def test_every_packing_gives_what_keras_gives(flavour: str, tmp_path: Path) -> None:
    kit = Kit(flavour)
    model, state = events_model(kit)
    served = prepared(saved(kit, model, tmp_path), tmp_path)
    assert [(token.field, token.role) for token in served.manifest.inputs] == [
        ("events", "ids"),
        ("minutes", "steps"),
    ]
    assert served.manifest.trims
    for padding in ("right", "left"):
        events, minutes = rows(padding)
        wanted, said = (
            state.predict([events, minutes], verbose=0),
            model.predict([events, minutes], verbose=0),
        )
        for chosen in ([0, 1, 2, 3, 4], [3, 2], [4, 0, 2], [1], [3]):
            given = Tensors({"events": events[chosen], "minutes": minutes[chosen]})
            assert_near(with_embedder(lambda e, given=given: e.embed(served, given)).vectors, wanted[chosen])
            outputs = with_embedder(lambda e, given=given: e.predict(served, given))
            assert_near(next(iter(outputs.values())), said[chosen])
    records = Records([{"events": e[e > 0].astype(float), "minutes": m[e > 0].astype(float)}
                       for e, m in zip(*rows("right"), strict=True)])  # fmt: skip
    events, minutes = rows("right")
    found = with_embedder(lambda e: e.embed(served, records))
    assert_near(found.vectors, state.predict([events, minutes], verbose=0))


def test_several_numbers_for_each_event(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    model, state = events_model(kit, (None, 2))
    served = prepared(saved(kit, model, tmp_path), tmp_path)
    assert served.manifest.inputs[1].shape == (-1, 2)
    events, minutes = rows("right")
    both = np.stack([minutes, minutes**2], axis=2)
    given = Tensors({"events": events, "minutes": both})
    assert_near(
        with_embedder(lambda e: e.embed(served, given)).vectors, state.predict([events, both], verbose=0)
    )
    short = Tensors({"events": events[3:4, :2], "minutes": both[3:4, :2]})
    found = with_embedder(lambda e: e.embed(served, short)).vectors
    assert_near(found, state.predict([events, both], verbose=0)[3:4])


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    kit = Kit(KERAS)
    served = prepared(saved(kit, events_model(kit)[0], tmp_path), tmp_path)
    events, minutes = rows("right")
    nan = minutes.copy()
    nan[2, 1] = np.nan
    wrong: list[tuple[Any, Any, str, str]] = [
        (events, minutes[:, :-1], "WRONG_SHAPE", "events 9, minutes 8"),
        (events, minutes[..., None], "WRONG_SHAPE", r"minutes\] has rows of shape \[9, 1\]"),
        (events, nan, "NOT_FINITE", r"row 2 of tensors\[minutes\] holds NaN"),
        (events.astype(np.float32), minutes, "WRONG_TYPE", r"tensors\[events\] is of type float32"),
        (events + IDS, minutes, "OUT_OF_RANGE", "holds the id"),
    ]
    for one, other, reason, words in wrong:
        given = Tensors({"events": one, "minutes": other})
        for ask in ("embed", "predict"):
            with pytest.raises(InvalidInput, match=words) as caught:
                with_embedder(lambda e, ask=ask, given=given: getattr(e, ask)(served, given))
            assert caught.value.reason == reason
            assert caught.value.field in ("tensors[events]", "tensors[minutes]")
    whole = Tensors({"events": events.astype(np.int64), "minutes": np.rint(minutes).astype(np.int32)})
    as_floats = Tensors({"events": events, "minutes": np.rint(minutes)})
    one, other = (with_embedder(lambda e, g=g: e.embed(served, g)).vectors for g in (whole, as_floats))
    np.testing.assert_array_equal(one, other)


def test_the_mask_that_keras_3_loses_is_not_pretended(tmp_path: Path) -> None:
    """Its Concatenate makes a step count where any input has no mask: the padding then changes what the model says."""
    kit = Kit(KERAS)
    layers = kit.layers
    events, minutes = (
        layers.Input((None,), dtype="int32", name="events"),
        layers.Input((None,), name="minutes"),
    )
    vectors = layers.Embedding(IDS, 4, mask_zero=True, embeddings_initializer=kit.normal(1))(events)
    both = layers.Concatenate()([vectors, layers.Reshape((-1, 1))(minutes)])
    state = layers.LSTM(UNITS, bias_initializer=kit.normal(3))(both)
    model = kit.model([events, minutes], kit.dense(3)(kit.dropout()(state)))
    served = prepared(saved(kit, model, tmp_path), tmp_path)
    assert not served.manifest.trims
    given = rows("right")
    found = with_embedder(
        lambda e: e.embed(served, Tensors(dict(zip(("events", "minutes"), given, strict=True))))
    )
    assert_near(found.vectors, kit.keras.Model([events, minutes], state).predict([*given], verbose=0))


@pytest.mark.parametrize(
    ("flavour", "reason", "words"),
    [
        (KERAS, "WRITES_AT_INFERENCE", "build it with stateful=False"),
        (TF_KERAS, "NO_BATCH", "takes exactly 2 rows"),
    ],
)
def test_a_model_that_remembers_the_last_call_is_refused(
    flavour: str, reason: str, words: str, tmp_path: Path
) -> None:
    kit = Kit(flavour)
    model, _ = events_model(kit, stateful=True)
    with pytest.raises(ModelRefused, match=words) as caught:
        prepared(saved(kit, model, tmp_path), tmp_path)
    assert caught.value.reason == reason


def test_the_lengths_and_whole_numbers_of_the_question(tmp_path: Path) -> None:
    """Types int32 [50] and minutes [50, 1], as `Getting keras LSTM layer to accept two inputs?` has them."""
    kit = Kit(KERAS)
    layers = kit.layers
    events = layers.Input((50,), dtype="int32", name="main_input")
    minutes = layers.Input((50, 1), dtype="float32", name="aux_input")
    table = layers.Embedding(IDS, 4, mask_zero=True, embeddings_initializer=kit.normal(1))
    both = layers.Concatenate()([table(events), minutes])
    state = layers.LSTM(UNITS, bias_initializer=kit.normal(3))(both, mask=table.compute_mask(events))
    model = kit.model([events, minutes], kit.dense(1, activation="sigmoid")(kit.dropout()(state)))
    served = prepared(saved(kit, model, tmp_path), tmp_path)
    given = [np.zeros((5, 50), np.int32), np.zeros((5, 50, 1), np.float32)]
    given[0][:, -9:], given[1][:, -9:, 0] = rows("left")
    wanted = kit.keras.Model([events, minutes], state).predict(given, verbose=0)
    for chosen in ([0, 1, 2, 3, 4], [3], [4, 1]):
        one = Tensors({"main_input": given[0][chosen], "aux_input": given[1][chosen].astype(np.int64)})
        other = Tensors({"main_input": given[0][chosen], "aux_input": given[1][chosen]})
        assert_near(with_embedder(lambda e, g=other: e.embed(served, g)).vectors, wanted[chosen])
        assert with_embedder(lambda e, g=one: e.embed(served, g)).vectors.shape == (len(chosen), UNITS)
    short = Tensors({"main_input": given[0][:, :49], "aux_input": given[1]})
    with pytest.raises(InvalidInput, match=r"rows of shape \[49\], the model takes \[50\]") as caught:
        with_embedder(lambda e: e.embed(served, short))
    assert caught.value.field == "tensors[main_input]"


def test_minutes_that_are_whole_numbers_are_declared(tmp_path: Path) -> None:
    """They look like a mask: what says that they are none is `penult.toml`."""
    kit = Kit(KERAS)
    layers = kit.layers
    events, minutes = (layers.Input((None,), dtype="int32", name=name) for name in ("events", "minutes"))
    table = layers.Embedding(IDS, 4, mask_zero=True, embeddings_initializer=kit.normal(1))
    steps = layers.Rescaling(0.1)(layers.Reshape((-1, 1))(minutes))
    state = layers.LSTM(UNITS)(layers.Concatenate()([table(events), steps]), mask=table.compute_mask(events))
    model = kit.model([events, minutes], kit.dense(3)(kit.dropout()(state)))
    source = saved(kit, model, tmp_path)
    (tmp_path / "penult.toml").write_text('inputs = { minutes = "value" }\n')
    served = prepared(source, tmp_path)
    assert [token.role for token in served.manifest.inputs] == ["ids", "steps"]
    given = rows("right")[0], np.rint(rows("right")[1]).astype(np.int32)
    found = with_embedder(
        lambda e: e.embed(served, Tensors(dict(zip(("events", "minutes"), given, strict=True))))
    )
    assert_near(found.vectors, kit.keras.Model([events, minutes], state).predict([*given], verbose=0))
