"""Rows of files: all come out, in order, and the bad ones say why."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penult_service.cli.row_columns import Columns
from penult_service.cli.rows import open_inputs, open_rows
from penult_service.errors import InvalidInput, NotFound


def read(
    path: Path, size: int = 2, column: str = "text"
) -> tuple[list[str | None], dict[int, str], pa.Table]:
    """Texts, problems by row, and the input's columns, read `size` rows at a time."""
    source = open_rows(path, column)
    chunks = list(source.chunks(size))
    texts = [text for chunk in chunks for text in chunk.texts]
    problems = {chunk.first + place: why for chunk in chunks for place, why in chunk.problems.items()}
    assert len(texts) == source.rows
    assert [row for row, text in enumerate(texts) if text is None] == sorted(problems)
    table = pa.Table.from_batches([chunk.cells for chunk in chunks])
    assert table.num_rows == source.rows
    assert table.schema == source.schema
    return texts, problems, table


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_csv(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfid,text\r\n007,"two\r\nlines, ""quoted"""\r\n8,\r\n\r\n9,\xf0\x9f\x98\x80\r\n'
    texts, problems, table = read(write(tmp_path / "a.csv", data))
    assert texts == ['two\r\nlines, "quoted"', "", "\N{GRINNING FACE}"]
    assert problems == {}
    assert table.column("id").to_pylist() == ["007", "8", "9"]


def test_bad_csv_rows(tmp_path: Path) -> None:
    data = b"id,text\n1,good\n2\n3,b\xe9d\n4,too,many\n\xff,also good\n"
    texts, problems, table = read(write(tmp_path / "a.csv", data))
    assert texts == ["good", None, None, None, "also good"]
    assert problems == {
        1: "the text is missing (line 3)",
        2: "the text is not UTF-8 (byte 0xe9 at character 1) (line 4)",
        3: "the row has 3 cells, the header 2 (line 5)",
    }
    assert table.column("id").to_pylist() == ["1", "2", "3", "4", "?"]


def test_a_quote_that_nobody_closes(tmp_path: Path) -> None:
    """It takes the rest of the file: said, and not embedded."""
    texts, problems, _ = read(write(tmp_path / "a.csv", b'text\ngood\n"never\nclosed\nat all\n'))
    assert texts == ["good", None]
    assert problems == {1: "a quote in this row is never closed (line 3)"}
    assert problems[1].reason == "QUOTE_NOT_CLOSED"  # type: ignore[attr-defined]


def test_rows_begin_on_lines(tmp_path: Path) -> None:
    data = b'text,n\n"two\nlines",1\n\nx,y,z\n"three\n\nlines",b,c\n'
    _, problems, _ = read(write(tmp_path / "a.csv", data))
    assert [why.rpartition("(")[2] for why in problems.values()] == ["line 5)", "line 6)"]


def test_other_cells_that_are_not_utf8(tmp_path: Path) -> None:
    source = open_rows(write(tmp_path / "a.csv", b"id,text\n1,a\n\xff\xfe,b\n"), "text")
    (chunk,) = source.chunks(10)
    assert chunk.texts == ["a", "b"]
    assert chunk.damaged == {1: "column 'id' is not UTF-8 (byte 0xff at character 0): kept as '?' (line 3)"}
    assert chunk.cells.column("id").to_pylist() == ["1", "??"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_an_encoding_with_no_room_for_wrong_bytes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "text\nx\n".encode("utf-16") + b"\x00\xd8\x00")
    with pytest.raises(InvalidInput, match="is not utf-16"):
        list(open_inputs([path], Columns.text("text"), "utf-16").chunks(10))


@pytest.mark.parametrize("start", [0, 1, 4, 5, 9, 12])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rows_from_a_number_on(tmp_path: Path, start: int, ending: str) -> None:
    """Over the borders of files, in chunks of the same size wherever one starts."""
    paths = []
    for number, rows in enumerate((5, 0, 1, 6)):
        paths.append(tmp_path / f"{number}{ending}")
        texts = [f"{number}.{row}" for row in range(rows)]
        if ending == ".csv":
            paths[-1].write_text("\n".join(["text", *texts]) + "\n")
        else:
            pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), paths[-1], row_group_size=2)
    source = open_inputs(paths, Columns.text("text"))
    everything = [text for chunk in source.chunks(100) for text in chunk.texts]
    places = [place for chunk in source.chunks(100) for place in chunk.places]
    assert len(everything) == source.rows == 12
    if start % 4 == 0 or ending == ".csv":
        chunks = list(source.chunks(4, start))
        assert [chunk.first for chunk in chunks] == list(range(start, 12, 4))
        assert [text for chunk in chunks for text in chunk.texts] == everything[start:]
        assert [place for chunk in chunks for place in chunk.places] == places[start:]
    assert places[5] == (f"2{ending}", 2 if ending == ".csv" else 0)


def test_tsv(tmp_path: Path) -> None:
    texts, _, table = read(write(tmp_path / "a.tsv", b"text\tid\na, b\t1\n"))
    assert (texts, table.column_names) == (["a, b"], ["text", "id"])


def test_long_cells(tmp_path: Path) -> None:
    texts, _, _ = read(write(tmp_path / "a.csv", b"text\n" + b"x" * 1_000_000 + b"\n"))
    assert texts == ["x" * 1_000_000]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"text": "good", "n": 1, "x": 1, "mixed": "a", "deep": {"k": [1]}, "flag": True},
        {"text": None, "n": None, "x": 0.5, "mixed": 5, "deep": None, "flag": None},
        {"n": 2**70, "late": "z"},
        {"text": 5},
        {"text": "\ud800"},
    ]
    data = "\n".join(json.dumps(line) for line in lines).encode() + b'\n\nnot json\n[1]\n{"text": "\xff"}\n'
    texts, problems, table = read(write(tmp_path / "a.jsonl", data))
    assert texts == ["good"] + [None] * 7
    assert {row: why.rpartition(" (line")[0] for row, why in problems.items()} == {
        1: "the text is missing",
        2: "the text is missing",
        3: "the text is 5, not a string",
        4: "the text is not UTF-8 (a lone surrogate at character 0)",
        5: "the line is not JSON (Expecting value: line 1 column 1 (char 0))",
        6: "the line holds no JSON object",
        7: "the line is not UTF-8 (byte 0xff at 10)",
    }
    assert problems[5].endswith("(line 7)")
    first = table.slice(0, 3).to_pylist()
    assert [row["n"] for row in first] == ["1", None, str(2**70)]
    assert [row["x"] for row in first] == [1.0, 0.5, None]
    assert [row["mixed"] for row in first] == ["a", "5", None]
    assert [row["deep"] for row in first] == ['{"k": [1]}', None, None]
    assert [row["flag"] for row in first] == [True, None, None]
    assert [row["late"] for row in first] == [None, None, "z"]


def test_lines_of_text(tmp_path: Path) -> None:
    texts, problems, _ = read(write(tmp_path / "a.txt", "\ufeffone\r\n\ntwo\u2028still\n".encode() + b"\xff"))
    assert texts == ["one", "", "two\u2028still", None]
    assert problems == {3: "the text is not UTF-8 (byte 0xff at character 0) (line 4)"}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    given = pa.table(
        {"id": [1, 2, 3], "text": pa.array(["a", None, "\N{SNOWMAN}"]).cast(kind), "d": [[1], [], None]}
    )
    pq.write_table(given, tmp_path / "a.parquet")
    texts, problems, table = read(tmp_path / "a.parquet")
    assert texts == ["a", None, "\N{SNOWMAN}"]
    assert problems == {1: "the text is missing"}
    assert table.equals(given)


@pytest.mark.parametrize("as_string", [False, True])
def test_parquet_bytes(tmp_path: Path, as_string: bool) -> None:
    raw = pa.array([b"good", b"b\xe9d"])
    column = pa.Array.from_buffers(pa.string(), 2, raw.buffers()) if as_string else raw
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    texts, problems, _ = read(tmp_path / "a.parquet")
    assert texts == ["good", None]
    assert problems == {1: "the text is not UTF-8 (byte 0xe9 at byte 1)"}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"id,body\n1,x\n", "there are 'id', 'body'"),
        ("a.csv", b"text,text\n1,x\n", "two columns 'text'"),
        ("a.csv", b"t\xe9xt\nx\n", "save the file as UTF-8"),
        ("a.csv", b"text\n", "no rows"),
        ("a.csv", b"", "no rows"),
        ("a.jsonl", b'{"body": "x"}\n', "no column 'text'"),
        ("a.jsonl", b"\n\n", "no rows"),
        ("a.txt", b"", "no rows"),
        ("a.parquet", b"PAR1 no", "not a parquet file"),
        ("a.docx", b"", "ends in one of .csv"),
    ],
)
def test_refused_files(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=r".") as refused:
        open_rows(write(tmp_path / name, data), "text")
    assert said in refused.value.message


@pytest.mark.parametrize(("column", "said"), [([1], "holds int64"), (["a"], "")])
def test_refused_parquet_column(tmp_path: Path, column: list[Any], said: str) -> None:
    pq.write_table(pa.table({"other": column}), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match=said or "no column 'text'"):
        open_rows(tmp_path / "a.parquet", "other" if said else "text")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not a file"):
        open_rows(tmp_path / "a.csv", "text")


TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), min_size=1, max_size=12)


@given(texts=TEXTS, size=st.integers(1, 13))
def test_csv_and_json_keep_every_text(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["n", "text"], *enumerate(texts)])
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name in ("a.csv", "a.jsonl"):
        found, problems, _ = read(folder / name, size)
        assert found == texts
        assert problems == {}
