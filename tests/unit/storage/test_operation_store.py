"""Operations on disk: over a restart, damaged, unfinished."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from penult_service import errors
from penult_service.errors import NotFound
from penult_service.storage import OperationRecord, RowsOf, Storage, operations
from penult_service.storage.disk import Disk
from penult_service.storage.operations import CANCELLED, DONE, FAILED, RUNNING

RECORD = OperationRecord("project-1", "project", 5, "2026-01-02T03:04:05.000006Z", request_id="r")
COORDINATES = np.arange(10, dtype=np.float32).reshape(5, 2)


def put_result(storage: Storage, name: str) -> None:
    storage.operations.results.put(name, {"coordinates": COORDINATES}, parameters={}, source=RowsOf(5))


def test_over_a_restart(tmp_path: Path) -> None:
    with Storage(tmp_path) as storage:
        done = replace(RECORD, name="done", state=DONE, stored="operations/done", ended="e", expires="f")
        for record in (RECORD, done, replace(RECORD, name="cancelled", state=CANCELLED)):
            storage.operations.put(record)
        for name in ("done", "project-1", "nobody"):  # stored, and its record did not come that far
            put_result(storage, name)
        assert storage.operations.durable
    with Storage(tmp_path) as storage:
        found = {record.name: record for record in storage.operations.all()}
        assert found["done"] == done
        assert found["cancelled"].state == CANCELLED
        failed = found["project-1"]
        assert (failed.state, failed.request_id) == (FAILED, "r")
        error = errors.from_json(dict(failed.error))
        assert (type(error).__name__, error.reason) == ("Unavailable", "SERVER_RESTARTED")
        assert failed.ended > failed.created
        assert np.array_equal(storage.operations.results.get("done").arrays["coordinates"], COORDINATES)
        assert [info.name for info in storage.operations.results.list().results] == ["done"]
        storage.operations.delete("done")
        with pytest.raises(NotFound):
            storage.operations.results.get("done")
        with pytest.raises(NotFound) as gone:
            storage.operations.delete("done")
        assert gone.value.reason == "OPERATION_NOT_FOUND"
    with Storage(tmp_path) as storage:
        assert {record.name for record in storage.operations.all()} == {"cancelled", "project-1"}
        assert storage.operations.all()[1] == failed  # and not once more


def test_damaged_one_has_failed_and_can_be_deleted(tmp_path: Path) -> None:
    with Storage(tmp_path) as storage:
        storage.operations.put(RECORD)
    path = tmp_path / "operations" / "project-1.json"
    path.write_bytes(path.read_bytes()[:-20])
    with Storage(tmp_path) as storage:
        (record,) = storage.operations.all()
        assert (record.state, record.error["kind"]) == (FAILED, "DataDamaged")
        assert str(path) in record.error["message"]
        storage.operations.delete("project-1")
    assert not path.exists()


def test_result_of_one_that_a_later_release_wrote_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = replace(RECORD, state=DONE, stored="operations/project-1", ended="e", expires="f")
    with monkeypatch.context() as later:
        later.setattr(operations, "VERSION", operations.VERSION + 1)
        with Storage(tmp_path) as storage:
            storage.operations.put(done)
            put_result(storage, "project-1")
    with Storage(tmp_path) as storage:
        (record,) = storage.operations.all()
        assert record.state == FAILED
        assert "use a newer one" in record.error["message"]
    with monkeypatch.context() as later:
        later.setattr(operations, "VERSION", operations.VERSION + 1)
        with Storage(tmp_path) as storage:
            assert storage.operations.all() == (done,)
            found = storage.operations.results.get("project-1")
            assert np.array_equal(found.arrays["coordinates"], COORDINATES)


def test_full_disk_at_the_start_keeps_nobody_from_what_is_there(tmp_path: Path) -> None:
    class Full(Disk):
        def put(self, path: Path, data: bytes) -> None:
            raise OSError(errno.ENOSPC, f"no room for {len(data)} bytes at {path}")

    with Storage(tmp_path) as storage:
        storage.operations.put(RECORD)
    for disk in (Full(), Disk()):
        with Storage(tmp_path, disk=disk) as storage:
            (record,) = storage.operations.all()
            assert (record.state, record.error["reason"]) == (FAILED, "SERVER_RESTARTED")


def test_without_a_directory_they_go_with_the_process() -> None:
    with Storage(None) as storage:
        storage.operations.put(replace(RECORD, state=RUNNING))
        assert not storage.operations.durable
        assert storage.operations.all() == (RECORD,)
