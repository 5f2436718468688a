"""What a result leaves on the disk when it was not stored, and when several have to do with one name at once."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
from penult_service.errors import ResourceExhausted
from penult_service.storage import ResultInfo, ResultStore, RowsOf, Storage
from penult_service.storage.arrays import Checked


@pytest.fixture
def store(memory: Path) -> Iterator[ResultStore]:
    with Storage(memory / "data") as opened:
        yield opened.clusterings


def put(store: ResultStore, seed: int = 0, **more: Any) -> ResultInfo:
    arrays = {"labels": np.full(700, seed, np.int32), "fitted_rows": np.zeros((50, 2), np.float32)}
    return store.put("a", arrays, parameters={}, facts={"seed": seed}, source=RowsOf(700), **more)


def lives(store: ResultStore) -> list[str]:
    return sorted(path.name for path in store._directory.glob("a/r*") if path.is_dir())


@pytest.mark.parametrize("act", ["put", "overwrite", "change"])
def test_what_came_onto_a_full_disk_does_not_stay_there(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Also when the arrays had room, and the manifest has not."""
    before = None if act == "put" else put(store)

    def again() -> None:
        if before is not None and act == "change":
            store.change(before, {"labels": np.ones(700, np.int32)}, keep=("fitted_rows",), facts={})
        else:
            put(store, 1, overwrite=True)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._disk, "put", refuse)
    with pytest.raises(ResourceExhausted):
        again()
    assert lives(store) == ([] if before is None else [before.life])
    monkeypatch.undo()
    now = put(store, 2, overwrite=True)
    assert lives(store) == [now.life]


def test_one_that_its_manifest_names_stays_though_that_was_not_synced(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    rename = store._disk.rename

    def unsynced(*paths: Path) -> None:
        rename(*paths)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store._disk, "rename", unsynced)
    with pytest.raises(Exception, match="Input/output"):
        put(store, 1, overwrite=True)
    assert store.get("a").arrays["labels"].tolist() == [1] * 700


def test_one_that_is_replaced_the_moment_it_is_there_goes(store: ResultStore) -> None:
    written = store._written

    def replaced(*given: Any) -> Any:
        store._written = written  # type: ignore[method-assign]
        written(*given)
        return put(store, 2, overwrite=True)

    store._written = replaced  # type: ignore[method-assign]
    now = put(store)
    assert lives(store) == [now.life]


def test_a_deletion_does_not_take_the_place_of_what_is_being_written(store: ResultStore) -> None:
    put(store)
    make, deleting = store._disk.make_directory, threading.Thread(target=store.delete, args=("a",))

    def slow(path: Path) -> None:
        make(path)
        if path.name == "a":
            deleting.start()
            deleting.join(0.2)

    store._disk.make_directory = slow  # type: ignore[method-assign]
    put(store, 1, overwrite=True)
    deleting.join()


def test_files_are_forgotten_while_others_are_checked() -> None:
    checked = Checked()

    class Other(PosixPath):
        @property
        def parent(self) -> Path:
            checked._seen[Path(f"/elsewhere/{len(checked._seen)}")] = ()
            return Path(*self.parts[:-1])

    checked._seen = {Other("/life/a.npy"): (), Other("/life/b.npy"): ()}
    checked.forget(Path("/life"))
    assert all(path.parts[1] == "elsewhere" for path in checked._seen)
