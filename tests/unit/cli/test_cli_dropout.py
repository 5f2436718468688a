"""`penult dropout`: which rows are compared, what is printed, and reports that are whole or not there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from penult_service.cli import options
from penult_service.cli.app import main
from penult_service.plots.dropout import dropout_words
from support.dropout_views import CLASSES, PASSES, view

ROWS = 30


def spread(told: Any) -> Any:
    return told and SimpleNamespace(
        mean=told.mean, std=told.std, min=told.low, max=told.high, counts=told.counts
    )


class StubClient:
    """Answers every comparison with made-up figures of as many rows; `asked` is what it was asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.error: BaseException | None = None
        self.adjustments: tuple[Any, ...] = ()

    def compare_dropout(self, texts: list[str], *, progress: Any, **asked: Any) -> Any:
        assert progress
        self.asked = {"texts": texts, **asked}
        if self.error:
            raise self.error
        made = view(len(texts))
        effects = [
            SimpleNamespace(
                **{
                    **vars(effect),
                    "cosine_to_clean": spread(effect.cosine_to_clean),
                    "cosine_between_draws": spread(effect.cosine_between_draws),
                    "cluster_agreement": spread(effect.cluster_agreement),
                    **({} if asked["map"] else {"coordinates": None}),
                }
            )
            for effect in made.effects
        ]
        return SimpleNamespace(
            **{
                name: getattr(made, name)
                for name in ("answer", "inference", "passes", "neighbors", "n_clusters")
            },
            effects=effects,
            seed=asked["seed"],
            cluster_agreement_reseeded=spread(made.reseeded),
            labels=CLASSES,
            predicted=made.predicted,
            coordinates=made.coordinates if asked["map"] else None,
            adjustments=self.adjustments,
            model="reviews",
            version=3,
            digest="0123",
            space="4567",
        )

    def inspect_dropout(self, model: str) -> Any:
        assert model == "reviews@3"
        return SimpleNamespace(sites=view(8).sites, proven=True)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> StubClient:
    stub = StubClient()

    @contextmanager
    def connected(model: str | None, *_: Any, **__: Any) -> Iterator[tuple[Any, str | None]]:
        yield stub, model

    monkeypatch.setattr(options, "connected", connected)
    return stub


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Thirty texts with labels."""
    path = tmp_path / "in.jsonl"
    rows = [{"text": f"text {i}", "genre": CLASSES[i % 4], "n": i} for i in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(file: Path, *words: object) -> int:
    return main(["dropout", "reviews", "--server", "x:1", "--texts", str(file), *map(str, words)])


def test_the_answer_and_the_figures_are_printed(
    client: StubClient, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file) == 0
    assert client.asked["texts"] == [f"text {i}" for i in range(ROWS)]
    assert client.asked["labels"] is None
    assert (client.asked["layers"], client.asked["passes"], client.asked["seed"]) == (None, 30, 42)
    printed = capsys.readouterr().out
    made = view(ROWS)
    assert printed.startswith("\n".join(dropout_words.sentences(made.answer)))
    for effect in made.effects:
        assert f"{effect.cosine_to_clean.mean:.3f} ± " in printed
        assert f"{effect.neighbors_changed:.1f}" in printed
    assert "theory sqrt(1 - p): 0.949 (in front of the head)" in printed
    assert f"another seed alone: {made.reseeded.mean:.3f}" in printed
    assert "in front of the dropout against behind it" in printed
    assert max(map(len, printed.splitlines())) <= 160


def test_settings_reach_the_server(client: StubClient, file: Path) -> None:
    words = ["--label-column", "genre", "--passes", 7, "--seed", 5, "--layers", "a/b, c", "--rate", 0.25]
    assert run(file, *words, "--n-clusters", 6, "--no-map", "--truncate", "error") == 0
    asked = client.asked
    assert asked.pop("labels") == [CLASSES[i % 4] for i in range(ROWS)]
    asked.pop("texts")
    assert asked == {
        "model": "reviews",
        "passes": 7,
        "seed": 5,
        "layers": ["a/b", "c"],
        "rate": 0.25,
        "n_clusters": 6,
        "map": False,
        "truncate": "error",
    }


@pytest.mark.usefixtures("client")
def test_reports_of_every_kind(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [file.with_name(f"my report.{ending}") for ending in ("html", "md", "json")]
    assert run(file, "--label-column", "genre", *(word for out in outs for word in ("-o", out))) == 0
    assert "in.jsonl" in outs[0].read_text(encoding="utf-8")
    folder = file.with_name("my report_files")
    pictures = {f"{name}.png" for name in ("cosine-head", "cosine-all", "neighbours", "clusters", "map-head")}
    assert {path.name for path in folder.iterdir()} == pictures | {"map-all.png"}
    assert "(my%20report_files/neighbours.png)" in outs[1].read_text(encoding="utf-8")
    told = json.loads(outs[2].read_text(encoding="utf-8"))
    assert [row["label"] for row in told["each"]] == [CLASSES[i % 4] for i in range(ROWS)]
    assert told["provenance"]["model"] == "reviews@3"
    assert capsys.readouterr().err.count("wrote ") == 3
    # The command that stands in it makes the same again.
    words = shlex.split(told["command"])
    again = outs[2].with_name("again.json")
    assert main([*words[1 : words.index("-o")], "-o", str(again)]) == 0
    assert again.read_bytes() == outs[2].read_bytes()
    assert {path.name for path in file.parent.iterdir()} == {
        *(out.name for out in (*outs, again)),
        folder.name,
        file.name,
    }


@pytest.mark.usefixtures("client")
def test_json_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "--json", "--passes", PASSES) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["each"]) == told["rows"] == ROWS
    assert told["label"] is None


def test_of_many_rows_some_are_drawn(
    client: StubClient, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--max-rows", 10, "--label-column", "genre", "--json") == 0
    printed = capsys.readouterr()
    numbers = [row["row"] for row in json.loads(printed.out)["each"]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 10
    assert client.asked["texts"] == [f"text {i}" for i in numbers]
    assert client.asked["labels"] == [CLASSES[i % 4] for i in numbers]
    assert "note: these are 10 of 30 rows, drawn with seed 42" in printed.err
    assert run(file, "--max-rows", 10, "--seed", 43) == 0
    assert client.asked["texts"] != [f"text {i}" for i in numbers]


def test_rows_without_text_or_label_are_left_out_and_told(
    client: StubClient, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = file.read_text().splitlines()
    lines[4] = json.dumps({"text": None, "genre": "film"})
    lines[7] = json.dumps({"text": "text 7"})
    file.write_text("\n".join(lines))
    client.adjustments = (SimpleNamespace(parameter="layers", asked="all", used="head", why="none inside"),)
    assert run(file, "--label-column", "genre", "--json") == 0
    printed = capsys.readouterr()
    assert [row["row"] for row in json.loads(printed.out)["each"]] == [
        i for i in range(ROWS) if i not in (4, 7)
    ]
    assert "note: 1 row is left out: row 4: the text is missing (line 5)" in printed.err
    assert "note: 1 row without a label in 'genre' is left out" in printed.err
    assert "note: layers is head, not all: none inside" in printed.err


def test_cells_that_say_nothing_are_no_texts(
    client: StubClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text,n\none,1\n,2\ntwo,3\n  ,4\nthree,5\n")
    assert run(path, "--json") == 0
    assert client.asked["texts"] == ["one", "two", "three"]
    assert "note: 2 rows without a text are left out" in capsys.readouterr().err
    path.write_text("text,n\none,1\n,2\n")
    assert run(path) == 2
    assert "has 1 row to compare; neighbours and clusters need at least 3; 1 row without a text is" in (
        capsys.readouterr().err
    )


def test_another_encoding(client: StubClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("text\ncafé\nsoufflé\nnaïve\nplain\n".encode("latin-1"))
    assert run(path) == 2
    assert "; --encoding NAME reads another encoding" in capsys.readouterr().err
    report = tmp_path / "report.json"
    assert run(path, "--encoding", "latin-1", "-o", report) == 0
    assert client.asked["texts"] == ["café", "soufflé", "naïve", "plain"]
    assert "--encoding latin-1" in json.loads(report.read_text(encoding="utf-8"))["command"]


@pytest.mark.usefixtures("client")
def test_a_figure_and_its_sign_stay_in_a_line(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "About 4.2 % of all would change, and 17 % of the rest."
    monkeypatch.setattr(dropout_words, "sentences", lambda _: [told])
    for width in (8, 10, 36, 40, 41, 42):
        monkeypatch.setenv("COLUMNS", str(width))
        assert run(file) == 0
        printed = capsys.readouterr().out
        assert "4.2 %" in printed
        assert "17 %" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--label-column", "topic"],
            "no column 'topic'; there are 'text', 'genre', 'n'. Name the right one with --label",
        ),
        (["--text-column", "body"], "no column 'body'"),
        (["--rate", "1"], "--rate is at least 0 and below 1, not 1"),
        (["--layers", "a,,b"], "--layers is head, all, or paths"),
        (["--truncate", "left"], "--truncate is one of"),
        (["--passes", "0"], "--passes"),
        (["-o", "report.pdf"], "the name of an output ends in one of .html, .md, .json"),
        (["-o", "nowhere/report.md"], "there is no directory nowhere"),
    ],
)
def test_bad_input_is_told_before_any_work(
    client: StubClient, file: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(file, *words) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not client.asked


def test_neither_model_nor_server(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dropout", "--texts", str(file)]) == 2
    assert "penult dropout PATH --texts FILE" in capsys.readouterr().err
    assert main(["dropout", "/no/such/model", "--texts", str(file)]) == 2
    assert "there is no /no/such/model" in capsys.readouterr().err


@pytest.mark.usefixtures("client")
def test_too_few_rows(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    assert run(file) == 2
    assert "has 2 rows to compare; neighbours and clusters need at least 3" in capsys.readouterr().err


@pytest.mark.usefixtures("client")
def test_what_is_there_stays_unless_it_may_be_replaced(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.with_name("report.md")
    folder = file.with_name("report_files")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert run(file, "-o", out) == 2
    assert (
        "report_files, for the pictures of report.md, is there already; --overwrite"
        in capsys.readouterr().err
    )
    assert run(file, "-o", out, "--overwrite") == 0
    assert (folder / "mine.txt").read_text() == "mine"
    assert run(file, "-o", out) == 2
    assert "report.md is there already" in capsys.readouterr().err
    other = file.with_name("other_files")
    other.write_text("a file")
    assert run(file, "-o", file.with_name("other.md"), "--overwrite") == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.usefixtures("client")
def test_reports_are_whole_or_not_there(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, wrote = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        wrote.append(real(path, data))
        if len(wrote) == 3:
            raise OSError(28, "No space left on device")
        return wrote[-1]

    monkeypatch.setattr(Path, "write_bytes", full)
    before = {path.name for path in file.parent.iterdir()}
    assert run(file, "-o", file.with_name("report.md"), "-o", file.with_name("report.html")) == 1
    assert capsys.readouterr().err == f"error: {file.with_name('report.html')}: No space left on device\n"
    assert {path.name for path in file.parent.iterdir()} == before


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (ValueError("unforeseen"), 1)])
def test_nothing_is_written_when_the_work_ends_early(
    client: StubClient, file: Path, error: BaseException, code: int
) -> None:
    client.error = error
    assert run(file, "-o", file.with_name("report.html")) == code
    assert {path.name for path in file.parent.iterdir()} == {file.name}


@pytest.mark.usefixtures("client")
def test_equal_calls_give_equal_files(file: Path) -> None:
    for name in ("one", "two"):
        assert run(file, "-o", file.with_name(f"{name}.html")) == 0
    one, two = (file.with_name(f"{name}.html").read_bytes() for name in ("one", "two"))
    assert one == two
    assert np.frombuffer(one, np.uint8).size > 100_000
