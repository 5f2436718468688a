"""What is refused: another job, another input, option or model, a second process; and what a stopped job says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import PreconditionFailed
from penult_service.jobs import durable, lock
from penult_service.jobs.lock import locked
from support.job_runs import SmallClient, contents, embed, use

Begun = tuple[Path, Path]


def stopped_at(text: str) -> SmallClient:
    def stop(texts: list[str]) -> None:
        if text in texts:
            raise KeyboardInterrupt

    return SmallClient(stop)


def run(folder: Path, *more: object) -> int:
    return embed(folder / "in.txt", "-o", folder / "out.parquet", "--batch-size", 2, "--shard-rows", 2, *more)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with an input and a job that was stopped after two shards of five."""
    (tmp_path / "in.txt").write_text("".join(f"text {n}\n" for n in range(10)))
    use(stopped_at("text 4"), monkeypatch)
    assert run(tmp_path) == 130
    assert "--resume goes on" in capsys.readouterr().err
    use(SmallClient(), monkeypatch)
    return tmp_path


def test_a_stopped_job_is_not_begun_again_by_accident(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(begun)
    assert run(begun) == 2
    assert re.search("holds a job .* stopped: --resume goes on with it, --overwrite", capsys.readouterr().err)
    assert contents(begun) == before
    assert run(begun, "--overwrite") == 0
    assert sorted(path.name for path in begun.iterdir()) == ["in.txt", "out.parquet"]


def test_resume_without_a_job_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(SmallClient(), monkeypatch)
    (tmp_path / "in.txt").write_text("a\nb\n")
    assert run(tmp_path, "--resume") == 0
    assert run(tmp_path, "--resume") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pooling", "mean"), "--pooling is mean, it was pooled"),
        (("--normalize",), "--normalize is true, it was false"),
        (("--batch-size", 3), "--batch-size is 3, it was 2"),
        (("--encoding", "latin-1"), "--encoding is latin-1, it was not given"),
        (("--shards", "--layer", "x"), "--layer is x, it was not given; --shards is true, it was false"),
    ],
)
def test_another_option(
    begun: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    before = contents(begun)
    assert run(begun, "--resume", *options) == 2
    assert f"not the job that was begun: {said}. Ask" in capsys.readouterr().err
    assert contents(begun) == before
    assert run(begun, "--resume") == 0


def test_another_input(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = begun / "in.txt"
    whole = source.read_text()
    source.write_text(whole.replace("7", "8"))  # the same size
    assert run(begun, "--resume") == 2
    assert re.search(r"in\.txt has another content \(70 bytes, last written ", capsys.readouterr().err)
    (begun / "more.txt").write_text("x\n")
    assert run(begun, begun / "more.txt", "--resume") == 2
    assert "the input more.txt is new; in.txt has another" in capsys.readouterr().err
    source.write_text(whole)
    os.utime(source, (1, 1))  # touched, the same content: the same input
    assert run(begun, "--resume") == 0


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"digest": "d2"}, "model digest is d2, it was d1"),
        ({"space": "s2"}, "embedding space is s2, it was pooled-False"),
        ({"engine": "other", "precision": "int8"}, "engine is other, it was none; precision is int8, it was"),
    ],
)
def test_another_model(
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, Any],
    said: str,
) -> None:
    use(SmallClient(**facts), monkeypatch)
    assert run(begun, "--resume") == 2
    assert said in capsys.readouterr().err
    use(SmallClient(), monkeypatch)
    assert run(begun, "--resume") == 0


def test_a_model_that_changes_on_the_way(
    begun: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changing = SmallClient(
        lambda texts: changing._facts.update({"digest": "d2"} if "text 8" in texts else {})
    )
    use(changing, monkeypatch)
    assert run(begun, "--resume") == 1
    printed = capsys.readouterr().err
    assert "not the one that it was when the job began: model digest is d2, it was d1" in printed
    assert "--resume goes on" in printed


def test_an_input_that_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("".join(f"text {n}\n" for n in range(10)))

    def write(texts: list[str]) -> None:
        if "text 2" in texts:
            with source.open("a") as file:
                file.write("late\n")

    use(SmallClient(write), monkeypatch)
    assert run(tmp_path) == 1
    assert "was changed while the job read it" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


def test_a_job_of_another_release(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = begun / "out.parquet.job" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    assert run(begun, "--resume") == 2
    assert "another release of penult" in capsys.readouterr().err


def test_a_manifest_that_is_damaged(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (begun / "out.parquet.job" / "manifest.json").write_text("{")
    assert run(begun, "--resume") == 2
    assert "manifest.json cannot be read" in capsys.readouterr().err
    assert run(begun, "--overwrite") == 0


def test_an_output_that_came_meanwhile_is_kept(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (begun / "out.parquet").write_text("mine")
    assert run(begun, "--resume") == 2
    assert "is there already" in capsys.readouterr().err
    assert (begun / "out.parquet").read_text() == "mine"
    assert run(begun, "--resume", "--overwrite") == 0


def test_a_second_job_on_one_output(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(begun)
    (begun / "there").symlink_to(begun)
    with locked(begun / "out.parquet.job" / "lock", "out"):
        for more in (("--resume",), ("--overwrite",), ()):
            assert run(begun, *more) == 1
            assert (
                f"another job is writing {begun}/out.parquet (process {os.getpid()})"
                in capsys.readouterr().err
            )
        assert run(begun / "there", "--resume") == 1
    assert {name: digest for name, digest in contents(begun).items() if "lock" not in name} == {
        name: digest for name, digest in before.items() if "lock" not in name
    }


def test_a_lock_whose_folder_was_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking the owner was done, and removed all."""
    real, removed = lock._lock, list[int]()

    def late(descriptor: int) -> None:
        if not removed:
            (tmp_path / "job" / "lock").unlink()
            removed.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(lock, "_lock", late)
    with locked(tmp_path / "job" / "lock", "out"):
        assert (tmp_path / "job" / "lock").read_text() == f"{os.getpid()}\n"
        monkeypatch.undo()
        with pytest.raises(PreconditionFailed), locked(tmp_path / "job" / "lock", "out"):
            pass
    with locked(tmp_path / "job" / "lock", "out"):
        pass


def test_lines_without_an_end_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert durable.whole_lines(path) == []
    durable.append_line(path, "one")
    with path.open("a") as file:
        file.write("tw")
    assert durable.whole_lines(path) == ["one"]
    durable.append_line(path, "two")
    assert durable.whole_lines(path) == ["one", "two"]
