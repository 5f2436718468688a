"""`penult uncertainty` and `penult embed --uncertainty` against a server, over a real socket."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_client import Client, Uncertainty
from penult_service.cli.app import main
from penult_service.plots import reliability
from penult_service.plots.words import percent
from PIL import Image
from sklearn.metrics import roc_auc_score
from support.fakes import fake_model
from support.job_runs import contents
from support.serving import serving

WORDS = ("red", "blue", "green", "round", "square", "long", "old", "new", "warm", "cold")
NAMES = ("negative", "neutral", "positive")
TEXTS: list[str | None] = [f"{WORDS[i % 10]} {WORDS[i * 7 % 10]} {WORDS[i // 10]}" for i in range(60)]
TEXTS[7], TEXTS[8], TEXTS[20] = None, "poison", TEXTS[19]
BAD = [7, 8]
GOOD = np.setdiff1d(np.arange(len(TEXTS)), BAD)
LABELS = [NAMES[i % 3] for i in range(60)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    models = (
        fake_model("reviews", 3, nan_on="poison"),
        fake_model("regression", 1, head="regression"),
        fake_model("tags", 1, head="multilabel"),
        fake_model("whole", 1, whole_only=True),
        fake_model("aged", 1, takes="numbers"),
    )
    with serving(*models) as server:
        yield server.address


def write(path: Path, labels: list[str | None], texts: list[str | None] = TEXTS) -> Path:
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", list(LABELS))


def run(address: str, *words: object, model: str = "reviews") -> int:
    return main([*map(str, words), "--server", address, "--model", model])


def sampled(address: str, seed: int = 42, samples: int = 30, **settings: Any) -> dict[int, Uncertainty]:
    """Each good row in a call of its own, with its number, and every sample."""
    with Client(address) as client:
        settings = {"model": "reviews", "draws": True, **settings}
        return {
            int(row): client.uncertainty([TEXTS[row]], samples, seed=seed, first_row=int(row), **settings)
            for row in GOOD
        }


@pytest.fixture(scope="module")
def draws(address: str) -> NDArray[np.float64]:
    """Of the good rows: float64 [n, samples, classes]."""
    found = [each.draws for each in sampled(address).values()]
    return np.concatenate([each for each in found if each is not None]).astype(np.float64)


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=-1))


def measures(draws: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """By hand."""
    mean, votes = draws.mean(axis=1), draws.argmax(axis=2)
    most = np.array([np.bincount(each).max() for each in votes])
    return {
        "entropy": entropy(mean),
        "mutual_information": entropy(mean) - entropy(draws).mean(axis=1),
        "variation_ratio": 1 - most / draws.shape[1],
    }


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def test_parquet(
    address: str, source: Path, draws: NDArray[np.float64], capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.with_name("out.parquet")
    assert run(address, "uncertainty", source, "-o", out) == 3
    printed = capsys.readouterr()
    assert "row 7: the text is missing (line 8)" in printed.err
    assert "row 8: the model gives NaN or infinity" in printed.err
    assert "2 of the 60 rows could not be sampled" in printed.err
    assert "58 rows, 30 samples each, seed 42; dropout on: dropout (rate 0.1)" in printed.out
    table = pq.read_table(out)
    assert table.column_names == [
        *("text", "label", "predicted", "clean", "probabilities", "std"),
        *("entropy", "mutual_information", "variation_ratio", "error"),
    ]
    assert table.column("text").to_pylist() == TEXTS
    assert table.column("probabilities").type == pa.list_(pa.float32(), 3)
    good = table.take(GOOD)
    mean = draws.mean(axis=1)
    np.testing.assert_allclose(np.stack(good.column("probabilities").to_numpy()), mean, atol=1e-6)
    np.testing.assert_allclose(np.stack(good.column("std").to_numpy()), draws.std(axis=1), atol=1e-6)
    for name, values in measures(draws).items():
        np.testing.assert_allclose(good.column(name).to_numpy(), values, atol=2e-6, err_msg=name)
        assert table.column(name).take(BAD).null_count == len(BAD)
    assert good.column("predicted").to_pylist() == [NAMES[i] for i in mean.argmax(axis=1)]
    with Client(address) as client:
        plain = client.classify([text for row, text in enumerate(TEXTS) if row in GOOD], model="reviews")
    assert good.column("clean").to_pylist() == plain.labels.tolist()
    assert good.column("error").null_count == len(GOOD)
    assert table.column("error")[7].as_py() == "the text is missing (line 8)"
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (metadata["penult.model"], metadata["penult.version"]) == ("reviews", "3")
    assert len(metadata["penult.model_digest"]) == 64
    facts = json.loads(metadata["penult.uncertainty"])
    assert (facts["seed"], facts["samples"], facts["layers"], facts["source"]) == (42, 30, "head", "in.jsonl")
    assert facts["active"] == [{"path": "dropout", "layer_class": "Dropout", "rate": pytest.approx(0.1)}]
    assert facts["mean_entropy"] == pytest.approx(measures(draws)["entropy"].mean(), abs=1e-6)
    assert f"mean entropy {facts['mean_entropy']:.4f} nats (3 classes: at most 1.099)" in printed.out
    changed = int((mean.argmax(axis=1) != plain.predicted).sum())
    assert facts["changed_rows"] == changed
    assert (
        f"{changed} row{'s' * (changed != 1)} ({percent(changed / 58)}) would be of another class"
        in printed.out
    )


def test_masks_are_of_the_number_of_the_row(address: str, source: Path, draws: NDArray[np.float64]) -> None:
    """Two rows of one text have samples of their own; the same seed gives the same file, another one another."""
    places = {int(row): place for place, row in enumerate(GOOD)}
    assert not np.array_equal(draws[places[19]], draws[places[20]])
    outs = [source.with_name(f"{name}.parquet") for name in ("one", "two", "other")]
    for out, seed in zip(outs, (42, 42, 7), strict=True):
        assert run(address, "uncertainty", source, "-o", out, "--seed", seed, "--samples", 5) == 3
    assert outs[0].read_bytes() == outs[1].read_bytes()
    first, other = (pq.read_table(out).column("entropy").to_numpy()[GOOD] for out in (outs[0], outs[2]))
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("by", [None, "mutual-information", "entropy", "variation-ratio"])
def test_the_rows_most_worth_a_label(
    address: str,
    source: Path,
    draws: NDArray[np.float64],
    capsys: pytest.CaptureFixture[str],
    by: str | None,
) -> None:
    words = () if by is None else ("--by", by)
    assert run(address, "uncertainty", source, "--top", 12, "--json", *words) == 3
    facts = told(capsys)
    name = (by or "mutual-information").replace("-", "_")
    assert facts["by"] == name
    shown = np.array([row[name] for row in facts["top"]])
    values = measures(draws)[name]
    np.testing.assert_allclose(shown, np.sort(values)[::-1][:12], atol=2e-6)
    rows = [row["row"] for row in facts["top"]]
    np.testing.assert_allclose(values[np.searchsorted(GOOD, rows)], shown, atol=2e-6)
    assert [row["text"] for row in facts["top"]] == [TEXTS[row] for row in rows]
    assert [error["row"] for error in facts["row_errors"]] == BAD
    assert [error["reason"] for error in facts["row_errors"]] == ["TEXT_MISSING", "NOT_FINITE"]
    assert run(address, "uncertainty", source, "--top", 12, *words) == 3
    lines = capsys.readouterr().out.splitlines()
    headings = {"mutual_information": "information", "variation_ratio": "variation"}
    assert lines[-13].split()[:2] == ["row", headings.get(name, name)]
    assert [int(line.split()[0]) for line in lines[-12:]] == rows


def test_labels(
    address: str, source: Path, draws: NDArray[np.float64], capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = source.with_name("out.parquet"), source.with_name("r.png")
    options = ("--label-column", "label", "-o", out, "--plot", plot, "--plot", plot.with_suffix(".svg"))
    assert run(address, "uncertainty", source, "--json", *options) == 3
    facts = told(capsys)
    mean = draws.mean(axis=1)
    right = mean.argmax(axis=1) == GOOD % 3
    assert 5 < right.sum() < len(GOOD) - 5
    assert facts["accuracy"] == pytest.approx(right.mean())
    assert facts["labelled_rows"] == len(GOOD)
    confidence = mean.max(axis=1)
    bins = np.ceil(confidence * 15).astype(int) - 1
    gaps = [abs((right[bins == b] - confidence[bins == b]).sum()) for b in range(15)]
    assert facts["ece"] == pytest.approx(sum(gaps) / len(GOOD), abs=1e-6)
    table = pq.read_table(out).take(GOOD)
    for name, auroc in facts["auroc"].items():
        assert auroc == pytest.approx(roc_auc_score(~right, table.column(name).to_numpy()), abs=1e-9)
    assert [each["rows"] for each in facts["bins"]] == np.bincount(bins, minlength=15).tolist()
    assert Image.open(plot).size[0] > 1000
    assert b"<svg" in plot.with_suffix(".svg").read_bytes()
    assert json.loads(pq.read_schema(out).metadata[b"penult.uncertainty"])["ece"] == facts["ece"]
    assert run(address, "uncertainty", source, "--label-column", "label") == 3
    shown = capsys.readouterr().out
    wrong = int((~right).sum())
    assert f"of 58 labelled rows {wrong} are predicted wrong: accuracy {right.mean():.4f}, ECE" in shown
    assert (
        f"AUROC for wrong against right predictions: entropy {facts['auroc']['entropy']:.3f}, mutual" in shown
    )
    assert "(wrong)" in shown
    assert sorted(path.name for path in source.parent.iterdir()) == [
        "in.jsonl",
        "out.parquet",
        "r.png",
        "r.svg",
    ]


def test_where_some_rows_have_labels_the_others_are_listed(
    address: str, source: Path, draws: NDArray[np.float64], capsys: pytest.CaptureFixture[str]
) -> None:
    unlabelled = [3, 7, 30, 41]
    write(source, [None if i in unlabelled else str(i % 3) for i in range(60)])
    assert run(address, "uncertainty", source, "--label-column", "label") == 3
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("3 rows most worth a label, of 3 without one, by mutual inf") for line in lines
    )
    assert sorted(int(line.split()[0]) for line in lines[-3:]) == [3, 30, 41]
    # Labels that are no names are numbers.
    labelled = ~np.isin(GOOD, unlabelled)
    right = (draws.mean(axis=1).argmax(axis=1) == GOOD % 3)[labelled]
    assert any(f"accuracy {right.mean():.4f}" in line for line in lines)


def test_several_files_are_one(address: str, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their rows are counted over all of them."""
    parts = [source.with_name(name) for name in ("a.jsonl", "b.jsonl")]
    write(parts[0], list(LABELS[:5]), TEXTS[:5])
    write(parts[1], list(LABELS[5:]), TEXTS[5:])
    outs = [source.with_name(name) for name in ("whole.parquet", "parts.parquet")]
    assert run(address, "uncertainty", source, "-o", outs[0]) == 3
    assert "row 7: the text is missing (line 8)" in capsys.readouterr().err
    assert run(address, "uncertainty", *parts, "-o", outs[1], "--json", "--top", 60) == 3
    printed = capsys.readouterr()
    assert "row 7 (b.jsonl): the text is missing (line 3)" in printed.err
    files = {row["row"]: row["file"] for row in json.loads(printed.out)["top"]}
    assert [row for row, name in sorted(files.items()) if name == "a.jsonl"] == [0, 1, 2, 3, 4]
    one, other = (pq.read_table(out).drop_columns("error") for out in outs)
    assert one.equals(other)


def test_csv(address: str, source: Path, draws: NDArray[np.float64]) -> None:
    """No lists: a column a class. Numbers in as few digits as say them."""
    out = source.with_name("out.csv")
    assert run(address, "uncertainty", source, "-o", out) == 3
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("text", "label", "predicted", "clean"),
        *(f"{what}_{name}" for what in ("mean", "std") for name in NAMES),
        *("entropy", "mutual_information", "variation_ratio", "error"),
    ]
    found = [[float(rows[row][f"mean_{name}"]) for name in NAMES] for row in GOOD]
    np.testing.assert_allclose(found, draws.mean(axis=1), atol=1e-6)
    assert rows[8]["entropy"] == ""
    assert "NaN" in rows[8]["error"]


@pytest.mark.parametrize(
    ("layers", "active"),
    [("all", ["encoder/dropout", "dropout"]), ("encoder/dropout", ["encoder/dropout"])],
)
def test_other_dropouts(
    address: str, source: Path, capsys: pytest.CaptureFixture[str], layers: str, active: list[str]
) -> None:
    options = ("--layers", layers, "--samples", 4, "--rate", 0.25, "--seed", 5, "--top", 60, "--json")
    assert run(address, "uncertainty", source, *options) == 3
    facts = told(capsys)
    assert [(each["path"], each["rate"]) for each in facts["active"]] == [(path, 0.25) for path in active]
    given: Any = layers if layers == "all" else [layers]
    like = sampled(address, 5, 4, layers=given, rate=0.25)
    for row in facts["top"]:
        np.testing.assert_allclose(row["mean"], like[row["row"]].mean[0], atol=1e-6)


def test_a_model_that_is_no_classifier(
    address: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.with_name("out.parquet")
    assert run(address, "uncertainty", source, "-o", out, model="regression") == 3
    shown = capsys.readouterr().out
    assert "the model is no classifier: there are a mean and a standard deviation over the samples" in shown
    table = pq.read_table(out)
    assert table.column_names == ["text", "label", "mean", "clean", "std", "error"]
    rows = [row for row in range(60) if row != 7]
    with Client(address) as client:
        like = [
            client.uncertainty([TEXTS[row]], model="regression", seed=42, first_row=row, draws=True).draws
            for row in rows
        ]
    values = np.concatenate([each for each in like if each is not None])[:, :, 0].astype(np.float64)
    good = table.take(rows)
    np.testing.assert_allclose(good.column("mean").to_numpy(), values.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(good.column("std").to_numpy(), values.std(axis=1), atol=1e-5)
    assert shown.splitlines()[-10].split()[0] == str(rows[int(values.std(axis=1).argmax())])


def test_several_labels_a_row(address: str, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, "uncertainty", source, "--top", 1, model="tags") == 3
    assert "3 labels, several a row: at most 2.079" in capsys.readouterr().out
    assert run(address, "uncertainty", source, "--label-column", "label", model="tags") == 2
    assert "several labels a row" in capsys.readouterr().err


def test_a_model_of_several_inputs(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"{word} one", "age and size": [n, 2 * n]} for n, word in enumerate(WORDS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--samples", 5, "--top", 1, "--json")
    assert run(address, "uncertainty", tmp_path / "in.jsonl", *options, model="aged") == 0
    (top,) = told(capsys)["top"]
    with Client(address) as client:
        like = client.uncertainty(rows, 5, seed=42, model="aged")
    row = int(like.mutual_information.argmax())
    assert top["row"] == row
    assert top["text"] == f"{WORDS[row]} one | [{row}, {2 * row}]"
    np.testing.assert_allclose(top["mean"], like.mean[row], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--layers", "nowhere"), 2, "this model has no dropout 'nowhere'; it has: encoder/dropout, dropout"),
        (("--layers", "Head"), 2, "it has: encoder/dropout, dropout; 'head' is written so, and alone"),
        (("--layers", "dropout,all"), 2, "it has: encoder/dropout, dropout; 'all' is written so, and alone"),
        (("--layers", "a,,b"), 2, "--layers is head, all, or paths of dropouts with commas between"),
        (("--rate", "1"), 2, "--rate is at least 0 and below 1, not 1"),
        (("--rate", "nan"), 2, "--rate is at least 0 and below 1, not nan"),
        (("--by", "fun"), 2, "--by is one of mutual-information, entropy, variation-ratio"),
        (("--samples", "0"), 2, "--samples"),
        (("--plot", "r.png"), 2, "name their labels with --label-column"),
        (("--label-column", "nope"), 2, "no column 'nope'; there are 'text', 'label'"),
        (("--label-column", "text"), 2, "the label of row 0 is 'red red red'"),
        (("--model", "whole"), 1, "dropout cannot be put back into this model"),
        (("--model", "nobody"), 2, "there is no model 'nobody'"),
        (("--model", "regression", "--by", "entropy"), 2, "--by is of classifiers"),
        (("--model", "regression", "--label-column", "label"), 2, "the model is no classifier"),
    ],
)
def test_refused(
    address: str,
    source: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    words = ("uncertainty", str(source), "--server", address, "-o", str(source.with_name("out.csv")))
    named = () if "--model" in options else ("--model", "reviews")
    assert main([*words, *named, *options]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]


def test_a_file_that_records_no_rate(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fake_model("reviews", 3)
    sites = tuple(replace(site, rate=None) for site in model.manifest.sites)
    with serving(replace(model, manifest=replace(model.manifest, sites=sites))) as server:
        assert run(server.address, "uncertainty", source) == 1
        assert "--rate 0.1" in capsys.readouterr().err
        assert run(server.address, "embed", source, "-o", source.with_name("o.parquet"), "--uncertainty") == 1
        assert "--rate 0.1" in capsys.readouterr().err
        assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]
        assert run(server.address, "uncertainty", source, "--rate", 0.5) == 3
        assert "dropout (rate 0.5)" in capsys.readouterr().out


def test_files_that_are_refused(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(path: Path, *options: object) -> str:
        assert run(address, "uncertainty", path, *options) == 2
        return capsys.readouterr().err

    assert "is not a file" in refused(tmp_path / "none.csv")
    nothing = write(tmp_path / "nothing.jsonl", ["a", "b"], [None, None])
    assert "none of the 2 rows can be sent; the first cannot: the text is missing" in refused(nothing)
    poison = write(tmp_path / "poison.jsonl", ["neutral"], ["poison"])
    assert "none of the 1 rows could be sampled; row 0: the model gives NaN" in refused(poison)
    unlabelled = write(tmp_path / "unlabelled.jsonl", [None], ["red"])
    assert "no row has a label in column 'label'" in refused(unlabelled, "--label-column", "label")
    taken = tmp_path / "taken.csv"
    taken.write_text("text,entropy\nred,1\n")
    assert "column 'entropy' already" in refused(taken, "-o", tmp_path / "out.csv")
    out = tmp_path / "out.csv"
    out.write_text("x")
    assert "--overwrite replaces it" in refused(unlabelled, "-o", out)
    assert out.read_text() == "x"


def test_all_outputs_or_none(
    address: str, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device", "r.png")

    monkeypatch.setattr(reliability, "picture", broken)
    outs = ("-o", source.with_name("out.csv"), "--plot", source.with_name("r.png"))
    assert run(address, "uncertainty", source, "--label-column", "label", *outs) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]


def test_embed_says_the_same(address: str, source: Path) -> None:
    """Whatever the requests are cut into."""
    outs = [source.with_name(f"{name}.parquet") for name in ("alone", "embedded")]
    assert run(address, "uncertainty", source, "-o", outs[0], "--samples", 7, "--seed", 9) == 3
    options = ("--uncertainty", "--samples", 7, "--seed", 9, "--batch-size", 3)
    assert run(address, "embed", source, "-o", outs[1], *options) == 3
    alone, embedded = (pq.read_table(out) for out in outs)
    for column, name in (("entropy", "uncertainty"), ("mutual_information",) * 2):
        np.testing.assert_allclose(
            alone.column(column).to_numpy(), embedded.column(name).to_numpy(), atol=1e-6
        )
    facts = json.loads(embedded.schema.metadata[b"penult.uncertainty"])
    assert (facts["samples"], facts["seed"], facts["measure"]) == (7, 9, "entropy")


def test_embed_that_was_stopped_ends_with_the_same_bytes(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(folder: Path, *more: str) -> int:
        options = ("--uncertainty", "--samples", 7, "--batch-size", 5, "--shard-rows", 10)
        return run(address, "embed", folder / "in.jsonl", "-o", folder / "out.parquet", *options, *more)

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "in.jsonl", list(LABELS))
    assert command(tmp_path / "whole") == 3
    real, calls = Client.uncertainty, []

    def uncertainty(self: Client, *args: Any, **kwargs: Any) -> Uncertainty:
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "uncertainty", uncertainty)
        assert command(tmp_path / "stopped") == 130
    assert (tmp_path / "stopped" / "out.parquet.job").is_dir()
    assert command(tmp_path / "stopped", "--resume") == 3
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_column_is_named_as_a_shell_takes_it(
    address: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(address, "uncertainty", source, model="aged") == 2
    assert "Name the right one with --column 'age and size=NAME'" in capsys.readouterr().err
