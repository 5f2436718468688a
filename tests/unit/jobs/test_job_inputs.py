"""`penult embed` for models of several inputs: which columns make a row, what is wrong with cells, jobs that go on."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_client._core.rows import check_rows
from penult_client._core.splitting import PART_BYTES, split_rows
from penult_service.jobs import asking
from support.job_runs import DIMENSION, SmallClient, an_input, contents, embed, use
from support.wire_numbers import as_text
from support.wire_server import LIMITS

ARTICLES = (an_input("title"), an_input("body"), an_input("year", "float32"))
IDS = (an_input("ids", "int32", shape=(-1,)), an_input("mask", "int32", shape=(-1,)))
PAIRED = (an_input("text"), an_input("input_ids", "int32", made=True, shape=(-1,)))


def numbers(rows: list[Any]) -> np.ndarray:
    """What the small client makes of these rows."""
    made = [np.random.default_rng(zlib.crc32(as_text(row).encode())).random(DIMENSION) for row in rows]
    return np.array(made, np.float32)


def vectors(path: Path) -> np.ndarray:
    return np.array(pq.read_table(path).column("embedding").to_pylist(), np.float32)


def listed(folder: Path) -> list[tuple[int, int, str, str]]:
    rows = [json.loads(line) for line in (folder / "out.errors.jsonl").read_text().splitlines()]
    return [(row["row"], row.get("line", -1), row["reason"], row["message"]) for row in rows]


def test_columns_are_found_by_the_names_of_the_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = use(SmallClient(inputs=ARTICLES), monkeypatch)
    (tmp_path / "in.csv").write_text('id,year,title,body\n1,1999,"one, two",b1\n2,2.5e3,t2,\n')
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.parquet") == 0
    rows = [{"title": "one, two", "body": "b1", "year": 1999}, {"title": "t2", "body": "", "year": 2500.0}]
    assert client.requests == [rows[:1], rows]
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names[:4] == ["id", "year", "title", "body"]
    assert table.column("year").to_pylist() == ["1999", "2.5e3"]  # csv columns stay as they are
    np.testing.assert_array_equal(vectors(tmp_path / "out.parquet"), numbers(rows))
    told = json.loads(table.schema.metadata[b"penult.columns"])
    assert told == {"title": "title", "body": "body", "year": "year"}
    assert b"penult.text_column" not in table.schema.metadata


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_columns_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Also when there is a column `text`, which is nothing to this model."""
    client = use(SmallClient(inputs=ARTICLES), monkeypatch)
    cells = [
        {"text": "x", "headline": "h", "body": "b", "when": 3},
        {"text": "y", "headline": "", "body": "c", "when": 4},
    ]
    path = tmp_path / f"in.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in cells))
    else:
        pq.write_table(pa.Table.from_pylist(cells), path)
    options = ("--column", "title=headline", "--column", "year=when")
    assert embed(path, "-o", tmp_path / "out.npy", *options) == 0
    rows = [{"title": "h", "body": "b", "year": 3}, {"title": "", "body": "c", "year": 4}]
    assert client.requests[1] == rows
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), numbers(rows))
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["columns"] == {"title": "headline", "body": "body", "year": "when"}


def test_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = use(SmallClient(inputs=PAIRED), monkeypatch)
    (tmp_path / "in.tsv").write_text("premise\thypothesis\na\tb\nc\td\n")
    options = ("--text-column", "premise", "--text-column", "hypothesis")
    assert embed(tmp_path / "in.tsv", "-o", tmp_path / "out.parquet", *options) == 0
    assert client.requests == [[("a", "b")], [("a", "b"), ("c", "d")]]
    options = ("--column", "text=premise", "--column", "text_pair=hypothesis", "--overwrite")
    assert embed(tmp_path / "in.tsv", "-o", tmp_path / "out.parquet", *options) == 0
    assert client.requests[3] == [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}]


def test_tokens_in_place_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a text would be tokenized, they are named; where nothing makes tokens, they are found."""
    (tmp_path / "in.jsonl").write_text('{"ids": [1, 2], "mask": [1, 1]}\n{"ids": [], "mask": "[0, 1]"}\n')
    client = use(SmallClient(inputs=PAIRED), monkeypatch)
    assert embed(tmp_path / "in.jsonl", "-o", tmp_path / "out.npy", "--column", "input_ids=ids") == 0
    assert client.requests[1] == [{"input_ids": [1, 2]}, {"input_ids": []}]
    client = use(SmallClient(inputs=IDS), monkeypatch)
    assert embed(tmp_path / "in.jsonl", "-o", tmp_path / "out.npy", "--overwrite") == 0
    assert client.requests[1] == [{"ids": [1, 2], "mask": [1, 1]}, {"ids": [], "mask": [0, 1]}]


def test_one_text_whose_column_is_named_by_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = use(SmallClient(inputs=PAIRED), monkeypatch)
    (tmp_path / "in.csv").write_text("review\na\n")
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.npy", "--column", "text=review") == 0
    assert client.requests[1] == ["a"]


def test_bad_cells_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(rows: list[Any]) -> None:
        for index, row in enumerate(rows):
            if row["year"] == 7:
                where = f"records[{index}].year"
                raise penult_client.InvalidInputError(f"{where} holds 7", reason="OUT_OF_RANGE", field=where)

    client = use(SmallClient(refuse, inputs=ARTICLES), monkeypatch)
    lines = [
        "title,body,year",
        "a,b,x",
        "a,b,",
        "a,b",
        "a,caf\xe9,3",
        "a,b,nan",
        "a,b,7",
        "a,b,7,8",
        "good,b,8",
    ]
    (tmp_path / "in.csv").write_bytes("\n".join(lines).encode("latin-1"))
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.parquet") == 3
    assert listed(tmp_path) == [
        (0, 2, "NOT_A_NUMBER", "column 'year': \"x\" is no number (line 2)"),
        (1, 3, "NUMBER_MISSING", "column 'year': there is no number (line 3)"),
        (2, 4, "NUMBER_MISSING", "column 'year': there is no number (line 4)"),
        (3, 5, "NOT_UTF8", "column 'body': the text is not UTF-8 (byte 0xe9 at character 3) (line 5)"),
        (4, 6, "NOT_FINITE", "column 'year': the number is not finite (line 6)"),
        (5, 7, "OUT_OF_RANGE", "input 'year' holds 7"),
        (6, 8, "TOO_MANY_CELLS", "the row has 4 cells, the header 3 (line 8)"),
    ]
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("body").to_pylist() == ["b", "b", "b", None, "b", "b", None, "b"]
    assert [row is None for row in table.column("embedding").to_pylist()] == [True] * 7 + [False]
    # The first good row was tried first, and then the one behind it.
    assert [[row["year"] for row in rows] for rows in client.requests] == [[7], [8], [7, 8], [8]]


@pytest.mark.parametrize(
    ("inputs", "options", "said"),
    [
        (
            ARTICLES,
            (),
            "in.csv has no column 'year'; there are 'title', 'body', 'x'. Name the right one with --column year=NAME",
        ),
        (ARTICLES, ("--column", "year=y"), "no column 'y'"),
        (
            ARTICLES,
            ("--column", "yaer=x"),
            "--column yaer=x: the model takes title (text), body (text), year (float32)",
        ),
        (ARTICLES, ("--column", "year"), "--column year: write INPUT=NAME"),
        (ARTICLES, ("--column", "year=x", "--column", "year=y"), "names the input 'year' twice"),
        (ARTICLES, ("--column", "year=x", "--text-column", "x"), "do not go together"),
        (ARTICLES, ("--text-column", "title"), "--column title=NAME --column body=NAME --column year=NAME"),
        (ARTICLES, ("--text-column", "title", "--text-column", "nobody"), "no column 'nobody'"),
        (
            PAIRED,
            (),
            "in.csv has no column 'text'; there are 'title', 'body', 'x'. Name the right one with --text-column",
        ),
        (PAIRED, ("--pooling", "tokens"), "one row a token"),
    ],
)
def test_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    inputs: tuple[penult_client.ModelInput, ...],
    options: tuple[str, ...],
    said: str,
) -> None:
    use(SmallClient(inputs=inputs), monkeypatch)
    (tmp_path / "in.csv").write_text("title,body,x\na,b,1\n")
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.npy", *options) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"title": ["a"], "body": ["b"], "year": ["1999"]}, "column 'year' holds string, not numbers"),
        ({"title": ["a"], "body": [1], "year": [1999]}, "column 'body' holds int64, not texts"),
    ],
)
def test_refused_parquet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table: dict[str, list[Any]],
    said: str,
) -> None:
    use(SmallClient(inputs=ARTICLES), monkeypatch)
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    assert embed(tmp_path / "in.parquet", "-o", tmp_path / "out.npy") == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_lines_of_text_for_a_model_that_takes_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(SmallClient(inputs=ARTICLES), monkeypatch)
    (tmp_path / "in.txt").write_text("a\n")
    assert embed(tmp_path / "in.txt", "-o", tmp_path / "out.npy") == 2
    assert "has one text a line, and the model takes 'title', 'body', 'year'" in capsys.readouterr().err


def test_no_row_can_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = use(SmallClient(inputs=ARTICLES), monkeypatch)
    (tmp_path / "in.csv").write_text("title,body,year\na,b,\nc,d,x\n")
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.npy") == 2
    assert "none of the 2 rows can be embedded; the first is not: column 'year'" in capsys.readouterr().err
    assert client.requests == []


def test_a_model_that_takes_no_such_rows_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: list[Any]) -> None:
        raise penult_client.InvalidInputError(
            "records[0] has 2 values, the model takes 1", field="records[0]"
        )

    client = use(SmallClient(refuse, inputs=PAIRED), monkeypatch)
    (tmp_path / "in.csv").write_text("a,b\n" + "x,y\n" * 100)
    options = ("--text-column", "a", "--text-column", "b")
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.npy", *options) == 2
    assert "records[0] has 2 values, the model takes 1" in capsys.readouterr().err
    assert len(client.requests) == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


def test_a_stopped_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(rows: list[Any]) -> None:
        if any(row["title"] == "t6" for row in rows):
            raise KeyboardInterrupt

    lines = [f"t{n},b{n},{n}\n" for n in range(11)]
    (tmp_path / "in.csv").write_text("title,body,published\n" + "".join(lines))
    output, options = (
        tmp_path / "out.parquet",
        ("--column", "year=published", "--batch-size", 2, "--shard-rows", 2),
    )
    use(SmallClient(inputs=ARTICLES), monkeypatch)
    assert embed(tmp_path / "in.csv", "-o", output, *options) == 0
    whole = contents(tmp_path)
    output.unlink()
    use(SmallClient(stop, inputs=ARTICLES), monkeypatch)
    assert embed(tmp_path / "in.csv", "-o", output, *options) == 130
    client = use(SmallClient(inputs=ARTICLES), monkeypatch)
    changed = ("--column", "year=title", "--batch-size", 2, "--shard-rows", 2, "--resume")
    assert embed(tmp_path / "in.csv", "-o", output, *changed) == 2
    assert "--column is [year=title], it was [year=published]" in capsys.readouterr().err.replace('"', "")
    assert embed(tmp_path / "in.csv", "-o", output, *options, "--resume") == 0
    assert contents(tmp_path) == whole
    assert sum(len(rows) for rows in client.requests[1:]) == 11 - 6


def test_requests_are_so_small_that_the_client_splits_none() -> None:
    rows = [{"a": "é" * (n % 700), "b": [float(n)] * (n % 300), "c": n} for n in range(1500)]
    limits = penult_client.Limits(**{**LIMITS, "max_texts": 1 << 14, "max_request_bytes": 1 << 26})
    checked = check_rows(rows)
    assert [asking.weight(row) for row in rows] == [size + 6 for size in checked.weights]
    assert asking.REQUEST_BYTES <= PART_BYTES
    assert len(split_rows(checked, limits, 0)) > 1
