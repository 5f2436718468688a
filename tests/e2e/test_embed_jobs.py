"""Embedding jobs as processes: killed, without room, without a server, two at once; many files and odd ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_service.cli.app import main
from support.fakes import fake_model
from support.job_runs import contents
from support.line import Line
from support.processes import PENULT
from support.serving import serving, wait_until

# The scripts are programs, not part of the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import odd_rows

ROWS = 600
SHARD = 50


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(fake_model("reviews", 3, seconds=0.002, max_length=16)) as server:
        yield server.address


def make_input(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [f"{n},{'' if n % 50 else 'one more cell,'}text {n} of {ROWS}" for n in range(ROWS)]
    path = folder / "in.csv"
    path.write_text("\n".join(["id,text", *rows]) + "\n")
    return path


def command(folder: Path, address: str, *more: object) -> list[str]:
    source, out = folder / "in.csv", folder / "out.parquet"
    options = ("--server", address, "--batch-size", 10, "--shard-rows", SHARD, *more)
    return [str(word) for word in ("embed", source, "-o", out, *options)]


def started(*words: str, limit: int | None = None, folder: Path | None = None) -> subprocess.Popen[str]:
    """The command as a process; files that it writes may have `limit` bytes."""
    program = [*PENULT]
    if limit is not None:
        code = (
            f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
            "runpy.run_module('penult_service', run_name='__main__', alter_sys=True)"
        )
        program = [sys.executable, "-c", code]
    return subprocess.Popen(
        [*program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def shards_in(folder: Path) -> int:
    journal = folder / "out.parquet.job" / "shards.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@pytest.fixture(scope="module")
def whole(address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run leaves that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    make_input(folder)
    assert main(command(folder, address, "--progress", "none")) == 3
    return contents(folder)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_killed(address: str, tmp_path: Path, whole: dict[str, str], share: float) -> None:
    make_input(tmp_path)
    process = started(*command(tmp_path, address))
    wait_until(lambda: shards_in(tmp_path) >= share * ROWS / SHARD)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < shards_in(tmp_path) < ROWS / SHARD
    assert not (tmp_path / "out.parquet").exists()
    assert main(command(tmp_path, address, "--resume")) == 3
    assert contents(tmp_path) == whole


def test_two_jobs_on_one_output(
    address: str, tmp_path: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_input(tmp_path)
    process = started(*command(tmp_path, address))
    wait_until(lambda: shards_in(tmp_path) > 0)
    for more in ("--resume", "--overwrite"):
        assert main(command(tmp_path, address, more)) == 1
        assert (
            f"another job is writing {tmp_path}/out.parquet (process {process.pid})"
            in capsys.readouterr().err
        )
    process.communicate()
    assert process.returncode == 3
    assert contents(tmp_path) == whole


def test_no_room(address: str, tmp_path: Path, whole: dict[str, str]) -> None:
    """For a shard, and for the output of all shards."""
    make_input(tmp_path)
    for limit, shards in ((4_000, 0), (40_000, ROWS // SHARD)):
        process = started(*command(tmp_path, address, "--resume"), limit=limit)
        _, told = process.communicate()
        assert process.returncode == 1, told
        assert "the output cannot be written: File too large. Make room, and the same command" in told
        assert shards_in(tmp_path) == shards
    assert (tmp_path / "out.parquet.job").exists()
    assert main(command(tmp_path, "127.0.0.1:1", "--resume", "--wait", "0")) == 1  # the model is asked first
    assert main(command(tmp_path, address, "--resume")) == 3
    assert contents(tmp_path) == whole


def test_a_server_that_is_lost(address: str, tmp_path: Path, whole: dict[str, str]) -> None:
    """It comes back within the wait."""
    make_input(tmp_path)
    line = Line(address)
    job = started(*command(tmp_path, line.address))
    wait_until(lambda: shards_in(tmp_path) >= 2)
    line.cut()
    time.sleep(0.2)
    assert job.poll() is None
    line.mend()
    assert job.wait(60) == 3
    line.cut()
    assert contents(tmp_path) == whole


def test_a_private_server_that_dies_ends_the_job(tmp_path: Path) -> None:
    """It would not come back; nothing is waited for."""
    make_input(tmp_path)
    (
        tmp_path / "fake:demo"
    ).touch()  # a name that the server takes for its fake engine, and the command for a path
    words = command(tmp_path, "", "--batch-size", 1, "--shard-rows", 10)
    at = words.index("--server")
    process = started(*words[:at], "--model", "fake:demo", *words[at + 2 :], folder=tmp_path)
    wait_until(lambda: shards_in(tmp_path) >= 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this system does not tell the children of a process")
    for child in children.read_text().split():
        os.kill(int(child), signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "trying again" not in told
    assert "--resume goes on" in told


def test_many_files_and_a_pattern(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.csv").write_text("text,n\nsecond,007\n")
    (tmp_path / "a.csv").write_text("n,text\nNA,first\n")
    (tmp_path / "c.tsv").write_text("text\textra\nthird\tx\n,\n")
    out = tmp_path / "out.parquet"
    common = ("-o", str(out), "--server", address, "--progress", "none")
    assert main(["embed", str(tmp_path / "*.csv"), str(tmp_path / "c.tsv"), *common]) == 0
    table = pq.read_table(out)
    assert table.select(["n", "text", "extra"]).to_pylist() == [
        {"n": "NA", "text": "first", "extra": None},
        {"n": "007", "text": "second", "extra": None},
        {"n": None, "text": "third", "extra": "x"},
        {"n": None, "text": ",", "extra": None},
    ]
    assert json.loads(table.schema.metadata[b"penult.source"]) == ["a.csv", "b.csv", "c.tsv"]
    capsys.readouterr()
    for words, said in (
        ((tmp_path / "*.json",), "no file is called like"),
        ((tmp_path / "a.csv", tmp_path / "*.csv"), "is named twice"),
        ((tmp_path,), "is a directory; name its files"),
        ((tmp_path / "a.csv", out), "text files and parquet files"),
    ):
        assert main(["embed", *map(str, words), *common, "--overwrite"]) == 2
        assert said in capsys.readouterr().err


def test_parquet_files_with_different_columns(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "n": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"m": [0.5], "text": ["c"]}), tmp_path / "2.parquet")
    out = tmp_path / "out.parquet"
    words = ["embed", str(tmp_path / "[123].parquet"), "-o", str(out), "--server", address]
    assert main(words) == 0
    assert pq.read_table(out).select(["text", "n", "m"]).to_pydict() == {
        "text": ["a", "b", "c"],
        "n": [1, 2, None],
        "m": [None, None, 0.5],
    }
    pq.write_table(pa.table({"text": ["d"], "n": ["x"]}), tmp_path / "3.parquet")
    assert main([*words, "--overwrite"]) == 2
    assert "column 'n' holds string, in another file int64" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "shift_jis"])
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".txt"])
def test_other_encodings(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, ending: str
) -> None:
    text = "\N{KATAKANA LETTER SO}\u30bd" if encoding == "shift_jis" else "caf\xe9"
    whole = {
        ".csv": f"text\r\nplain\r\n{text}\r\n",
        ".jsonl": f'{{"text": "plain"}}\n{{"text": "{text}"}}\n',
        ".txt": f"plain\n{text}\n",
    }[ending]
    source, out = tmp_path / f"in{ending}", tmp_path / "out.parquet"
    source.write_bytes(whole.encode(encoding))
    common = ("embed", str(source), "-o", str(out), "--server", address)
    code = main([*common])
    told = capsys.readouterr().err
    if encoding == "utf-16":
        assert (code, "say --encoding utf-16" in told) == (2, True)
    else:
        assert code == 3
        assert f"is not UTF-8 (byte 0x{'83' if encoding == 'shift_jis' else 'e9'} at" in told
        assert ("line 3)" if ending == ".csv" else "line 2)") in told
    assert main([*common, "--encoding", encoding, "--overwrite"]) == 0
    assert pq.read_table(out).column("text").to_pylist() == ["plain", text]
    assert not (tmp_path / "out.errors.jsonl").exists()
    assert main([*common, "--encoding", "klingon", "--overwrite"]) == 2


def test_arrow_and_shards(address: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {n}\n" for n in range(25)))
    common = ("--server", address, "--batch-size", "4", "--shard-rows", "8", "--progress", "none")
    for name in ("one.parquet", "one.arrow", "one.npy"):
        assert main(["embed", str(tmp_path / "in.txt"), "-o", str(tmp_path / name), *common]) == 0
        many = tmp_path / name.replace("one", "many")
        assert main(["embed", str(tmp_path / "in.txt"), "-o", str(many), *common, "--shards"]) == 0
        assert len(list(many.iterdir())) == 4
    one = pq.read_table(tmp_path / "one.parquet")
    assert one.equals(pq.read_table(tmp_path / "many.parquet"))
    with pa.memory_map(str(tmp_path / "one.arrow")) as file:
        assert pa.ipc.open_file(file).read_all().equals(one)
    matrix = np.load(tmp_path / "one.npy", mmap_mode="r")
    np.testing.assert_array_equal(matrix, np.stack(one.column("embedding").to_numpy()))
    parts = [np.load(path) for path in sorted((tmp_path / "many.npy").iterdir())]
    np.testing.assert_array_equal(np.concatenate(parts), matrix)
    assert main(["embed", str(tmp_path / "in.txt"), "-o", str(tmp_path / "many.parquet"), *common]) == 2
    again = ("-o", str(tmp_path / "many.parquet"), *common, "--overwrite")
    assert main(["embed", str(tmp_path / "in.txt"), *again]) == 0
    assert pq.read_table(tmp_path / "many.parquet").equals(one)
    assert (tmp_path / "many.parquet").is_file()


def test_progress(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_input(tmp_path)
    assert main(command(tmp_path, address, "--progress", "json")) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    events = [json.loads(line) for line in printed.err.splitlines()]
    assert events[0] == {"event": "begin", "done": 0, "total": ROWS, "bad": 0}
    last = [event for event in events if event["event"] == "progress"][-1]
    assert (last["done"], last["total"], last["bad"]) == (ROWS, ROWS, ROWS // 50)
    assert last["seconds_left"] == 0
    assert {event["event"] for event in events} == {"begin", "progress", "note", "done"}
    assert next(event for event in events if event["event"] == "done") == {
        **{
            "event": "done",
            "output": str(tmp_path / "out.parquet"),
            "rows": ROWS,
            "embedded": ROWS - ROWS // 50,
        },
        **{"listed": ROWS // 50, "errors": str(tmp_path / "out.errors.jsonl"), "exit_code": 3},
    }
    monkeypatch.setattr("penult_service.cli.job_progress.LINE_SECONDS", 0.02)
    assert main(command(tmp_path, address, "--overwrite")) == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if "rows/s" in line]
    assert len(lines) > 1
    assert lines[0].split(" ")[1:4] == ["of", "600", "rows"]
    assert lines[0].endswith(" left")


@pytest.mark.parametrize("kind", odd_rows.FORMATS)
def test_odd_rows(address: str, tmp_path: Path, kind: str) -> None:
    """The rows of scripts/odd_rows."""
    outcomes = odd_rows.embedded(tmp_path, kind, address)
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("WRONG")}
    assert not wrong
    assert sum(outcome == "kept" for outcome in outcomes.values()) == len(odd_rows.GOOD)
