"""A job that is stopped anywhere and resumed leaves the bytes of one that was not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.job_runs import SmallClient, contents, copies_at_every_step, embed, use

LINES = 23
SHAPES: dict[str, tuple[str, ...]] = {
    "parquet": ("out.parquet", "--probabilities"),
    "arrow": ("out.arrow",),
    "npy": ("out.npy",),
    "parquet shards": ("out.parquet", "--shards"),
    "npy shards": ("out.npy", "--shards"),
    "uncertainty": ("out.parquet", "--uncertainty", "--samples", "3", "--seed", "7"),
}


def write_inputs(folder: Path) -> None:
    """Two files with good and bad rows."""
    folder.mkdir()
    lines = [json.dumps({"n": n, "text": None if n % 7 == 3 else f"text {n}"}) for n in range(LINES)]
    lines[5] = '{"text": "too long", "n": null}'
    (folder / "a.jsonl").write_text("\n".join(lines[:9]) + "\n")
    (folder / "b.jsonl").write_text("\n".join(lines[9:]) + "\n")


def run(folder: Path, shape: str, *more: str) -> int:
    out, *options = SHAPES[shape]
    inputs = [folder / "a.jsonl", folder / "b.jsonl"]
    return embed(*inputs, "-o", folder / out, "--batch-size", 2, "--shard-rows", 5, *options, *more)


@pytest.mark.parametrize("shape", SHAPES)
def test_killed_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    use(SmallClient(), monkeypatch)
    write_inputs(tmp_path / "whole")
    with copies_at_every_step(tmp_path / "whole", tmp_path) as copies:
        assert run(tmp_path / "whole", shape) == 3
    expected = contents(tmp_path / "whole")
    assert not any(".job" in name for name in expected)
    assert len(copies) > 20
    went_on = 0
    for copy in copies:
        capsys.readouterr()
        client = use(SmallClient(), monkeypatch)
        code = run(copy, shape, "--resume")
        told = capsys.readouterr().err
        # All was in its place when it was killed: then there is nothing to go on with.
        assert code == 3 or (code == 2 and "is there already" in told and copy in copies[-3:]), (copy, told)
        assert contents(copy) == expected, copy
        went_on += code == 3 and sum(map(len, client.requests)) < LINES // 2
    assert went_on > 5


def test_what_is_done_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(tmp_path / "in")
    seen: list[str] = []

    def stop(texts: list[str]) -> None:
        if "text 16" in texts or "text 16" in seen:
            seen.append("text 16")
            raise KeyboardInterrupt
        seen.extend(texts)

    use(SmallClient(stop), monkeypatch)
    assert run(tmp_path / "in", "parquet") == 130
    rest = use(SmallClient(), monkeypatch)
    assert run(tmp_path / "in", "parquet", "--resume") == 3
    again = [text for texts in rest.requests for text in texts]
    # Shards of 6 rows (three requests of two): rows 0 to 11 are kept, 12 to 15 were lost with the third shard.
    assert sorted(set(seen) & set(again)) == ["penult", *(f"text {n}" for n in range(12, 17))]


class Halfway:
    """A job that was killed between its third shard and its fourth, with half a fourth on the disk."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(SmallClient(), monkeypatch)
        write_inputs(folder / "whole")
        with copies_at_every_step(folder / "whole", folder / "copies") as copies:
            assert run(folder / "whole", "parquet") == 3
        self.expected = contents(folder / "whole")
        self.copy = next(copy for copy in copies if self._drafts_in(copy))

    @staticmethod
    def _drafts_in(copy: Path) -> bool:
        job = copy / "out.parquet.job"
        journal = job / "shards.jsonl"
        return journal.exists() and len(journal.read_text().splitlines()) == 3


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Halfway:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return Halfway(tmp_path_factory.mktemp("halfway"), monkeypatch)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_files_are_made_again(
    halfway: Halfway, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Torn ends, as a power cut leaves them, and changed bytes."""
    folder = tmp_path_factory.mktemp("damaged") / "in"
    shutil.copytree(halfway.copy, folder)
    job = folder / "out.parquet.job"
    victims = [p for p in sorted(job.rglob("*")) if p.is_file() and p.name not in ("manifest.json", "lock")]
    for victim in data.draw(st.lists(st.sampled_from(victims), max_size=3, unique=True)):
        whole = victim.read_bytes()
        at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
        victim.write_bytes(
            data.draw(st.sampled_from([whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], b""]))
        )
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(SmallClient(), monkeypatch)
        assert run(folder, "parquet", "--resume") == 3
    assert contents(folder) == halfway.expected


def test_columns_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nulls, dictionaries that differ from row group to row group, and nested columns: the same bytes as well."""
    rows = 40
    table = pa.table(
        {
            "text": [f"text {n}" for n in range(rows)],
            "whole": pa.array([None if n % 3 else n for n in range(rows)], pa.int16()),
            "real": [None if n % 4 else n / 7 for n in range(rows)],
            "flag": [None if n % 5 else True for n in range(rows)],
            "bytes": [None if n % 2 else bytes([n]) for n in range(rows)],
            "kind": pa.array([f"kind {n % 5}" for n in range(rows)]).dictionary_encode(),
            "list": [None if n % 3 else [n] * (n % 4) for n in range(rows)],
            "struct": [None if n % 6 else {"a": n, "b": None} for n in range(rows)],
            "time": pa.array([None if n % 2 else n for n in range(rows)], pa.timestamp("us", "UTC")),
        }
    )
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
        pq.write_table(table, tmp_path / folder / "in.parquet", row_group_size=11)

    def stop(texts: list[str]) -> None:
        if "text 23" in texts:
            raise KeyboardInterrupt

    for out in ("out.arrow", "out.parquet"):
        for folder, codes in (("whole", [0]), ("killed", [130, 0])):
            for code in codes:
                use(SmallClient(stop if code else None), monkeypatch)
                place = tmp_path / folder
                options = ("--batch-size", 3, "--shard-rows", 6, "--resume")
                assert embed(place / "in.parquet", "-o", place / out, *options) == code
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    kept = pq.read_table(tmp_path / "whole" / "out.parquet").select(table.column_names)
    assert kept.equals(table)
    with pa.OSFile(str(tmp_path / "whole" / "out.arrow")) as file:
        arrow = pa.ipc.open_file(file).read_all()
    plain = table.set_column(5, "kind", table.column("kind").cast(pa.string()))
    assert arrow.select(table.column_names).equals(plain)
