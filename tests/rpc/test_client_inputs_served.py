"""Rows of several inputs, tokens and numbers, through both clients and the command line, to the real services."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import InvalidInputError, PreconditionError
from penult_service.cli.app import main
from penult_service.engines.fake import OUTPUT, POOLED, TOKENS
from support.fakes import fake_model
from support.serving import serving

KINDS = ("text", "pair", "numbers", "ids", "file")
TEXTS = [
    "a fine film",
    "",
    "the battery died",
    "\N{GRINNING FACE} two\nlines",
    "five words are enough here",
] * 300
OTHERS = [f"answer {i % 7}" for i in range(len(TEXTS))]
NUMBERS = np.random.default_rng(5).standard_normal((len(TEXTS), 2)).astype(np.float32)
AGE = "age and size"
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    models = [fake_model(kind, 1, takes=kind) for kind in KINDS]
    models += [fake_model("whole", 1, whole_only=True), fake_model("average", 1, pooling="mean")]
    models += [fake_model("number", 1, head="regression"), fake_model("logits", 1, head="logits")]
    with serving(*models) as server:
        yield server.address


class Oracle:
    """The fake model itself, asked without a server for all rows at once."""

    def __init__(self, kind: str, *texts: list[str], age: NDArray[np.float32] | None = None) -> None:
        model: Any = fake_model(kind, 1, takes=kind)
        self.inputs = dict(model.tokenizer.tokenize(*texts).inputs)
        values = {} if age is None else {"age": age}
        found = model.engine.encode({**self.inputs, **values}, [POOLED, TOKENS])
        self.pooled, self.tokens = found[POOLED], found[TOKENS]
        self.lengths = self.inputs["mask"].sum(axis=1)
        self.ids = [
            row[:length].tolist() for row, length in zip(self.inputs["ids"], self.lengths, strict=True)
        ]
        self.probabilities = model.engine.head(self.pooled, values)[OUTPUT]


def test_pairs(flavour, address):
    oracle = Oracle("pair", TEXTS, OTHERS)
    client = flavour.client(address)
    pairs = list(zip(TEXTS, OTHERS, strict=True))
    named = [{"hypothesis": b, "premise": a} for a, b in pairs]
    for given in (pairs, named, {"premise": TEXTS, "hypothesis": np.array(OTHERS)}):
        made = flavour.run(client.embed(given, "pair", probabilities=True))
        np.testing.assert_allclose(made.vectors, oracle.pooled, **CLOSE)
        np.testing.assert_allclose(made.probabilities, oracle.probabilities, **CLOSE)
        assert made.token_counts.tolist() == oracle.lengths.tolist()
        classified = flavour.run(client.classify(given, "pair"))
        np.testing.assert_allclose(classified.probabilities, oracle.probabilities, **CLOSE)
        predicted = flavour.run(client.predict(given, "pair"))
        np.testing.assert_allclose(predicted.outputs[OUTPUT], oracle.probabilities, **CLOSE)
        assert flavour.run(client.tokenize(given, "pair")).ids == oracle.ids


def test_a_text_and_numbers(flavour, address):
    oracle = Oracle("numbers", TEXTS, age=NUMBERS)
    client = flavour.client(address)
    rows = zip(TEXTS, NUMBERS, strict=True)
    tuples = [(text, numbers.tolist()) for text, numbers in rows]
    for given in (
        tuples,
        [{AGE: numbers, "text": text} for text, numbers in tuples],
        {"text": TEXTS, AGE: NUMBERS},
    ):
        made = flavour.run(client.embed(given, "numbers", probabilities=True))
        np.testing.assert_allclose(made.vectors, oracle.pooled, **CLOSE)
        np.testing.assert_allclose(made.probabilities, oracle.probabilities, **CLOSE)


@pytest.mark.parametrize("kind", ["ids", "file"])
def test_tokens_in_place_of_texts(flavour, address, kind):
    oracle = Oracle("text", TEXTS)
    client = flavour.client(address)
    columns = {"input_ids": oracle.inputs["ids"], "attention_mask": oracle.inputs["mask"]}
    for given in (columns, {name: array.astype(np.int64) for name, array in columns.items()}):
        made = flavour.run(client.embed(given, kind))
        np.testing.assert_allclose(made.vectors, oracle.pooled, **CLOSE)
        predicted = flavour.run(client.predict(given, kind))
        np.testing.assert_allclose(predicted.outputs[OUTPUT], oracle.probabilities, **CLOSE)
    records = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in oracle.ids[:50]]
    made = flavour.run(client.embed(records, kind))
    np.testing.assert_allclose(made.vectors, oracle.pooled[:50], **CLOSE)


def test_one_row_a_token(flavour, address):
    oracle = Oracle("pair", TEXTS, OTHERS)
    client = flavour.client(address)
    made = flavour.run(client.embed(list(zip(TEXTS, OTHERS, strict=True)), "pair", pooling="tokens"))
    assert [len(each) for each in made.vectors] == oracle.lengths.tolist()
    for found, tokens, length in zip(made.vectors, oracle.tokens, oracle.lengths, strict=True):
        np.testing.assert_allclose(found, tokens[:length], **CLOSE)
    mean = flavour.run(client.embed(list(zip(TEXTS, OTHERS, strict=True)), "pair", pooling="mean"))
    np.testing.assert_allclose([each.mean(axis=0) for each in made.vectors], mean.vectors, **CLOSE)


def test_the_models_own_pooling(flavour, address):
    client = flavour.client(address)
    assert flavour.run(client.model("average")).pooling == "mean"
    own, mean = (flavour.run(client.embed(TEXTS[:5], "average", pooling=p)) for p in (None, "mean"))
    assert (own.pooling, own.space) == ("mean", mean.space)
    np.testing.assert_array_equal(own.vectors, mean.vectors)
    assert flavour.run(client.embed(TEXTS[:5], "average")).pooling == "pooled"
    assert flavour.run(client.embed(TEXTS[:5], "text", pooling=None)).pooling == "pooled"


def test_records_are_compared(flavour, address):
    oracle = Oracle("pair", TEXTS[:30], OTHERS[:30])
    client = flavour.client(address)
    pairs = list(zip(TEXTS[:30], OTHERS[:30], strict=True))
    made = flavour.run(client.similarity(pairs, metric="dot", model="pair"))
    np.testing.assert_allclose(made.scores, oracle.pooled @ oracle.pooled.T, rtol=1e-4, atol=1e-4)
    assert made.model == "pair"
    columns = {"premise": TEXTS[:30], "hypothesis": OTHERS[:30]}
    again = flavour.run(client.similarity(columns, pairs, metric="dot", model="pair"))
    np.testing.assert_allclose(again.scores, made.scores, rtol=1e-4, atol=1e-4)
    assert again.space_checked


@pytest.mark.parametrize(
    ("kind", "given", "reason", "words"),
    [
        ("pair", ["a"], "MISSING_INPUT", "it takes premise, hypothesis: send records"),
        ("pair", [("a",)], "MISSING_INPUT", "records[0] has 1 values, the model takes 2"),
        (
            "pair",
            [{"premise": "a", "hypotesis": "b"}],
            "UNKNOWN_INPUT",
            "hypotesis is no input of this model",
        ),
        (
            "pair",
            [("a", "b"), ("a", 3)],
            "WRONG_TYPE",
            "records[1].hypothesis holds numbers, the model takes a text",
        ),
        ("numbers", [("a", [1, 2]), ("a", [1])], "WRONG_SHAPE", "records[1].age and size has 1 numbers"),
        (
            "ids",
            {"input_ids": [[1], [-4]], "attention_mask": [[1], [1]]},
            "OUT_OF_RANGE",
            "row 1 of tensors[input_ids]",
        ),
        (
            "ids",
            {"input_ids": [[1.5]], "attention_mask": [[1]]},
            "WRONG_TYPE",
            "tensors[input_ids] is of type float64",
        ),
        ("text", {"text": ["a"], "more": [1]}, "UNKNOWN_INPUT", "tensors[more] is no input of this model"),
    ],
)
def test_what_the_model_does_not_take_is_named(flavour, address, kind, given, reason, words):
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(flavour.client(address).embed(given, kind))
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_a_wrong_row_counts_from_the_callers_first(flavour, address):
    client = flavour.client(address)
    rows: list[Any] = [(text, [0.0, 1.0]) for text in TEXTS]
    rows[1400] = ("a", [0.0, float("inf")])
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.embed(rows, "numbers"))
    assert (caught.value.index, caught.value.field) == (1400, f"records[1400].{AGE}")
    assert caught.value.message.startswith(f"records[1400].{AGE} holds NaN or infinity")
    ids = np.ones((1500, 4), np.int32)
    ids[1300, 2] = 30_000
    with pytest.raises(
        InvalidInputError, match=r"row 1300 of tensors\[input_ids\] holds the id 30000"
    ) as caught:
        flavour.run(client.predict({"input_ids": ids, "attention_mask": np.ones_like(ids)}, "ids"))
    assert caught.value.index == 1300


def test_texts_for_a_model_that_takes_none(flavour, address):
    with pytest.raises(PreconditionError, match="tokenizer") as caught:
        flavour.run(flavour.client(address).embed(["a"], "ids"))
    assert caught.value.reason == "TEXTS_NOT_TAKEN"


def test_what_a_model_takes_is_told(flavour, address):
    client = flavour.client(address)
    told = {model.name: model for model in flavour.run(client.models())}
    told_inputs = {
        kind: [(i.name, i.dtype, i.shape, i.role, i.made_by_tokenizing) for i in told[kind].inputs]
        for kind in KINDS
    }
    text = ("text", "string", (), "text", False)
    tokens = [("input_ids", "int32", (-1,), "ids"), ("attention_mask", "int32", (-1,), "mask")]
    assert told_inputs == {
        "text": [text],
        "pair": [("premise", "string", (), "text", False), ("hypothesis", "string", (), "text", False)],
        "numbers": [text, (AGE, "float32", (2,), "value", False)],
        "ids": [(*each, False) for each in tokens],
        "file": [text, *((*each, True) for each in tokens)],
    }
    assert [told[kind].tokenizer for kind in KINDS] == ["graph", "graph", "graph", "none", "file"]
    assert told["ids"].inputs[0].limit == 30_000
    assert (told["number"].head, told["number"].logits) == ("regression", False)
    assert (told["logits"].head, told["logits"].logits) == ("softmax", True)
    assert told["whole"].readouts == ()
    assert told["whole"].unread
    assert told["whole"].outputs == (OUTPUT,)


def test_a_model_that_cannot_be_read_still_predicts(flavour, address):
    client = flavour.client(address)
    unread = flavour.run(client.model("whole")).unread
    with pytest.raises(PreconditionError) as caught:
        flavour.run(client.embed(["a"], "whole"))
    assert unread in caught.value.message
    report = flavour.run(client.inspect_dropout("whole"))
    assert report.unread == unread
    like = flavour.run(client.predict(["a"], "text"))
    np.testing.assert_allclose(
        flavour.run(client.predict(["a"], "whole")).outputs[OUTPUT], like.outputs[OUTPUT], **CLOSE
    )


def test_the_dropout_that_is_read_is_marked(flavour, address):
    report = flavour.run(flavour.client(address).inspect_dropout("pair"))
    assert [(s.path, s.rate, s.place, s.read, s.shared_axes) for s in report.sites] == [
        ("encoder/dropout", 0.1, "before_embedding", False, ()),
        ("dropout", 0.1, "at_seam", True, ()),
    ]


def run(address: str, *words: object) -> int:
    return main([str(words[0]), *map(str, words[1:]), "--server", address])


def test_the_table_of_models(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "models") == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "model state layer dimension poolings classes engine dropout"
    rows = {line.split()[0]: line for line in lines[1:] if " ready " in line}
    assert rows["average@1"].startswith("average@1 (default) ready pooled_output 16 mean, pooled, cls, max")
    assert " regression fake " in rows["number@1"]
    assert rows["whole@1"].startswith("whole@1 (default) ready - - - negative, neutral, positive fake")
    told = [line for line in lines if "@1 takes " in line]
    assert told == [
        "file@1 takes text, or input_ids (int32 [any]), attention_mask (int32 [any])",
        "ids@1 takes input_ids (int32 [any]), attention_mask (int32 [any])",
        f"numbers@1 takes text, {AGE} (float32 [2])",
        "pair@1 takes premise (text), hypothesis (text)",
    ]
    assert "whole@1: only predict works: " in out
    assert run(address, "models", "--json") == 0
    told = {model["id"]: model for model in json.loads(capsys.readouterr().out)}
    assert [each["name"] for each in told["pair@1"]["inputs"]] == ["premise", "hypothesis"]


def test_files_of_several_columns(address: str, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as file:
        rows = zip(TEXTS, OTHERS, map(json.dumps, NUMBERS.tolist()), strict=True)
        csv.writer(file).writerows([["text", "hypothesis", AGE], *rows])
    out = tmp_path / "out.npy"
    options = ("embed", tmp_path / "in.csv", "-o", out, "--overwrite", "--progress", "none")
    for columns in (("--column", "premise=text"), ("--text-column", "text", "--text-column", "hypothesis")):
        assert run(address, *options, "--model", "pair", *columns) == 0
        np.testing.assert_allclose(np.load(out), Oracle("pair", TEXTS, OTHERS).pooled, **CLOSE)
    assert run(address, *options, "--model", "numbers") == 0
    np.testing.assert_allclose(np.load(out), Oracle("numbers", TEXTS, age=NUMBERS).pooled, **CLOSE)
    assert run(address, *options, "--model", "file") == 0
    np.testing.assert_allclose(np.load(out), Oracle("text", TEXTS).pooled, **CLOSE)


def test_texts_alone_on_the_command_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "similarity", "a", "b", "--model", "pair") == 2
    said = capsys.readouterr().err
    assert "it takes premise, hypothesis: send records" in said
    assert "`penult embed FILE -o OUT.parquet` reads them from columns" in said


def test_a_file_of_token_ids(address: str, tmp_path: Path) -> None:
    oracle = Oracle("text", TEXTS[:20])
    lines = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in oracle.ids]
    lines[3]["input_ids"] = [1, 30_000, 2]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out.npy"
    assert (
        run(address, "embed", tmp_path / "in.jsonl", "-o", out, "--model", "ids", "--progress", "none") == 3
    )
    found = np.load(out)
    good = [row for row in range(20) if row != 3]
    np.testing.assert_allclose(found[good], oracle.pooled[good], **CLOSE)
    assert np.isnan(found[3]).all()
    (bad,) = [json.loads(line) for line in (tmp_path / "out.npy").with_name("out.errors.jsonl").open()]
    assert (bad["row"], bad["line"], bad["reason"]) == (3, 4, "OUT_OF_RANGE")
    assert bad["message"].startswith("input 'input_ids' ")
