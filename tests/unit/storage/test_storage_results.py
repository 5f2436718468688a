"""Stored maps and clusterings: whole or not at all, once unless overwritten, checked when read."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import AlreadyExists, DataDamaged, NotFound, ResourceExhausted, Unavailable
from penult_service.storage import ResultStore, RowsOf, Storage
from penult_service.storage.disk import Disk
from support.power_loss import FaultyDisk, Stopped, World


@pytest.fixture
def storage(memory: Path) -> Iterator[Storage]:
    with Storage(memory / "data") as opened:
        yield opened


def put(store: ResultStore, name: str, seed: int, **kwargs: Any) -> None:
    choose = np.random.default_rng(seed)
    arrays = {
        "coordinates": choose.normal(size=(700, 2)).astype(np.float32),
        "labels": np.arange(seed, dtype=np.int32),
    }
    store.put(name, arrays, parameters={"seed": seed}, source=RowsOf(700), **kwargs)


def same(store: ResultStore, name: str, seed: int) -> bool:
    found = store.get(name)
    expected = np.random.default_rng(seed).normal(size=(700, 2)).astype(np.float32)
    return (
        found.info.parameters == {"seed": seed}
        and found.arrays["coordinates"].tobytes() == expected.tobytes()
        and found.arrays["labels"].tolist() == list(range(seed))
    )


def test_what_goes_in_comes_out(memory: Path) -> None:
    arrays = {
        "f": np.array([[1.5, np.nan], [np.inf, -0.0]]),
        "big": np.array([1, 2], ">i8"),
        "truth": np.array([True, False]),
        "none": np.empty((0, 3), np.float32),
        "columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "one": np.float32(3) * np.ones(()),
    }
    source = RowsOf(2, "digest", "reviews", "g1", "space")
    with Storage(memory) as storage:
        info = storage.projections.put(
            "a",
            arrays,
            parameters={"x": [1, None, "ü"]},
            facts={"q": 0.5},
            source=source,
            versions={"umap": "1"},
        )
        assert (info.durable, info.source, info.facts) == (True, source, {"q": 0.5})
        assert {"penult", "python", "numpy", "umap"} <= set(info.versions)
    with Storage(memory) as storage:
        found = storage.projections.get("a")
        assert found.info == info
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array)
            assert found.arrays[name].shape == np.shape(array)
        with pytest.raises(NotFound) as caught:
            storage.clusterings.get("a")
        assert caught.value.reason == "CLUSTERING_NOT_FOUND"


def test_once_unless_overwritten(storage: Storage) -> None:
    store = storage.projections
    put(store, "a", 1)
    with pytest.raises(AlreadyExists, match="overwrite") as caught:
        put(store, "a", 2)
    assert caught.value.reason == "PROJECTION_EXISTS"
    assert same(store, "a", 1)
    before = store.get("a")
    put(store, "a", 2, overwrite=True)
    assert same(store, "a", 2)
    assert len(before.arrays["labels"]) == 1
    assert before.arrays["coordinates"].shape == (700, 2)
    np.testing.assert_array_equal(
        before.arrays["coordinates"], np.random.default_rng(1).normal(size=(700, 2)).astype(np.float32)
    )


def test_nothing_stays_of_what_found_no_room(memory: Path) -> None:
    class Small(Disk):
        room = 1 << 20

        def _pwrite(self, descriptor: int, path: Path, data: memoryview, offset: int) -> None:
            taken = data[: self.room]
            self.room -= len(taken)
            super()._pwrite(descriptor, path, taken, offset)
            if len(taken) < len(data):
                raise OSError(errno.ENOSPC, "no space")

    def files() -> set[Path]:
        return set(memory.rglob("*.npy"))

    disk = Small()
    store = ResultStore(memory / "projections", disk, "projection")
    put(store, "there", 1)
    before, disk.room = files(), 4000
    for name, more in (("new", {}), ("there", {"overwrite": True})):
        with pytest.raises(ResourceExhausted):
            put(store, name, 2, **more)
        assert files() == before
    assert same(store, "there", 1)


def test_list_and_delete(storage: Storage) -> None:
    store = storage.clusterings
    for name in ("c", "a", "b"):
        put(store, name, 1)
    page = store.list(page_size=2)
    assert [info.name for info in page.results] == ["a", "b"]
    assert [info.name for info in store.list(2, page.next_page_token).results] == ["c"]
    store.delete("b")
    for call in (store.get, store.delete):
        with pytest.raises(NotFound):
            call("b")
    assert [info.name for info in store.list().results] == ["a", "c"]


@pytest.mark.parametrize(
    ("arrays", "parameters", "error"),
    [
        ({"a": np.array([{}, None])}, {}, TypeError),
        ({"a": np.array(["text"])}, {}, TypeError),
        ({"../a": np.zeros(1)}, {}, ValueError),
        ({"a": np.zeros(1)}, {"x": float("nan")}, ValueError),
        ({"a": np.zeros(1)}, {"x": object()}, TypeError),
    ],
)
def test_what_is_not_stored(storage: Storage, arrays: Any, parameters: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        storage.projections.put("a", arrays, parameters=parameters, source=RowsOf(1))
    assert storage.projections.list().results == ()


@pytest.mark.parametrize("file", ["result.json", "coordinates.npy"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_told_by_name(memory: Path, file: str, harm: str) -> None:
    with Storage(memory) as storage:
        put(storage.projections, "a", 1)
    (path,) = (memory / "projections").rglob(file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(data if harm == "flip" else data[:-9])
    with Storage(memory) as storage:
        # Without its manifest a result is not there: see ResultStore.
        expected = NotFound if (file, harm) == ("result.json", "remove") else DataDamaged
        with pytest.raises(expected, match=file if expected is DataDamaged else "'a'"):
            storage.projections.get("a")
        infos = storage.projections.list().results
        assert [bool(info.problem) for info in infos] == (
            [] if expected is NotFound else [file == "result.json"]
        )


@pytest.mark.parametrize("fault", ["kill", "power", "error"])
def test_a_fault_at_every_step(memory: Path, fault: str) -> None:
    """Stored, overwritten, deleted: after a fault anywhere the result is the one before or the one after."""
    at, over = 0, False
    while not over:
        at += 1
        (memory / f"{at}").mkdir()
        world, choose = World(memory / f"{at}"), random.Random(at)
        disk = FaultyDisk(world, at, fault, choose)
        promised: list[int | None] = [None]
        try:
            store = ResultStore(world.root / "projections", disk, "projection")
            for after, action in (
                (2, lambda s: put(s, "a", 2)),
                (3, lambda s: put(s, "a", 3, overwrite=True)),
                (None, lambda s: s.delete("a")),
                (4, lambda s: put(s, "a", 4)),
            ):
                promised = [promised[-1], after]
                action(store)
                promised = [after]
            over = disk.steps < at
        except (Stopped, ResourceExhausted, Unavailable):
            pass
        if fault != "kill":
            world = world.lose_power(choose, memory / f"{at}-after")
        store = ResultStore(world.root / "projections", FaultyDisk(world, 0, "kill", choose), "projection")
        there = [info.name for info in store.list().results]
        assert any(there == ["a"] and same(store, "a", seed) if seed else there == [] for seed in promised)
    assert at > 30
