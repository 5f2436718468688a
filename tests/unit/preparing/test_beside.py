"""The tokenizer whose files lie beside a model that takes token ids, against the library that made them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import ModelRefused
from penult_service.prepared import TokenInput

pytestmark = pytest.mark.tensorflow

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film", "##s", "cafe"]
TEXTS = ["Good films", "", "café", "unheard of", "good " * 30]


def folder(place: Path, words: list[str] = WORDS, **settings: Any) -> Path:
    place.mkdir()
    (place / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    if settings:
        (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return place


def model(place: Path, width: int | None = 12, rows: int = len(WORDS), types: bool = True) -> Any:
    """A model that takes ids, mask and types, as far as this step looks at it; and where it is cut."""
    import tensorflow as tf
    from penult_service.preparing.graph import FlatGraph
    from penult_service.preparing.opened import Input, Opened
    from penult_service.preparing.places import Seams

    names = {"ids": "input_word_ids", "mask": "input_mask", **({"types": "input_type_ids"} if types else {})}
    inputs = tuple(Input(name, f"{name}:0", tf.int32, (None, width)) for name in names.values())
    opened = Opened(place, "SavedModel", None, None, FlatGraph({}, {}, {}, {}), inputs)
    tokens = tuple((TokenInput(role, role, "int32", name), f"{name}:0") for role, name in names.items())
    seams = Seams(tokens, (), "", "", "", tf.float32, (), None, vocabulary=rows)
    return opened, seams


def with_tokenizer(opened: Any, seams: Any, **declared: Any) -> Any:
    from penult_service.preparing.beside import with_tokenizer
    from penult_service.preparing.declarations.declaration import Declaration

    return with_tokenizer(opened, seams, Declaration(**declared))


def ids(opened: Any, seams: Any, texts: list[str]) -> dict[str, Any]:
    from penult_service.preparing.examples import Examples

    tokenizer = Examples(opened, [token for token, _ in seams.tokens]).tokenizer
    assert tokenizer is not None
    return dict(tokenizer.tokenize(texts).inputs)


def test_texts_are_padded_to_the_width_of_the_model_and_lowered_as_the_vocabulary_is(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model"))
    made = ids(with_tokenizer(opened, seams), seams, TEXTS)
    assert made["ids"].shape == made["mask"].shape == made["types"].shape == (5, 12)
    assert made["ids"][0].tolist() == [2, 4, 5, 6, 3, *[0] * 7]
    assert made["mask"].sum(axis=1).tolist() == [5, 2, 3, 4, 12]
    assert made["ids"][2, 1] == WORDS.index("cafe")
    assert made["ids"][4, [0, -1]].tolist() == [2, 3]


def test_a_vocabulary_with_capitals_keeps_them(tmp_path: Path) -> None:
    words = [*WORDS, "Good"]
    opened, seams = model(folder(tmp_path / "model", words), rows=len(words))
    found = with_tokenizer(opened, seams)
    assert ids(found, seams, ["Good good"])["ids"][0, 1:3].tolist() == [8, 4]
    assert "has capital letters" in " ".join(found.notes)


def test_what_the_settings_say_goes_before_what_the_vocabulary_looks_like(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model", do_lower_case=False))
    assert ids(with_tokenizer(opened, seams), seams, ["Good"])["ids"][0, 1] == WORDS.index("[UNK]")


@pytest.mark.parametrize("positions", [37, 64, 10_000])
def test_without_a_length_texts_are_cut_where_the_model_can_read_no_more(
    tmp_path: Path, positions: int
) -> None:
    import tensorflow as tf
    from penult_service.preparing.graph import flatten

    words, places = tf.Variable(tf.ones([len(WORDS), 2])), tf.Variable(tf.ones([positions, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="ids")])
    def read(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        place = tf.gather(places, tf.range(tf.shape(ids)[1]))
        return {"output": tf.reduce_mean(tf.gather(words, ids) + place, axis=1)}

    flat = flatten(read.get_concrete_function())
    opened, seams = model(folder(tmp_path / "model"), width=None)
    tokens = ((TokenInput("ids", "ids", "int32", "input_word_ids"), flat.inputs["ids"]),)
    seams = replace(seams, tokens=tokens, before=flat.outputs["output"])
    found = with_tokenizer(replace(opened, flat=flat), seams)
    assert ids(found, seams, ["good " * 9000])["ids"].shape[1] == min(positions, 4096)
    assert "max_length = " in " ".join(found.notes)


def test_the_length_is_declared_or_told(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model"), width=None)
    assert ids(with_tokenizer(opened, seams, max_length=7), seams, TEXTS)["ids"].shape[1] == 7
    told, seams = model(folder(tmp_path / "told", model_max_length=9), width=None)
    assert ids(with_tokenizer(told, seams), seams, TEXTS)["ids"].shape[1] == 9


def test_more_words_than_the_model_has_ids_are_refused(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model"), rows=len(WORDS) - 1)
    with pytest.raises(ModelRefused) as refused:
        with_tokenizer(opened, seams)
    assert refused.value.reason == "VOCABULARY_UNSUPPORTED"
    assert f"up to {len(WORDS) - 1}" in refused.value.message


def test_declared_files_may_lie_in_a_folder_below(tmp_path: Path) -> None:
    folder(tmp_path / "words")
    opened, seams = model(tmp_path)
    assert not with_tokenizer(opened, seams).tokenizer_text
    assert with_tokenizer(opened, seams, tokenizer=("words/vocab.txt",)).tokenizer_text
    with pytest.raises(ModelRefused) as refused:
        with_tokenizer(opened, seams, tokenizer=("words/other.txt",))
    assert refused.value.reason == "TOKENIZER_UNSUPPORTED"


def test_a_model_that_takes_something_else_beside_its_ids_is_left_as_it_is(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model"))
    other = TokenInput("input_other", "other", "int32", "positions")
    strange = replace(seams, tokens=(*seams.tokens, (other, "positions:0")))
    assert with_tokenizer(opened, strange) is opened
    assert with_tokenizer(opened, replace(seams, tokens=())) is opened


def test_an_input_that_may_be_something_else_is_not_filled(tmp_path: Path) -> None:
    opened, seams = model(folder(tmp_path / "model"))
    *others, (types, ref) = seams.tokens
    speaker = replace(seams, tokens=(*others, (replace(types, field="speaker"), ref)))
    with pytest.raises(ModelRefused) as refused:
        with_tokenizer(opened, speaker)
    assert refused.value.reason == "ROLE_UNKNOWN"
    assert 'inputs = { "speaker" = "types" }' in refused.value.message
    assert with_tokenizer(opened, speaker, inputs={"speaker": "types"}).tokenizer_text
