"""Labelled texts: the same rows from every format, and errors that name file, row and column."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_service.errors import InvalidInput, NotFound
from penult_service.recipes import data

ROWS = [
    {"text": 'He said "no",\nand left', "label": "bad", "page": "1"},
    {"text": "naïve café 🙂", "label": "good", "page": "1"},
    {"text": "fine", "label": "good", "page": "2"},
]
CSV = 'text,label,page\n"He said ""no"",\nand left",bad,1\nnaïve café 🙂,good,1\nfine,good,2\n'


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "CSV"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    path = write_csv(path, CSV) if suffix.lower() == "csv" else write(path, ROWS)
    found = data.read(path, data.Columns(group="page"))
    assert found.texts == tuple(row["text"] for row in ROWS)
    assert found.labels == ("bad", "good", "good")
    assert found.groups == ("1", "1", "2")
    assert (found.source, found.sha256) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode() + b"\r\n"
    found = data.read(write_csv(tmp_path / "rows.csv", content), data.Columns())
    assert found.texts[1:] == tuple(row["text"] for row in ROWS[1:])
    (tmp_path / "rows.jsonl").write_text('\n{"text": "a", "label": 1}\n\n')
    assert data.read(tmp_path / "rows.jsonl", data.Columns()).texts == ("a",)


def test_a_text_longer_than_pythons_own_limit(tmp_path: Path) -> None:
    text = "long " * 100_000
    found = data.read(write_csv(tmp_path / "rows.csv", f"text,label\n{text},x\n"), data.Columns())
    assert found.texts == (text,)


@pytest.mark.parametrize(
    ("label", "name"), [(1, "1"), (-1, "-1"), (2.0, "2"), (True, "True"), (" good ", "good")]
)
def test_labels_become_texts(tmp_path: Path, label: Any, name: str) -> None:
    found = data.read(write(tmp_path / "rows.jsonl", [{"text": "a", "label": label}]), data.Columns())
    assert found.labels == (name,)


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        ("text,label\na,x\n,y\n", "EMPTY_TEXT", "line 3, column 'text': the text is empty"),
        ("text,label\na,x\nb\n", "NOT_A_LABEL", "line 3, column 'label': None is neither"),
        ("text,label\na,x\nb,\n", "EMPTY_LABEL", "line 3, column 'label': the cell is empty"),
        ("text,label\na,x,more\n", "ROW_LENGTH", "line 2 has more cells than the header"),
        ("words,label\na,x\n", "COLUMN_MISSING", "no column 'text'; there are 'words', 'label'"),
        ('text,label\na,x\n"b,y\n', "NOT_CSV", "after line 2: unexpected end of data"),
        ("text,label,text\na,x,b\n", "COLUMN_TWICE", "names 'text' more than once"),
        ("text,label\n", "NO_ROWS", "there are no rows"),
        ("", "NO_ROWS", "there are no rows"),
        (b"text,label\na,x\n\xff,y\n", "NOT_UTF8", "line 3 is not UTF-8 (byte 15"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, reason: str, words: str) -> None:
    path = write_csv(tmp_path / "rows.csv", content)
    with pytest.raises(InvalidInput) as caught:
        data.read(path, data.Columns())
    assert caught.value.reason == reason
    assert words in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        ("{", "NOT_JSON", "line 2 is not JSON"),
        ("[1]", "NOT_JSON", "line 2 holds no JSON object"),
        ('{"text": 7, "label": 1}', "NOT_A_TEXT", "line 2, column 'text': 7 is not a text"),
        ('{"text": "\\ud800", "label": 1}', "NOT_UTF8", "line 2, column 'text': a lone surrogate"),
        ('{"text": "a", "label": 1.5}', "NOT_A_LABEL", "line 2, column 'label': 1.5 is neither"),
        ('{"text": "a", "label": [1]}', "NOT_A_LABEL", "line 2, column 'label': [1] is neither"),
        ('{"text": "a"}', "COLUMN_MISSING", "line 2 has no column 'label'; there are 'text'"),
    ],
)
def test_bad_jsonl(tmp_path: Path, line: str, reason: str, words: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "a", "label": 1}}\n{line}\n')
    with pytest.raises(InvalidInput) as caught:
        data.read(path, data.Columns())
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_bad_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", [{"text": "a", "label": "x"}, {"text": "b", "label": None}])
    with pytest.raises(InvalidInput, match="row 2, column 'label': None"):
        data.read(path, data.Columns())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInput, match="not a parquet file, or is damaged"):
        data.read(path, data.Columns())


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"rows\.csv is not a file"):
        data.read(tmp_path / "rows.csv", data.Columns())
    with pytest.raises(InvalidInput, match=r"must end in one of \.csv, \.jsonl, \.parquet"):
        data.read(write_csv(tmp_path / "rows.txt", CSV), data.Columns())


def test_order_of_labels() -> None:
    assert data.sorted_labels(("10", "9", "-1", "9")) == ("-1", "9", "10")
    assert data.sorted_labels(("b", "10", "a", "9")) == ("10", "9", "a", "b")
