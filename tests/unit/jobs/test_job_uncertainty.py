"""`penult embed --uncertainty`: a row's samples are those of its number in the files, however the job came to it."""

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
from penult_client import Limits
from penult_client._core import dropout
from penult_client._core.rows import check_rows
from penult_client._core.splitting import split_rows
from penult_service.cli.embed import EMBED_SAMPLES
from penult_service.jobs import asking
from support.job_runs import CLASSES, SmallClient, embed, use
from support.wire_server import LIMITS

LINES = [None if n % 5 == 2 else f"text {n}" for n in range(23)]
GOOD = [n for n, text in enumerate(LINES) if text is not None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in LINES))
    return path


def numbers(row: int, samples: int = 30, seed: int = 42, rate: float | None = None) -> np.ndarray:
    """What the small client makes of the row: its mean probabilities, entropy, mutual information and so on."""
    words = f"{LINES[row]} {row} {samples} head {seed} {rate}"
    return np.random.default_rng(zlib.crc32(words.encode())).random(CLASSES + 3).astype(np.float32)


@pytest.mark.parametrize("size", [1, 4, 1024])
def test_columns(source: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    client = use(SmallClient(), monkeypatch)
    out = source.with_name("out.parquet")
    options = ("--samples", 5, "--seed", 7, "--rate", 0.25, "--probabilities", "--batch-size", size)
    assert embed(source, "-o", out, "--uncertainty", *options) == 3
    table = pq.read_table(out)
    assert table.column_names == [
        *("text", "embedding", "probabilities", "predicted", "uncertainty", "mutual_information"),
        *("token_count", "truncation", "error"),
    ]
    expected = np.array([numbers(row, 5, 7, 0.25) for row in GOOD])
    for place, name in enumerate(("uncertainty", "mutual_information")):
        assert table.schema.field(name).type == pa.float32()
        np.testing.assert_array_equal(table.take(GOOD).column(name).to_numpy(), expected[:, CLASSES + place])
        assert table.column(name).null_count == len(LINES) - len(GOOD)
    told = json.loads(table.schema.metadata[b"penult.uncertainty"])
    assert told == {
        **{"measure": "entropy", "samples": 5, "seed": 7, "layers": "head"},
        "active": [{"path": "dropout", "layer_class": "Dropout", "rate": 0.25}],
    }
    # Every row is in a call that begins with its number.
    asked = {first + i: row for first, rows in client.sampled[1:] for i, row in enumerate(rows)}
    assert asked == {row: LINES[row] for row in GOOD}


def test_a_row_error_of_the_samples(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is embedded and cannot be sampled is a bad row as a whole."""

    class Odd(SmallClient):
        def uncertainty(self, rows: list[Any], *more: Any, **options: Any) -> Any:
            if len(rows) > 1:
                where = f"texts[{len(rows) - 1}]"
                raise penult_client.InvalidInputError(f"{where} is odd", reason="ODD", field=where)
            return super().uncertainty(rows, *more, **options)

    use(Odd(), monkeypatch)
    out = source.with_name("out.parquet")
    assert embed(source, "-o", out, "--uncertainty") == 3
    lines = [json.loads(line) for line in out.with_suffix(".errors.jsonl").read_text().splitlines()]
    # Of the rows between two bad ones only the first can be sampled.
    odd = [row for row in GOOD if row - 1 in GOOD]
    assert [line["row"] for line in lines if line["reason"] == "ODD"] == odd
    assert {line["message"] for line in lines if line["reason"] == "ODD"} == {"the text is odd"}
    table = pq.read_table(out)
    kept = [row for row in GOOD if row not in odd]
    for name in ("embedding", "uncertainty", "mutual_information"):
        assert np.flatnonzero(table.column(name).is_valid().to_numpy()).tolist() == kept
    expected = np.array([numbers(row)[CLASSES] for row in kept])
    np.testing.assert_array_equal(table.take(kept).column("uncertainty").to_numpy(), expected)


def test_a_model_that_is_no_classifier(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard deviation, and nothing that needs classes."""
    empty = np.zeros(0, np.float32)
    none = {"classifier": False, "entropy": empty, "mutual_information": empty, "variation_ratio": empty}
    use(SmallClient(measured=none), monkeypatch)
    out = source.with_name("out.arrow")
    assert embed(source, "-o", out, "--uncertainty") == 3
    with pa.OSFile(str(out)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert "mutual_information" not in table.column_names
    expected = [(numbers(row)[:CLASSES] / 10).mean() for row in GOOD]
    np.testing.assert_allclose(table.take(GOOD).column("uncertainty").to_numpy(), expected, rtol=1e-6)
    assert json.loads(table.schema.metadata[b"penult.uncertainty"])["measure"] == "std"


def test_a_job_that_goes_on_is_of_the_same_samples(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(rows: list[Any]) -> None:
        if "text 9" in rows:
            raise KeyboardInterrupt

    use(SmallClient(stop), monkeypatch)
    words = (source, "-o", source.with_name("out.parquet"), "--batch-size", 2, "--shard-rows", 2)
    assert embed(*words, "--uncertainty", "--seed", 7) == 130
    use(SmallClient(), monkeypatch)
    for other, said in (
        (("--uncertainty", "--seed", 8), "--seed is 8, it was 7"),
        (("--uncertainty", "--seed", 7, "--samples", 5), "--samples is 5, it was 30"),
        (("--uncertainty", "--seed", 7, "--rate", 0.5), "--rate is 0.5, it was not given"),
        ((), "--uncertainty is not given, it was true"),
    ):
        capsys.readouterr()
        assert embed(*words, *other, "--resume") == 2
        assert said in capsys.readouterr().err
    assert embed(*words, "--uncertainty", "--seed", 7, "--resume") == 3
    table = pq.read_table(source.with_name("out.parquet"))
    expected = np.array([numbers(row, seed=7)[CLASSES] for row in GOOD])
    np.testing.assert_array_equal(table.take(GOOD).column("uncertainty").to_numpy(), expected)


def test_refused(source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Unsampled(SmallClient):
        def uncertainty(self, *_: Any, **__: Any) -> Any:
            raise penult_client.PreconditionError("its dropouts cannot be put back", reason="NO_SAMPLING")

    use(Unsampled(), monkeypatch)
    for out, code, options, said in (
        ("out.parquet", 1, ("--uncertainty",), "its dropouts cannot be put back"),
        ("out.npy", 2, ("--uncertainty",), "--uncertainty needs a .parquet or .arrow"),
        ("out.parquet", 2, ("--samples", 5), "--samples is of --uncertainty"),
        ("out.parquet", 2, ("--seed", 0), "--seed is of --uncertainty"),
        ("out.parquet", 2, ("--uncertainty", "--rate", 1), "--rate is at least 0 and below 1"),
        ("out.parquet", 2, ("--uncertainty", "--samples", 0), "--samples"),
    ):
        assert embed(source, "-o", source.with_name(out), *options) == code
        assert said in capsys.readouterr().err
        assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]


def test_a_column_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(SmallClient(), monkeypatch)
    (tmp_path / "in.csv").write_text("text,uncertainty\na,1\n")
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.parquet", "--uncertainty") == 2
    assert "column 'uncertainty' already" in capsys.readouterr().err
    assert embed(tmp_path / "in.csv", "-o", tmp_path / "out.parquet") == 0


def test_a_model_that_is_replaced(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(SmallClient(measured={"digest": "d2"}), monkeypatch)
    assert embed(source, "-o", source.with_name("out.parquet"), "--uncertainty") == 1
    assert "the server changed small@1" in capsys.readouterr().err


def test_the_samples_of_a_request_are_one_request() -> None:
    """Two under way at once would be packed as it happens."""
    asked = dropout.dropout_options(samples=EMBED_SAMPLES, layers="head", seed=42, rate=None)
    rows = check_rows(
        ["x" * (asking.REQUEST_BYTES // asking.REQUEST_ROWS - asking.ROW_BYTES)] * asking.REQUEST_ROWS
    )
    limits = Limits(**{**LIMITS, "max_texts": 1 << 14, "max_request_bytes": 1 << 26})
    assert len(split_rows(rows, limits, asked.ByteSize(), dropout.passes(asked))) == 1
