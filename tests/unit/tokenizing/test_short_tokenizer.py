"""Short plain texts without the graph, against the graph; and which graphs are not taken for BERT's."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.prepared import TEXT, TOKENIZE, Manifest, load_manifest
from penult_service.tokenizing import CUT, NONE, UNKNOWN, TokenTable
from penult_service.tokenizing.short import ShortTokenizer, trial_texts, with_short
from penult_service.tokenizing.wordpieces import WordPieces, is_plain
from support import seed_model as seeds
from support.tiny_bert import sample_texts

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##ab", "a", "b", "!", "'", "Aff"]
VOCABULARY = {piece: i for i, piece in enumerate(PIECES)}


def cut(text: str, **options: Any) -> list[str]:
    made = WordPieces(VOCABULARY, VOCABULARY["[UNK]"], **{"lower": True, **options})
    return [PIECES[i] for i in made.ids(text)]


def test_the_longest_piece_comes_first_and_punctuation_stands_alone() -> None:
    assert cut("Unaffable!\n a'b\t") == ["un", "##aff", "##able", "!", "a", "'", "b"]
    assert cut("") == cut(" \r\n ") == []


def test_a_word_that_lacks_a_piece_is_unknown_as_a_whole() -> None:
    assert cut("unaffa a unx b") == ["[UNK]", "a", "[UNK]", "b"]
    assert cut("?") == ["[UNK]"]


def test_the_length_of_a_word_and_its_case_count() -> None:
    assert cut("unaffable", longest=9) == ["un", "##aff", "##able"]
    assert cut("unaffable a", longest=8) == ["[UNK]", "a"]
    assert cut("Aff A", lower=False) == ["Aff", "[UNK]"]


def test_only_printable_ascii_and_line_breaks_are_plain() -> None:
    plain = {chr(i) for i in range(0x3000) if is_plain(chr(i))}
    assert plain == {chr(i) for i in range(0x20, 0x7F)} | set("\t\n\r")
    assert is_plain("")
    assert not any(map(is_plain, ("a\x00", "naïve", "a\n\x0b")))


def test_pieces_are_counted_as_they_are_cut() -> None:
    pieces = WordPieces(VOCABULARY, 1, lower=True)
    for text in ("", "a b", "unaffable", "unaffable a!", "x unaffable"):
        count = len(pieces.ids(text))
        assert [pieces.more_than(most, text) for most in range(8)] == [count > most for most in range(8)]


def test_every_word_is_tried_where_texts_are_cut_early() -> None:
    words = [f"w{i}" for i in range(500)]
    pieces = WordPieces({word: i for i, word in enumerate([*words, "#", "##w1"])}, 0, lower=True)
    for longest in (8, 32, 512):
        kept = {id_ for text in trial_texts(pieces, longest) for id_ in pieces.ids(text)[: longest - 2]}
        assert set(range(500)) <= kept


class Counted:
    """A tokenizer, and how many texts each call had."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.calls = tokenizer, list[int]()
        self.pieces: WordPieces | None = None

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        self.calls.append(len(texts[0]))
        return self.tokenizer.tokenize(*texts)

    def brief(self, text: str) -> bool:
        return self.tokenizer.brief(text)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_manifest(seeds.prepared_seed_model())


@pytest.fixture(scope="module")
def signature() -> Any:
    from penult_service.engines.tensorflow import signatures

    return signatures(seeds.prepared_seed_model())[TOKENIZE]


@pytest.fixture(scope="module")
def graph(signature: Any, manifest: Manifest) -> Any:
    from penult_service.tokenizing.graph import GraphTokenizer

    return GraphTokenizer(signature, manifest)


def recognised(signature: Any) -> WordPieces | None:
    from penult_service.tokenizing.recognised import word_pieces

    return word_pieces(signature)


def assert_same(short: Any, graph: Any, texts: Sequence[str]) -> None:
    for text in texts:
        one, other = short.tokenize([text]), graph.tokenize([text])
        assert one.inputs.keys() == other.inputs.keys()
        for name, array in other.inputs.items():
            assert one.inputs[name].dtype == array.dtype
            np.testing.assert_array_equal(one.inputs[name], array, err_msg=repr(text))
        np.testing.assert_array_equal(one.lengths, other.lengths)
        assert list(one.truncations) == list(other.truncations), text


@pytest.mark.tensorflow
def test_short_texts_have_the_tokens_that_the_graph_gives(
    signature: Any, graph: Any, manifest: Manifest
) -> None:
    counted = Counted(graph)
    short = with_short(counted, recognised(signature), manifest)
    assert isinstance(short, ShortTokenizer)
    counted.calls.clear()
    drawn = random.Random(7)
    characters = "".join(map(chr, range(0x20, 0x7F))) + "\t\n\r" + "eeettaaooi     "
    made = ["".join(drawn.choices(characters, k=drawn.randrange(500))) for _ in range(60)]
    plain = [text for text in (*sample_texts(60), *made, "", " ", "w " * 250) if is_plain(text)]
    assert_same(short, graph, plain)
    assert counted.calls == []
    found = short.tokenize(["w " * 250])
    assert found.truncations == [CUT]
    assert found.lengths[0] == manifest.max_length


@pytest.mark.tensorflow
def test_all_else_goes_to_the_graph(signature: Any, graph: Any, manifest: Manifest) -> None:
    counted = Counted(graph)
    short = with_short(counted, recognised(signature), manifest)
    counted.calls.clear()
    others = ["naïve", "a\x00b", "a\x0bb", "x" * 501, "שלום", "…"]
    assert not any(short.brief(text) for text in others)
    assert_same(short, graph, others)
    assert len(counted.calls) == len(others)
    short.tokenize(["two", "texts"])
    assert counted.calls[-1] == 2


@pytest.mark.tensorflow
def test_whether_a_text_was_cut_is_as_unknown_as_the_graph_says(signature: Any, manifest: Manifest) -> None:
    from penult_service.tokenizing.graph import GraphTokenizer

    untold = replace(manifest, counts_wordpieces=False)
    short = with_short(GraphTokenizer(signature, untold), recognised(signature), untold)
    assert isinstance(short, ShortTokenizer)
    assert short.tokenize(["w " * 250]).truncations == [UNKNOWN]
    assert short.tokenize(["w"]).truncations == [NONE]


@pytest.mark.tensorflow
def test_whether_long_plain_texts_were_cut_needs_no_further_call(signature: Any, manifest: Manifest) -> None:
    from penult_service.tokenizing.graph import GraphTokenizer

    slow, quick = GraphTokenizer(signature, manifest), GraphTokenizer(signature, manifest)
    with_short(quick, recognised(signature), manifest)
    room = manifest.max_length - 2
    texts = ["a " * n for n in (room - 1, room, room + 1, 3 * room)]
    texts += [f"{text} é" for text in texts]
    expected = slow.tokenize(texts).truncations
    assert expected == [NONE, NONE, CUT, CUT, NONE, CUT, CUT, CUT]
    calls: list[int] = []
    quick._pieces = lambda rows: calls.append(len(rows[0])) or slow._pieces(rows)  # type: ignore[method-assign]
    assert quick.tokenize(texts).truncations == expected
    assert calls == [1] * 4  # those that are not plain and fill all


@pytest.mark.tensorflow
def test_what_the_graph_contradicts_is_not_used(signature: Any, graph: Any, manifest: Manifest) -> None:
    vocabulary = {piece: i for i, piece in enumerate(recognised(signature).plain)}
    wrong = WordPieces(vocabulary, 1, lower=False)
    assert with_short(graph, wrong, manifest) is graph
    assert with_short(graph, None, manifest) is graph
    two = replace(
        manifest, inputs=(*manifest.inputs, replace(manifest.inputs[0], name="other", role="other"))
    )
    assert with_short(graph, recognised(signature), two) is graph


Change = Callable[[Any], Any]


def bert(tmp_path: Path, change: Change | None = None, behind: Change | None = None, **options: Any) -> Any:
    """A function of texts by tf-text's tokenizer, with something in front of it or behind."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    words = [*PIECES, *"cdefghijk", "##k", "[unused1]"]
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(words), encoding="utf-8")
    init = tf.lookup.TextFileInitializer(
        str(file),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    table = tf.lookup.StaticVocabularyTable(init, 1)
    tokenizer = tf_text.BertTokenizer(table, token_out_type=tf.int32, **options)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=TEXT)])
    def tokenize(text: Any) -> Mapping[str, Any]:
        ids = tokenizer.tokenize(change(text) if change else text).merge_dims(1, 2)
        trimmed = tf_text.RoundRobinTrimmer(6).trim([ids])
        ids, types = tf_text.combine_segments(trimmed, VOCABULARY["[CLS]"], VOCABULARY["[SEP]"])
        mask = tf.ones_like(ids).to_tensor(shape=[None, 8])
        ids, types = ids.to_tensor(shape=[None, 8]), types.to_tensor(shape=[None, 8])
        return {"ids": behind(ids) if behind else ids, "mask": mask, "types": types}

    tokenize.table = table  # held, as a saved model holds it
    return tokenize


def taken(made: Any, manifest: Manifest) -> tuple[WordPieces | None, Any]:
    """What the structure is taken for, and the tokenizer that is used."""
    from penult_service.tokenizing.graph import GraphTokenizer

    function = made.get_concrete_function()
    names = {token.role: token for token in manifest.inputs}
    inputs = tuple(replace(names[role], name=role) for role in ("ids", "mask", "types"))
    small = replace(manifest, inputs=inputs, max_length=8, counts_wordpieces=False)
    pieces = recognised(function)
    return pieces, with_short(GraphTokenizer(function, small), pieces, small)


@pytest.mark.tensorflow
@pytest.mark.parametrize("lower", [True, False])
def test_the_tokenizer_of_tf_text_is_known(tmp_path: Path, manifest: Manifest, lower: bool) -> None:
    made = bert(tmp_path, lower_case=lower)
    pieces, used = taken(made, manifest)
    assert pieces is not None
    assert isinstance(used, ShortTokenizer)
    assert pieces.ids("Unaffable Aff a!") == ([4, 5, 6, 1, 8, 10] if lower else [1, 12, 8, 10])
    texts = trial_texts(pieces, 8)[::7]
    expected = made(texts)
    for row, text in enumerate(texts):
        if used.brief(text):
            np.testing.assert_array_equal(used.tokenize([text]).inputs["ids"][0], expected["ids"][row])


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name", ["replaced", "lowered", "stripped", "unused", "whitespace", "no unknown", "places", "joined"]
)
def test_a_graph_with_another_step_is_not_taken_for_it(tmp_path: Path, manifest: Manifest, name: str) -> None:
    import tensorflow as tf

    strings = tf.strings
    changes: dict[str, Change] = {
        "replaced": lambda text: strings.regex_replace(text, "[0-9]", "0"),
        "lowered": strings.lower,
        "stripped": strings.strip,
        "joined": lambda text: strings.join([text, "!"]),
        "places": lambda text: strings.substr(text, 0, 40),
    }
    options: dict[str, dict[str, Any]] = {
        "unused": {"preserve_unused_token": True},
        "whitespace": {"keep_whitespace": True},
        "no unknown": {"unknown_token": None},
    }
    pieces, used = taken(bert(tmp_path, changes.get(name), **options.get(name, {})), manifest)
    assert pieces is None
    assert not isinstance(used, ShortTokenizer)


@pytest.mark.tensorflow
def test_other_ids_behind_known_steps_are_found_by_trying(tmp_path: Path, manifest: Manifest) -> None:
    import tensorflow as tf

    for behind in (lambda ids: tf.where(ids == 13, 14, ids), lambda ids: ids + tf.cast(ids == 20, tf.int32)):
        _, used = taken(bert(tmp_path, behind=behind), manifest)
        assert not isinstance(used, ShortTokenizer)
