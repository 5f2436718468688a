"""Results that live on: held where they lie, changed in one step, written without a copy."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import (
    DataDamaged,
    NotFound,
    PenultError,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from penult_service.storage import ArrayPlace, ResultInfo, ResultStore, RowsOf, Storage, arrays
from penult_service.storage.disk import Disk
from support.power_loss import FaultyDisk, Stopped, World

LARGE = np.arange(5000, dtype=np.float32).reshape(-1, 5)


@pytest.fixture
def store(memory: Path) -> Iterator[ResultStore]:
    with Storage(memory / "data") as opened:
        yield opened.clusterings


def put(store: ResultStore, name: str = "a", seed: int = 0, **more: Any) -> ResultInfo:
    made = {"labels": np.full(700, seed, np.int32), "fitted_rows": LARGE}
    return store.put(name, made, parameters={"k": 3}, facts={"seed": seed}, source=RowsOf(700), **more)


def change(store: ResultStore, before: ResultInfo, seed: int) -> ResultInfo:
    made = {"labels": np.full(701, seed, np.int32)}
    return store.change(before, made, keep=("fitted_rows",), facts={"seed": seed}, source=RowsOf(701))


def mapped(place: ArrayPlace) -> Any:
    return np.memmap(place.path, place.dtype, "r", place.offset, place.shape)


def seed_of(store: ResultStore) -> int | None:
    try:
        found = store.get("a")
    except NotFound:
        return None
    seed = found.info.facts["seed"]
    rows = found.info.source.rows
    assert found.arrays["labels"].tolist() == [seed] * rows == [seed] * (700 if seed == 0 else 701)
    assert found.arrays["fitted_rows"].tobytes() == LARGE.tobytes()
    return int(seed)


@pytest.mark.parametrize("end", ["delete", "overwrite", "change"])
def test_what_is_held_stays_where_it_is(store: ResultStore, memory: Path, end: str) -> None:
    before = put(store)
    held = store.hold("a", ("labels", "fitted_rows", "centres"))
    assert set(held.places) == {"labels", "fitted_rows"}
    if end == "delete":
        store.delete("a")
    elif end == "overwrite":
        put(store, seed=5, overwrite=True)
    else:
        change(store, before, 5)
    assert mapped(held.places["labels"]).tolist() == [0] * 700
    assert mapped(held.places["fitted_rows"]).tobytes() == LARGE.tobytes()
    place = held.places["labels"].path.parent
    held.close()
    held.close()
    assert not place.exists()
    lives = list((memory / "data" / "clusterings").glob("*/r*/labels.npy"))
    assert len(lives) == (0 if end == "delete" else 1)
    if end == "delete":
        assert put(store).name == "a"  # the name is free again


def test_what_a_killed_server_held_is_removed_at_the_next_start(memory: Path) -> None:
    storage = Storage(memory / "data")
    put(storage.clusterings)
    held = storage.clusterings.hold("a", ("labels",))
    storage.clusterings.delete("a")
    assert held.places["labels"].path.exists()
    with pytest.raises(NotFound):
        storage.clusterings.hold("a", ())
    storage._lock.close()  # as a process does that is killed
    with Storage(memory / "data") as again:
        assert not list((memory / "data" / "clusterings").iterdir())
        assert again.clusterings.list().results == ()


def test_a_change_keeps_what_is_kept_and_nothing_else(store: ResultStore) -> None:
    before = put(store)
    file = store.hold("a", ("fitted_rows",)).places["fitted_rows"].path.stat().st_ino
    after = change(store, before, 4)
    assert (after.created, after.parameters, after.versions) == (
        before.created,
        before.parameters,
        before.versions,
    )
    assert after.updated > after.created
    assert not before.updated
    assert after.life != before.life
    assert store.hold("a", ("fitted_rows",)).places["fitted_rows"].path.stat().st_ino == file
    assert seed_of(store) == 4
    # What is said of it alone: the arrays stay where they are.
    named = store.change(after, {}, keep=tuple(after.array_bytes), facts={**after.facts, "names": {"0": "x"}})
    assert (named.life, named.facts["names"], named.source) == (after.life, {"0": "x"}, after.source)
    assert store.info("a") == named


@pytest.mark.parametrize("end", ["delete", "overwrite", "change"])
def test_nothing_is_changed_that_is_another_now(store: ResultStore, end: str) -> None:
    before = put(store)
    if end == "delete":
        store.delete("a")
    elif end == "overwrite":
        put(store, seed=0, overwrite=True)
    else:
        change(store, before, 2)
    there = seed_of(store)
    for act in (
        lambda: store.check_same(before),
        lambda: change(store, before, 9),
        lambda: store.change(before, {}, keep=("labels", "fitted_rows"), facts={}),
    ):
        with pytest.raises(PreconditionFailed) as caught:
            act()
        assert (caught.value.reason, caught.value.field) == ("CLUSTERING_CHANGED", "clustering")
    assert seed_of(store) == there


@pytest.mark.parametrize("fault", ["kill", "power", "error"])
def test_a_fault_at_every_step_of_a_change(memory: Path, fault: str) -> None:
    """The result is the one before or the one after, whole."""
    at, over = 0, False
    while not over:
        at += 1
        (memory / f"{at}").mkdir()
        world, choose = World(memory / f"{at}"), random.Random(at)
        store = ResultStore(world.root / "clusterings", FaultyDisk(world, 0, "kill", choose), "clustering")
        info, promised = put(store), [0]
        disk = FaultyDisk(world, at, fault, choose)
        store._disk = disk
        try:
            for seed in (1, 2):
                promised = [promised[-1], seed]
                info = change(store, info, seed)
                promised = [seed]
            over = disk.steps < at
        except (Stopped, ResourceExhausted, Unavailable):
            pass
        if fault != "kill":
            world = world.lose_power(choose, memory / f"{at}-after")
        again = ResultStore(world.root / "clusterings", FaultyDisk(world, 0, "kill", choose), "clustering")
        assert seed_of(again) in promised, (at, promised)
    assert at > 15


def test_files_are_checked_once_and_again_when_they_have_changed(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    digest = arrays.sha256_file
    monkeypatch.setattr(arrays, "sha256_file", lambda path: read.append(path) or digest(path))
    put(store)
    for _ in range(3):
        store.hold("a", ("labels", "fitted_rows")).close()
    assert len(read) == 2
    assert store.get("a", without=("fitted_rows",)).arrays.keys() == {"labels"}
    assert len(read) == 2
    path = read[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for act in (lambda: store.hold("a", ("labels", "fitted_rows")), lambda: store.get("a")):
        with pytest.raises(DataDamaged, match=path.name):
            act()
    path.unlink()
    with pytest.raises(DataDamaged, match="missing"):
        store.hold("a", ("labels", "fitted_rows"))
    store.delete("a")


def test_a_large_array_is_written_without_a_copy(memory: Path) -> None:
    large = np.zeros((6 << 20,), np.float32)  # 24 MiB
    with Storage(memory / "data") as storage:
        tracemalloc.start()
        try:
            storage.projections.put("a", {"fitted_rows": large}, parameters={}, source=RowsOf(1))
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
        assert storage.projections.get("a").arrays["fitted_rows"].shape == large.shape


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no links")

    monkeypatch.setattr("os.link", refuse)
    store = ResultStore(tmp_path / "c", Disk(), "clustering")
    change(store, put(store), 3)
    assert seed_of(store) == 3


def test_two_writers_of_one_name_do_not_take_each_others_files(store: ResultStore) -> None:
    """What is being written beside a result is not swept with its earlier lives."""
    write, others = store._write, []

    def slow(*given: Any) -> Any:
        said = write(*given)
        if not others:
            others.append(True)
            put(store, seed=0)
        return said

    store._write = slow  # type: ignore[method-assign]
    with pytest.raises(PenultError, match="there is a clustering"):
        put(store, seed=7)
    assert seed_of(store) == 0


@pytest.mark.parametrize(
    "ends", [("overwrite", "change"), ("change", "overwrite"), ("delete", "put", "change")]
)
def test_what_is_held_stays_though_others_come_and_go(store: ResultStore, ends: tuple[str, ...]) -> None:
    info = put(store)
    held = [store.hold("a", ("labels", "fitted_rows"))]
    for seed, end in enumerate(ends, 1):
        if end == "delete":
            store.delete("a")
        elif end == "change":
            info = change(store, info, seed)
        else:
            info = put(store, seed=0, overwrite=True)
        if end != "delete":
            held.append(store.hold("a", ("labels", "fitted_rows")))
        for each in held:
            assert mapped(each.places["fitted_rows"]).tobytes() == LARGE.tobytes()
    last = held.pop()
    for each in held:
        place = each.places["labels"].path.parent
        assert place.exists()
        each.close()
        assert not place.exists()
    assert last.places["labels"].path.exists()
    last.close()
    del held, last, each
    gc.collect()
    assert not store._lives
