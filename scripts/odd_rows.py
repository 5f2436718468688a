"""What becomes of odd rows in csv, jsonl and parquet, by `penult embed` with the fake engine: a table.

A good row is kept when its text comes out unchanged, character for character, and its embedding is the one that the
same text has when it is sent by itself. A bad row is null, and stands in OUT.errors.jsonl with its line (parquet: its
number). Exit code 1 when a row is neither.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from penult_client import Client

PENULT = (sys.executable, "-m", "penult_service")
FORMATS = ("csv", "jsonl", "parquet")
PARTLY = 3


@dataclass(frozen=True)
class Row:
    """A text to be kept, or (`text` None) raw bytes of a row for each format that has such a row, and the reason."""

    what: str
    text: str | None = None
    csv: bytes | None = None
    jsonl: bytes | None = None
    parquet: bytes | str | None = None
    reason: str = ""


NULL = "null"  # a null in a parquet file
GOOD = [
    Row(f"the text {text}", text)
    for text in (
        "NA",
        "N/A",
        "null",
        "None",
        "nan",
        "NaN",
        "007",
        "1e5",
        "1_000",
        "true",
        "0x1F",
        "-",
        "=A1+A2",
    )
] + [
    Row("an empty text", ""),
    Row("a blank", " "),
    Row("blanks around", "  both sides  "),
    Row("a line break", "two\nlines"),
    Row("a line break of Windows", "two\r\nlines"),
    Row("a carriage return", "two\rparts"),
    Row("two empty lines in it", "a\n\n\nb"),
    Row("a tab", "one\ttab"),
    Row("commas and semicolons", "a, b; c,"),
    Row("quotes", 'she said "no", twice: ""'),
    Row("one quote", '"'),
    Row("a backslash and an n", "not a line break: \\n"),
    Row("emoji, joined", "\N{FAMILY} \N{WOMAN}\u200d\N{ROCKET}"),
    Row("a combining accent", "cafe\u0301"),
    Row("right to left", "\u05e9\u05dc\u05d5\u05dd"),
    Row("a line separator", "one\u2028line"),
    Row("a byte order mark inside", "a\ufeffb"),
    Row("a NUL character", "a\0b"),
    Row("the replacement character", "a\ufffdb"),
    Row("100,000 characters", "word " * 20_000),
]
BAD = [
    Row("a real null", jsonl=b'{"n": "?", "text": null}', parquet=NULL, reason="TEXT_MISSING"),
    Row("no such cell or key", csv=b"?", jsonl=b'{"n": "?"}', reason="TEXT_MISSING"),
    Row("a number", jsonl=b'{"n": "?", "text": 7}', reason="NOT_A_TEXT"),
    Row("a not-a-number", jsonl=b'{"n": "?", "text": NaN}', reason="NOT_A_TEXT"),
    Row(
        "a byte of Latin-1",
        csv=b"?,caf\xe9",
        jsonl=b'{"n": "?", "text": "caf\xe9"}',
        parquet=b"caf\xe9",
        reason="NOT_UTF8",
    ),
    Row("a lone surrogate", jsonl=b'{"n": "?", "text": "\\ud800"}', reason="NOT_UTF8"),
    Row("a cell too many", csv=b"?,a,b", reason="TOO_MANY_CELLS"),
    Row("no JSON", jsonl=b"oops", reason="NOT_JSON"),
    Row("a list", jsonl=b'["?", "text"]', reason="NOT_JSON"),
    Row("a quote without an end", csv=b'?,"never\nclosed\n', reason="QUOTE_NOT_CLOSED"),
]
ROWS = [*GOOD, *BAD]


def main() -> int:
    """Make the files, embed them, and print what came out."""
    with tempfile.TemporaryDirectory() as name, _server(Path(name)) as address:
        folder = Path(name)
        outcomes = {kind: embedded(folder, kind, address) for kind in FORMATS}
    width = max(len(row.what) for row in ROWS)
    print(f"{'row':{width}}  {'csv':26}  {'jsonl':26}  parquet")
    for row in ROWS:
        print(
            f"{row.what:{width}}  " + "  ".join(f"{outcomes[kind][row.what]:26}" for kind in FORMATS).rstrip()
        )
    wrong = sum(outcome.startswith("WRONG") for kind in FORMATS for outcome in outcomes[kind].values())
    print(f"\n{len(ROWS)} rows, each with a byte order mark before the first: {wrong} wrong")
    return int(wrong > 0)


def embedded(folder: Path, kind: str, address: str) -> dict[str, str]:
    """What became of each row, by its name."""
    rows = [row for row in ROWS if row.text is not None or getattr(row, kind) is not None]
    source, out = folder / f"odd.{kind}", folder / f"out-{kind}.parquet"
    {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}[kind](source, rows)
    words = ("embed", source, "-o", out, "--server", address, "--batch-size", 7)
    ran = subprocess.run([*PENULT, *map(str, words)], capture_output=True, text=True, check=False)
    if ran.returncode != PARTLY:
        raise SystemExit(f"penult embed {source.name} ended with {ran.returncode}: {ran.stderr}")
    table = pq.read_table(out)
    if table.num_rows != len(rows):
        raise SystemExit(f"{source.name}: {table.num_rows} rows came out of {len(rows)}")
    with out.with_suffix(".errors.jsonl").open(encoding="utf-8") as lines:
        listed = {row["row"]: row for row in map(json.loads, lines)}
    with Client(address) as client:
        alone = {row.text: client.embed([row.text]).vectors[0] for row in rows if row.text is not None}
    outcomes = {row.what: "" for row in ROWS}
    for number, row in enumerate(rows):
        text, vector = (table.column(name)[number].as_py() for name in ("text", "embedding"))
        if row.text is None:
            told = listed.get(number, {"reason": "not listed"})
            fine = text is None and vector is None and told["reason"] == row.reason
            where = f"line {told['line']}" if "line" in told else f"row {told.get('file_row')}"
            outcome = f"{told['reason']}, {where}"
        else:
            fine = text == row.text and vector is not None and number not in listed
            fine = fine and np.array_equal(np.float32(vector), alone[row.text])
            outcome = "kept"
        outcomes[row.what] = outcome if fine else f"WRONG: {outcome}, {text!r:.20}"
    return outcomes


def _write_csv(path: Path, rows: list[Row]) -> None:
    parts = [b"\xef\xbb\xbfn,text\r\n"]
    for number, row in enumerate(rows):
        if row.text is None:
            parts.append((row.csv or b"").replace(b"?", str(number).encode()) + b"\r\n")
            continue
        line = io.StringIO(newline="")
        csv.writer(line).writerow([number, row.text])
        parts.append(line.getvalue().encode())
    path.write_bytes(b"".join(parts))


def _write_jsonl(path: Path, rows: list[Row]) -> None:
    lines = [
        (row.jsonl or b"").replace(b"?", str(number).encode())
        if row.text is None
        else json.dumps({"n": str(number), "text": row.text}, ensure_ascii=False).encode()
        for number, row in enumerate(rows)
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines) + b"\n")


def _write_parquet(path: Path, rows: list[Row]) -> None:
    """The texts as bytes called strings, as careless programs write them."""
    values = [
        None if row.parquet == NULL else row.parquet if row.text is None else row.text.encode()
        for row in rows
    ]
    raw = pa.array(values, pa.binary())
    column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), null_count=raw.null_count)
    pq.write_table(pa.table({"n": [str(n) for n in range(len(rows))], "text": column}), path)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    address = folder / "address"
    words = ("serve", "fake:demo", "--port", "0", "--address-file", address)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*PENULT, *map(str, words)], stdout=log, stderr=log)
    try:
        while not address.exists() or not address.read_text().endswith("\n"):
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.1)
        yield address.read_text().strip()
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
