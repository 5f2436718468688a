"""Embedding sets: what goes in comes out, in order; what is wrong is refused by name; readers see one moment."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from penult_service.errors import (
    AlreadyExists,
    DataDamaged,
    InvalidInput,
    NotFound,
    PenultError,
    PreconditionFailed,
)
from penult_service.storage import Appended, EmbeddingSet, Snapshot, Storage, folding, sets
from penult_service.vectors import digest_of_parts

COLUMNS = {"label": "string", "count": "int64", "score": "float64", "good": "bool"}
D = 6


@pytest.fixture
def storage(memory: Path) -> Iterator[Storage]:
    with Storage(memory / "data") as opened:
        yield opened


def numbers(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)


def ids(rows: int, start: int = 0) -> list[str]:
    return [f"id-{i}" for i in range(start, start + rows)]


def read(snapshot: Snapshot, **kwargs: Any) -> list[dict[str, Any]]:
    return [row for batch in snapshot.read(**kwargs) for row in batch.to_pylist()]


ODD = ["NA", "null", "None", "nan", "007", "1e5", "", 'a\nb\t"c"', "\ufeffx", "e\u0301", "👩‍🚀", "\0", None]


@pytest.mark.parametrize("frames", [1, 3, 1000], ids=lambda n: f"fold every {n}")
@pytest.mark.parametrize("here", [0, 10**9], ids=["vectors in the file", "vectors in the log"])
def test_what_goes_in_comes_out(
    memory: Path, monkeypatch: pytest.MonkeyPatch, frames: int, here: int
) -> None:
    monkeypatch.setattr(folding, "FRAMES", frames)
    monkeypatch.setattr(sets, "HERE_BYTES", here)
    vectors = numbers(len(ODD))
    vectors[3] = [0.0, -0.0, 1e-45, 3e38, -1, 1]
    columns = {
        "label": ODD,
        "count": [None, 2**63 - 1, -(2**63), *range(10)],
        "score": [math.inf, -0.0, None, *map(float, range(10))],
        "good": [None, True, False] * 4 + [None],
    }
    with Storage(memory / "data") as storage:
        opened = storage.sets.create("odd", space="s1", columns=COLUMNS)
        for start in range(0, len(ODD), 2):
            part = slice(start, start + 2)
            some = {name: values[part] for name, values in columns.items()}
            opened.append(ids(len(ODD))[part], vectors[part], ODD[part], some, space="s1")
        before = opened.info
        assert (before.rows, before.dimension, before.embedding_space, before.durable) == (13, D, "s1", True)
    with Storage(memory / "data") as storage, storage.sets.get("odd").snapshot() as snapshot:
        after = storage.sets.get("odd").info
        assert (after.rows, after.updated, after.columns) == (before.rows, before.updated, COLUMNS)
        assert snapshot.vectors().tobytes() == vectors.tobytes()
        assert snapshot.vector_file().open().tobytes() == vectors.tobytes()
        rows = read(snapshot)
        assert [row["text"] for row in rows] == ODD
        for name, values in columns.items():
            assert [row[name] for row in rows] == values
        assert math.copysign(1, rows[1]["score"]) == -1
        assert [row["id"] for row in rows] == ids(len(ODD))
        assert np.array([row["vector"] for row in rows], np.float32).tobytes() == vectors.tobytes()
        assert snapshot.id_digest() == digest_of_parts(ids(len(ODD)))


def test_parts_of_a_set(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FRAMES", 4)
    opened, vectors = storage.sets.create("a", columns=COLUMNS), numbers(25)
    for start in range(25):
        opened.append(ids(1, start), vectors[start : start + 1], [f"t{start}"], {"count": [start]})
    with opened.snapshot() as snapshot:
        for start, count, size in [
            (0, 25, 4096),
            (3, 20, 7),
            (24, 1, 1),
            (25, 0, 5),
            (0, 0, 5),
            (11, None, 3),
        ]:
            batches = list(snapshot.read(["count", "vector"], start, count, size))
            stop = 25 if count is None else start + count
            found = [n for batch in batches for n in batch.column("count").to_pylist()]
            assert found == list(range(start, stop))
            assert all(
                batch.num_rows <= size and batch.schema.names == ["count", "vector"] for batch in batches
            )
        wanted = np.array([24, 0, 13, 13, 2])
        taken = snapshot.take(wanted, ["text", "vector"])
        assert taken.column("text").to_pylist() == [f"t{i}" for i in wanted]
        assert np.array(taken.column("vector").to_pylist(), np.float32).tobytes() == vectors[wanted].tobytes()
        assert snapshot.take(np.array([], np.int64)).num_rows == 0
        for call in (
            lambda: list(snapshot.read(["nothing"])),
            lambda: list(snapshot.read(start=26)),
            lambda: list(snapshot.read(start=-1)),
            lambda: list(snapshot.read(start=20, count=6)),
            lambda: snapshot.take(np.array([25])),
            lambda: snapshot.take(np.array([-1])),
        ):
            with pytest.raises(InvalidInput):
                call()


def test_a_set_without_rows(storage: Storage) -> None:
    opened = storage.sets.create("none")
    assert opened.append([], np.empty((0, 0), np.float32)) == Appended(0, 0, 0, False)
    with opened.snapshot() as snapshot:
        assert snapshot.vectors().shape == (0, 0)
        assert read(snapshot) == []
        assert snapshot.id_digest() == digest_of_parts([])
    fixed = storage.sets.create("fixed", dimension=3)
    with fixed.snapshot() as snapshot:
        assert snapshot.vectors().shape == (0, 3)
    with pytest.raises(InvalidInput, match="dimension 6"):
        fixed.append(["a"], numbers(1))


@pytest.mark.parametrize("frames", [2, 1000])
@pytest.mark.parametrize("large", [False, True])
def test_the_same_rows_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, frames: int, large: bool
) -> None:
    monkeypatch.setattr(folding, "FRAMES", frames)
    rows = 20_000 if large else 5
    opened, vectors = storage.sets.create("a", columns={"x": "float64"}), numbers(rows)
    x = [math.nan, None, *map(float, range(rows - 2))]
    assert opened.append(ids(rows), vectors, None, {"x": x}) == Appended(rows, 0, rows, False)
    assert opened.append(ids(rows), vectors, None, {"x": x}) == Appended(0, rows, rows, False)
    more = np.concatenate([vectors[3:], numbers(2, seed=1)])
    again = opened.append(ids(rows - 1, 3), more, None, {"x": [*x[3:], 7.0, 8.0]})
    assert again == Appended(2, rows - 3, rows + 2, False)
    with opened.snapshot() as snapshot:
        assert [row["id"] for row in read(snapshot, columns=["id"])] == ids(rows + 2)
        assert snapshot.vectors().tobytes() == np.concatenate([vectors, numbers(2, seed=1)]).tobytes()


def test_an_id_with_other_content_is_refused_whole(storage: Storage) -> None:
    opened, vectors = storage.sets.create("a", columns={"n": "int64"}), numbers(3)
    opened.append(ids(3), vectors, ["a", None, "c"], {"n": [1, None, 3]})
    changed = vectors.copy()
    changed[1, 0] = np.nextafter(changed[1, 0], np.float32(9))
    for sent in [
        (changed, ["a", None, "c"], [1, None, 3]),
        (vectors, ["a", "", "c"], [1, None, 3]),
        (vectors, ["a", None, "c"], [1, 0, 3]),
    ]:
        with pytest.raises(InvalidInput, match="'id-1' is there already, with other content") as caught:
            opened.append(
                ["new", *ids(3)],
                np.concatenate([numbers(1, 5), sent[0]]),
                ["t", *sent[1]],
                {"n": [0, *sent[2]]},
            )
        assert (caught.value.reason, caught.value.field) == ("ID_CONFLICT", "ids[2]")
    assert opened.info.rows == 3
    # Twice in one append: the same content counts once, other content is refused.
    twice = np.repeat(numbers(1, 7), 2, axis=0)
    assert opened.append(["x", "x"], twice) == Appended(1, 1, 4, False)
    with pytest.raises(InvalidInput, match=r"ids\[1\]"):
        opened.append(["y", "y"], numbers(2))


BAD_VECTOR = numbers(3)
BAD_VECTOR[2, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"vectors": BAD_VECTOR}, "NOT_FINITE", "vectors[2]"),
        ({"vectors": numbers(3).astype(np.float64) * 1e300}, "NOT_FINITE", "vectors[0]"),
        ({"vectors": numbers(2)}, "WRONG_SHAPE", "vectors"),
        ({"vectors": numbers(3)[0]}, "WRONG_SHAPE", "vectors"),
        ({"vectors": np.array([["a"] * D] * 3)}, "WRONG_SHAPE", "vectors"),
        ({"vectors": numbers(3)[:, :2]}, "DIMENSION_MISMATCH", "vectors"),
        ({"ids": ["a", "", "c"]}, "ID_INVALID", "ids[1]"),
        ({"ids": ["a", None, "c"]}, "ID_INVALID", "ids[1]"),
        ({"ids": ["a", "b", "c" * 1025]}, "ID_INVALID", "ids[2]"),
        ({"ids": ["a", 5, "c"]}, "COLUMN_TYPE", "ids[1]"),
        ({"texts": ["a", "\ud800", "c"]}, "NOT_UTF8", "texts[1]"),
        ({"texts": ["a", "b"]}, "WRONG_SHAPE", "texts"),
        ({"texts": ["a", 1.5, "c"]}, "COLUMN_TYPE", "texts[1]"),
        ({"texts": pa.array([1, 2, 3])}, "COLUMN_TYPE", "texts[0]"),
        ({"columns": {"count": ["1", "2", "3"]}}, "COLUMN_TYPE", "columns.count[0]"),
        ({"columns": {"count": pa.array([1.0, 2.0, 2.5])}}, "COLUMN_TYPE", "columns.count[0]"),
        ({"columns": {"count": pa.array([1, 2**63, 3], pa.uint64())}}, "COLUMN_TYPE", "columns.count[1]"),
        ({"columns": {"good": [1, 0, 1]}}, "COLUMN_TYPE", "columns.good[0]"),
        ({"columns": {"score": [0.5, 2**53 + 1, 1]}}, "COLUMN_TYPE", "columns.score[1]"),
        ({"columns": {"count": [1, 2.5, 3]}}, "COLUMN_TYPE", "columns.count[1]"),
        ({"columns": {"count": [1, 2, 2**63]}}, "COLUMN_TYPE", "columns.count[2]"),
        ({"columns": {"good": [True, "yes", False]}}, "COLUMN_TYPE", "columns.good[1]"),
        ({"columns": {"other": [1, 2, 3]}}, "COLUMN_UNKNOWN", "columns"),
    ],
)
def test_rows_that_are_refused(storage: Storage, change: dict[str, Any], reason: str, field: str) -> None:
    opened = storage.sets.create("a", columns=COLUMNS)
    opened.append(["first"], numbers(1, seed=9), ["t"])
    before = opened.info
    rows = {"ids": ["a", "b", "c"], "vectors": numbers(3), "texts": None, "columns": None, **change}
    with pytest.raises(InvalidInput) as caught:
        opened.append(rows["ids"], rows["vectors"], rows["texts"], rows["columns"])
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert opened.info == before


def test_arrow_strings_that_are_not_utf8(storage: Storage) -> None:
    opened = storage.sets.create("a")
    buffers = pa.array([b"ok", b"\xff"]).buffers()
    broken = pa.StringArray.from_buffers(2, buffers[1], buffers[2])
    with pytest.raises(InvalidInput) as caught:
        opened.append(["a", "b"], numbers(2), broken)
    assert (caught.value.reason, caught.value.field) == ("NOT_UTF8", "texts[1]")


def test_spaces(storage: Storage) -> None:
    opened = storage.sets.create("a")
    assert opened.append(["1"], numbers(1), space="s1").space_checked
    assert opened.info.embedding_space == "s1"
    assert opened.append(["2"], numbers(1), space="s1").space_checked
    assert not opened.append(["3"], numbers(1)).space_checked
    with pytest.raises(PreconditionFailed, match=r"s2.*s1") as caught:
        opened.append(["4"], numbers(1), space="s2")
    assert caught.value.reason == "SPACE_MISMATCH"
    # Rows of an unknown space do not get one from those that come later.
    unknown = storage.sets.create("b")
    unknown.append(["1"], numbers(1))
    assert not unknown.append(["2"], numbers(1), space="s1").space_checked
    assert unknown.info.embedding_space == ""


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "_a", ".", "..", "../x", "a/b", "a.b", "a b", "ä", "a\n", "x" * 64, "\0", "a\\b"]
)
def test_names_that_are_none(storage: Storage, name: str) -> None:
    for call in (storage.sets.create, storage.sets.get, storage.sets.delete, storage.projections.get):
        with pytest.raises(InvalidInput) as caught:
            call(name)
        assert caught.value.reason == "NAME_INVALID"


@pytest.mark.parametrize(
    "columns", [{"id": "string"}, {"vector": "int64"}, {"": "int64"}, {"\ud800": "bool"}, {"x": "float32"}]
)
def test_columns_that_are_refused(storage: Storage, columns: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        storage.sets.create("a", columns=columns)
    assert storage.sets.list().sets == ()


def test_create_list_delete(memory: Path, storage: Storage) -> None:
    for name in ("b", "a", "c-1", "0_x"):
        storage.sets.create(name, provenance={"model": "reviews", "version": 3})
    with pytest.raises(AlreadyExists, match="overwrite") as caught:
        storage.sets.create("a")
    assert caught.value.reason == "DATASET_EXISTS"
    first = storage.sets.list(page_size=3)
    assert [info.name for info in first.sets] == ["0_x", "a", "b"]
    rest = storage.sets.list(page_size=3, page_token=first.next_page_token)
    assert ([info.name for info in rest.sets], rest.next_page_token) == (["c-1"], "")
    assert first.sets[0].provenance == {"model": "reviews", "version": 3}
    storage.sets.delete("a")
    for call in (storage.sets.get, storage.sets.delete):
        with pytest.raises(NotFound, match="'a'"):
            call("a")
    assert not (memory / "data" / "datasets" / "a").exists()
    storage.sets.create("a")
    assert [info.name for info in storage.sets.list().sets] == ["0_x", "a", "b", "c-1"]


@pytest.mark.parametrize("how", ["delete", "overwrite", "delete and create", "delete, create and delete"])
def test_readers_keep_what_they_began_with(storage: Storage, how: str) -> None:
    opened, vectors = storage.sets.create("a"), numbers(50)
    opened.append(ids(50), vectors, ids(50))
    snapshot = opened.snapshot()
    opened.append(["later"], numbers(1))
    if how != "overwrite":
        storage.sets.delete("a")
    if how != "delete":
        storage.sets.create("a", overwrite=True).append(["other"], numbers(1, seed=3), ["other"])
    if how.endswith("and delete"):
        storage.sets.delete("a")
    # A worker process maps the file by its path, and may do so only now.
    file = snapshot.vector_file()
    assert file.open().tobytes() == vectors.tobytes()
    assert [row["text"] for row in read(snapshot)] == ids(50)
    for call in (opened.snapshot, lambda: opened.append(["x"], numbers(1))):
        with pytest.raises(NotFound, match="deleted or overwritten"):
            call()
    snapshot.close()
    assert not file.path.exists()
    if not how.endswith("delete"):
        with storage.sets.get("a").snapshot() as new:
            assert [row["id"] for row in read(new)] == ["other"]


def test_readers_beside_writers(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that read see rows 0 to n - 1 of one life, whole, while others append, fold and overwrite."""
    monkeypatch.setattr(folding, "FRAMES", 5)
    failures: list[BaseException] = []
    done = threading.Event()
    seen: set[tuple[str, int]] = set()

    def write() -> None:
        for life in range(6):
            opened = storage.sets.create("a", columns={"life": "int64"}, overwrite=True)
            for start in range(0, 90, 3):
                opened.append(ids(3, start), numbers(90, life)[start : start + 3], None, {"life": [life] * 3})

    def look() -> None:
        while not done.is_set():
            try:
                snapshot = storage.sets.get("a").snapshot()
            except NotFound:
                continue
            with snapshot:
                rows = read(snapshot)
                assert [row["id"] for row in rows] == ids(len(rows))
                assert len(rows) % 3 == 0
                assert len({row["life"] for row in rows}) <= 1
                if rows:
                    expected = numbers(90, rows[0]["life"])[: len(rows)]
                    assert snapshot.vector_file().open().tobytes() == expected.tobytes()
                seen.add((snapshot.generation, len(rows)))

    def caught(work: Any) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    readers = [threading.Thread(target=caught, args=(look,)) for _ in range(2)]
    for reader in readers:
        reader.start()
    caught(write)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures, failures
    assert len(seen) > 5


def test_two_writers_of_one_set(storage: Storage) -> None:
    opened = storage.sets.create("a")

    def write(mine: int) -> None:
        for number in range(40):
            opened.append([f"{mine}-{number}"], numbers(1, number), [f"{mine}"])

    threads = [threading.Thread(target=write, args=(mine,)) for mine in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened.snapshot() as snapshot:
        found = [row["id"] for row in read(snapshot)]
    for mine in range(3):
        assert [key for key in found if key.startswith(f"{mine}-")] == [f"{mine}-{n}" for n in range(40)]


def whole_set(data: Path, folded: bool) -> Path:
    """A set of 30 rows, all in a segment or all in the log; its directory."""
    with Storage(data) as storage:
        opened: EmbeddingSet = storage.sets.create("a")
        for start in range(0, 30, 10):
            opened.append(ids(10, start), numbers(10, start), ids(10, start))
        if not folded:
            # As after a kill: nothing is folded.
            storage.sets.forget()
        storage.sets.create("fine").append(["1"], numbers(1))
    return data / "datasets" / "a"


HARMS = [
    (what, harm, folded)
    for folded, files in (
        (True, ("set.json", "vectors.f32", "rows-*")),
        (False, ("set.json", "vectors.f32", "log-*")),
    )
    for what in files
    for harm in ("flip", "cut", "remove")
]


@pytest.mark.parametrize(("what", "harm", "folded"), HARMS)
def test_damage_is_told_by_name(memory: Path, what: str, harm: str, folded: bool) -> None:
    place = whole_set(memory, folded)
    (path,) = [*place.glob(what), *place.glob(f"*/{what}")]
    do_harm(path, harm)
    # Vectors that are still in the log are written anew; a log that was cut cannot be told from an append that was.
    recovered = not folded and (harm, what) in {
        ("flip", "vectors.f32"),
        ("cut", "vectors.f32"),
        ("cut", "log-*"),
    }
    with Storage(memory) as storage:
        infos = {info.name: info for info in storage.sets.list().sets}
        assert infos["fine"].rows == 1
        if recovered:
            with storage.sets.get("a").snapshot() as snapshot:
                whole = b"".join(numbers(10, start).tobytes() for start in range(0, 30, 10))
                assert whole.startswith(snapshot.vectors().tobytes())
        else:
            with pytest.raises(DataDamaged, match=path.name), storage.sets.get("a").snapshot() as snapshot:
                snapshot.vectors()
            assert path.name in infos["a"].problem or (harm, what) == ("flip", "vectors.f32")
        storage.sets.delete("a")
        assert [info.name for info in storage.sets.list().sets] == ["fine"]


def do_harm(path: Path, harm: str) -> None:
    data = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 8])
    else:
        data[len(data.rstrip(b"\0")) // 4] ^= 0x10
        path.write_bytes(data)


@pytest.mark.parametrize("harm", ["flip", "cut"])
def test_damage_of_vectors_that_are_not_in_the_log(
    memory: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(sets, "HERE_BYTES", 0)
    (path,) = whole_set(memory, folded=False).rglob("vectors.f32")
    do_harm(path, harm)
    with Storage(memory) as storage, pytest.raises(DataDamaged, match=r"vectors\.f32 is"):
        storage.sets.get("a")


def test_without_a_data_directory() -> None:
    with Storage(None) as storage:
        opened = storage.sets.create("a")
        opened.append(["1"], numbers(1))
        assert opened.info.durable is storage.durable is False
        place = storage.path
        assert place.is_dir()
    assert not place.exists()


def test_a_newer_format_is_not_read(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.storage import state

    with monkeypatch.context() as newer, Storage(memory) as storage:
        newer.setattr(state, "VERSION", 2)
        storage.sets.create("a")
    with Storage(memory) as storage, pytest.raises(PenultError, match="use a newer one") as caught:
        storage.sets.get("a")
    assert caught.value.reason == "FORMAT_TOO_NEW"
