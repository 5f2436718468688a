"""`penult embed`, `similarity` and `models` against a server, over a real socket."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_client import Client
from penult_service.cli import embed_job
from penult_service.cli.app import main
from support.fakes import fake_model
from support.serving import serving

TEXTS = ["a fine film", "", "the battery died", "\N{GRINNING FACE} two\nlines", "five words are enough here"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(fake_model("reviews", 3, max_length=8), fake_model("other", 1)) as server:
        yield server.address


@pytest.fixture
def texts_csv(tmp_path: Path) -> Path:
    """The texts, with a bad row after the second and at the end."""
    path = tmp_path / "texts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *([f"0{i}", text] for i, text in enumerate(TEXTS))])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"bad,caf\xe9\r\n", *lines[3:], b"missing\r\n"]))
    return path


GOOD, BAD = [0, 1, 3, 4, 5], [2, 6]


def run(address: str, *words: object) -> int:
    return main([str(words[0]), *map(str, words[1:]), "--server", address])


def expected(address: str, **settings: Any) -> penult_client.Embeddings:
    with Client(address) as client:
        return client.embed(TEXTS, model="reviews", **settings)


@pytest.mark.parametrize("size", [1, 2, 1024])
def test_parquet(address: str, texts_csv: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    out = texts_csv.with_name("out.parquet")
    options = (
        "--model",
        "reviews",
        "--probabilities",
        "--normalize",
        "--pooling",
        "mean",
        "--batch-size",
        size,
    )
    assert run(address, "embed", texts_csv, "-o", out, *options) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "row 2: the text is not UTF-8 (byte 0xe9 at character 3) (line 4)" in printed.err
    assert "row 6: the text is missing" in printed.err
    assert "2 of the 7 rows have no embedding" in printed.err

    table = pq.read_table(out)
    like = expected(address, probabilities=True, normalize=True, pooling="mean")
    assert like.probabilities is not None
    assert table.column_names == [
        *("id", "text", "embedding", "probabilities", "predicted", "token_count", "truncation", "error")
    ]
    assert table.column("id").to_pylist() == ["00", "01", "bad", "02", "03", "04", "missing"]
    assert table.column("embedding").type == pa.list_(pa.float32(), 16)
    good = table.take(GOOD)
    assert good.column("text").to_pylist() == TEXTS
    np.testing.assert_allclose(np.stack(good.column("embedding").to_numpy()), like.vectors, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        np.stack(good.column("probabilities").to_numpy()), like.probabilities, rtol=0, atol=1e-6
    )
    assert good.column("predicted").to_pylist() == [like.labels[i] for i in like.probabilities.argmax(axis=1)]
    assert good.column("token_count").to_pylist() == like.token_counts.tolist()
    assert good.column("truncation").to_pylist() == like.truncated.tolist()
    assert good.column("error").null_count == len(GOOD)
    for name in ("embedding", "probabilities", "predicted", "token_count", "truncation"):
        assert table.take(BAD).column(name).null_count == len(BAD)
    assert "not UTF-8" in table.column("error")[2].as_py()

    told = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert told["penult.embedding_space"] == like.space
    assert told["penult.model_digest"] == like.digest
    assert (told["penult.model"], told["penult.version"]) == ("reviews", "3")
    assert (told["penult.layer"], told["penult.pooling"]) == (like.layer, "mean")
    assert (told["penult.engine"], told["penult.precision"]) == (like.engine, like.precision)
    assert json.loads(told["penult.labels"]) == list(like.labels)
    assert told["penult.normalized"] == "true"


def test_npy(address: str, texts_csv: Path) -> None:
    out = texts_csv.with_name("out.npy")
    assert run(address, "embed", texts_csv, "-o", out, "--model", "reviews@3", "--batch-size", 3) == 3
    matrix, like = np.load(out), expected(address)
    assert (matrix.dtype, matrix.shape) == (np.float32, (7, 16))
    np.testing.assert_allclose(matrix[GOOD], like.vectors, rtol=0, atol=1e-6)
    assert np.isnan(matrix[BAD]).all()
    told = json.loads(out.with_suffix(".json").read_text())
    assert (told["rows"], told["dimension"], told["embedding_space"]) == (7, 16, like.space)
    assert [bad["row"] for bad in told["bad_rows"]] == BAD
    assert sorted(path.name for path in out.parent.iterdir()) == [
        *("out.errors.jsonl", "out.json", "out.npy", "texts.csv")
    ]
    assert out.stat().st_mode & 0o777 == texts_csv.stat().st_mode & 0o777


@pytest.mark.parametrize("ending", [".jsonl", ".txt", ".parquet"])
def test_other_inputs(address: str, tmp_path: Path, ending: str) -> None:
    texts = [text.replace("\n", " ") for text in TEXTS]
    source, out = tmp_path / f"in{ending}", tmp_path / "out.parquet"
    if ending == ".parquet":
        pq.write_table(pa.table({"n": range(5), "text": texts}), source)
    else:
        lines = [
            json.dumps({"n": n, "text": text}) if ending == ".jsonl" else text for n, text in enumerate(texts)
        ]
        source.write_text("\n".join(lines) + "\n")
    assert run(address, "embed", source, "-o", out, "--model", "reviews") == 0
    table = pq.read_table(out)
    with Client(address) as client:
        like = client.embed(texts, model="reviews")
    np.testing.assert_allclose(
        np.stack(table.column("embedding").to_numpy()), like.vectors, rtol=0, atol=1e-6
    )
    if ending != ".txt":
        assert table.column("n").to_pylist() == [0, 1, 2, 3, 4]


def test_too_long_is_a_bad_row(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("short\n" + "word " * 30 + "\nalso short\n")
    command = ("embed", tmp_path / "in.txt", "-o", tmp_path / "out.npy", "--model", "reviews")
    assert run(address, *command, "--truncate", "error") == 3
    assert "row 1: " in capsys.readouterr().err
    assert np.isnan(np.load(tmp_path / "out.npy")).all(axis=1).tolist() == [False, True, False]
    assert run(address, *command, "--overwrite") == 0
    assert not np.isnan(np.load(tmp_path / "out.npy")).any()


def test_bad_rows_before_the_first_good_one(address: str, tmp_path: Path) -> None:
    lines = ["{}", "{}", '{"text": 5}', '{"text": "good"}', "{}"]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out.parquet"
    assert (
        run(address, "embed", tmp_path / "in.jsonl", "-o", out, "--model", "reviews", "--batch-size", 1) == 3
    )
    table = pq.read_table(out)
    assert [value.is_valid for value in table.column("embedding")] == [False, False, False, True, False]
    assert table.column("error")[2].as_py().startswith("the text is 5, not a string")


def test_many_bad_rows_are_counted(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n' + "{}\n" * 50)
    assert run(address, "embed", tmp_path / "in.jsonl", "-o", tmp_path / "o.npy", "--model", "reviews") == 3
    said = capsys.readouterr().err
    assert said.count("the text is missing") == embed_job.LISTED
    assert f"... and {50 - embed_job.LISTED} more rows" in said


def test_no_good_row(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": null}\n{"text": 1}\n')
    assert run(address, "embed", tmp_path / "in.jsonl", "-o", tmp_path / "o.npy", "--model", "reviews") == 2
    assert "none of the 2 rows" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--model", "nobody"), 2, "nobody"),
        (("--model", "reviews", "--layer", "nowhere"), 1, "nowhere"),
        (("--model", "reviews", "--pooling", "sum"), 2, "--pooling is one of"),
        (("--model", "reviews", "--truncate", "left"), 2, "--truncate is one of"),
        (("--model", "reviews", "--text-column", "body"), 2, "no column 'body'"),
        ((), 2, "reviews"),
    ],
)
def test_refused(
    address: str,
    texts_csv: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert run(address, "embed", texts_csv, "-o", texts_csv.with_name("out.parquet"), *options) == code
    printed = capsys.readouterr()
    last = printed.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert [path.name for path in texts_csv.parent.iterdir()] == ["texts.csv"]


def test_places_that_are_not_written(
    address: str, texts_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(out: Path, *options: object) -> str:
        assert run(address, "embed", texts_csv, "-o", out, "--model", "reviews", *options) == 2
        return capsys.readouterr().err

    table = texts_csv.with_name("in.parquet")
    pq.write_table(pa.table({"text": ["a"], "error": ["x"]}), table)
    assert "there already" in refused(table)
    assert "--overwrite" in refused(table)
    table.with_name("link.parquet").symlink_to(texts_csv)
    assert "is the input" in refused(table.with_name("link.parquet"), "--overwrite")
    assert "no directory" in refused(texts_csv.parent / "nowhere" / "out.npy")
    assert "ends in .parquet, .arrow or .npy" in refused(texts_csv.with_name("out.csv"))
    assert "--probabilities needs a .parquet" in refused(texts_csv.with_name("out.npy"), "--probabilities")
    command = ("embed", table, "-o", texts_csv.with_name("o.parquet"), "--model", "reviews")
    assert run(address, *command) == 2
    assert "has a column 'error' already" in capsys.readouterr().err


def test_an_end_in_the_middle_leaves_nothing(
    address: str, texts_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Client.embed, []

    def embed(self: Client, *args: Any, **kwargs: Any) -> penult_client.Embeddings:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Client, "embed", embed)
    for name in ("out.npy", "out.parquet"):
        calls.clear()
        command = (
            "embed",
            texts_csv,
            "-o",
            texts_csv.with_name(name),
            "--model",
            "reviews",
            "--batch-size",
            1,
        )
        assert run(address, *command) == 130
    assert [path.name for path in texts_csv.parent.iterdir()] == ["texts.csv"]


def test_no_server(
    texts_csv: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penult_service.cli.options.TIMEOUT", 0.5)
    assert run("127.0.0.1:1", "embed", texts_csv, "-o", texts_csv.with_name("out.npy"), "--wait", 0) == 1
    assert capsys.readouterr().err.startswith("error: no answer from a server at 127.0.0.1:1")


def test_a_directory_that_is_no_model(texts_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["embed", str(texts_csv), "-o", str(texts_csv.with_name("out.npy"))]
    (texts_csv.parent / "empty").mkdir()
    data = ["--data", str(texts_csv.parent / "data")]
    assert main([*command, "--model", str(texts_csv.parent / "empty"), *data]) == 1
    assert "empty" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--model", str(texts_csv.parent / "nowhere")]) == 2


def test_similarity_of_texts(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "similarity", *TEXTS[2:], "--model", "reviews", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    with Client(address) as client:
        like = client.similarity(TEXTS[2:], model="reviews")
    np.testing.assert_allclose(told["scores"], like.scores, rtol=0, atol=1e-6)
    assert told["space_checked"] is True
    assert told["embedding_space"] == like.space
    best = told["most_alike"][0]
    assert (best["text_a"], best["text_b"]) == (TEXTS[2:][best["a"]], TEXTS[2:][best["b"]])


def test_similarity_of_texts_and_stored(
    address: str, texts_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = texts_csv.with_name("out.parquet")
    assert run(address, "embed", texts_csv, "-o", stored, "--model", "reviews") == 3
    capsys.readouterr()
    options = ("--file-b", stored, "--model", "reviews", "--top", 1)
    assert run(address, "similarity", TEXTS[0], *options) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[3].split() == ["1.0000", *TEXTS[0].split(), *TEXTS[0].split()]
    assert run(address, "similarity", TEXTS[0], *options, "--normalize") == 2
    assert "different embedding spaces" in capsys.readouterr().err


def test_similarity_of_a_bad_file(address: str, texts_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "similarity", "--file-a", texts_csv, "--model", "reviews") == 2
    assert "row 2: the text is not UTF-8" in capsys.readouterr().err


def test_models(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        *("model", "state", "layer", "dimension", "poolings", "classes", "engine", "dropout")
    ]
    assert [line.split()[0] for line in lines[1:]] == ["other@1", "reviews@3"]
    assert run(address, "models", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["id"] for model in told] == ["other@1", "reviews@3"]
    assert told[1]["max_length"] == 8
