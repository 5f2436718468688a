"""Requests: their size, texts that are at fault, models that break, servers that are away."""

from __future__ import annotations

import json
from pathlib import Path

import penult_client
import pyarrow.parquet as pq
import pytest
from penult_service.errors import Unavailable
from penult_service.jobs import asking
from penult_service.jobs.asking import Patience
from support.job_runs import SmallClient, embed, use


def run(
    folder: Path, texts: list[str], client: SmallClient, monkeypatch: pytest.MonkeyPatch, *more: object
) -> int:
    use(client, monkeypatch)
    (folder / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return embed(folder / "in.jsonl", "-o", folder / "out.parquet", *more)


def listed(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "out.errors.jsonl").read_text().splitlines()]


def test_requests_are_small_and_cover_every_text_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{n} " + "\N{SNOWMAN}" * (n % 90) for n in range(3000)] + ["x" * 300_000, "last"]
    client = SmallClient()
    assert run(tmp_path, texts, client, monkeypatch, "--batch-size", 2048) == 0
    probe, *requests = client.requests
    assert len(probe) == 1
    assert [text for request in requests for text in request] == texts
    for request in requests:
        assert len(request) <= asking.REQUEST_ROWS
        assert len(request) == 1 or sum(len(text.encode()) for text in request) <= asking.REQUEST_BYTES
    # Small enough that the client makes no two of them.
    from penult_client._core import splitting

    assert asking.REQUEST_ROWS <= splitting.PART_ROWS
    assert asking.REQUEST_BYTES <= splitting.PART_BYTES


def test_a_text_that_the_client_refuses_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(texts: list[str]) -> None:
        for index, text in enumerate(texts):
            if "huge" in text:
                raise penult_client.InvalidInputError(
                    f"texts[{index}] has too many bytes", reason="TEXT_TOO_LARGE", field=f"texts[{index}]"
                )

    client = SmallClient(refuse)
    assert run(tmp_path, ["a", "huge 1", "b", "huge 2"], client, monkeypatch) == 3
    assert listed(tmp_path) == [
        {
            **{"row": row, "file": "in.jsonl", "line": row + 1, "embedded": False},
            **{"reason": "TEXT_TOO_LARGE", "message": "the text has too many bytes"},
        }
        for row in (1, 3)
    ]
    assert pq.read_table(tmp_path / "out.parquet").column("embedding").null_count == 2


def test_a_text_that_breaks_the_model_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(texts: list[str]) -> None:
        if any("poison" in text for text in texts):
            raise penult_client.InternalError("the model failed")

    texts = [f"text {n}" for n in range(40)]
    texts[17] = "poison"
    assert run(tmp_path, texts, SmallClient(break_down), monkeypatch, "--batch-size", 20) == 3
    assert [(row["row"], row["reason"]) for row in listed(tmp_path)] == [(17, "INTERNAL")]


def test_a_model_that_is_broken_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(texts: list[str]) -> None:
        if texts != ["penult"]:
            raise penult_client.InternalError("the model failed")

    client = SmallClient(break_down)
    assert run(tmp_path, ["x"] * 100, client, monkeypatch) == 1
    assert "the model failed" in capsys.readouterr().err
    assert len(client.requests) == 2 + asking.HOPELESS_ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_server_that_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "FIRST_DELAY", 0.001)
    away = [penult_client.UnavailableError("nobody is there")] * 3 + [penult_client.DeadlineError("silence")]

    def fail(texts: list[str]) -> None:
        if "text 5" in texts and away:
            raise away.pop()

    client = SmallClient(fail)
    texts = [f"text {n}" for n in range(10)]
    assert run(tmp_path, texts, client, monkeypatch, "--batch-size", 4, "--server", "x:1") == 0
    printed = capsys.readouterr().err
    assert printed.count("nobody is there; trying again for") == 3
    assert printed.count("the server is back") == 1
    assert pq.read_table(tmp_path / "out.parquet").column("text").to_pylist() == texts


def test_a_server_that_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(texts: list[str]) -> None:
        if "text 5" in texts:
            raise penult_client.UnavailableError("nobody is there")

    texts = [f"text {n}" for n in range(10)]
    options = ("--batch-size", 2, "--shard-rows", 2, "--server", "x:1")
    assert run(tmp_path, texts, SmallClient(fail), monkeypatch, *options, "--wait", 0.05) == 1
    printed = capsys.readouterr().err
    assert "error: nobody is there: waited 0.05 s for it (--wait)" in printed
    assert "what is done is kept in" in printed
    # The input was written anew meanwhile, with the same content: it is the same input.
    rest = SmallClient()
    assert run(tmp_path, texts, rest, monkeypatch, *options, "--resume") == 0
    assert [text for request in rest.requests[1:] for text in request] == texts[4:]


def test_patience_is_measured_from_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_DELAY", 0.001)
    told: list[str] = []
    patience = Patience(60.0, lambda error: isinstance(error, OSError), told.append)
    answers = iter([OSError("a"), OSError("b"), 1, OSError("c"), 2])

    def work() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert (patience(work), patience(work)) == (1, 2)
    assert [line.split(";")[0] for line in told] == [
        "a",
        "b",
        "the server is back",
        "c",
        "the server is back",
    ]
    with pytest.raises(StopIteration):
        patience(work)
    patience.stop()
    with pytest.raises(Unavailable):
        patience(lambda: (_ for _ in ()).throw(OSError("d")))
