"""Operations as they are kept: one JSON file each, and beside them the results that have no name of their own.

operations/NAME.json     what was asked, and how it ended
results/NAME/            its result, as `results` says
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from penult_service import errors
from penult_service.errors import DataDamaged, NotFound, PenultError, Unavailable
from penult_service.storage.disk import Disk, refused
from penult_service.storage.manifests import now, read_manifest, write_manifest
from penult_service.storage.names import check_name
from penult_service.storage.results import ResultStore

FORMAT, VERSION = "penult-operation", 1
RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OperationRecord:
    """What is kept of an operation.

    Attributes:
        name: Of its file.
        analysis: As `Call.name` of the analysis.
        rows: How many rows it is about.
        created, started, ended, expires: ISO 8601 in UTC; empty: not yet.
        state: RUNNING (or waiting), DONE, FAILED or CANCELLED.
        request_id: By which the caller knows it.
        error: As of `errors.to_json`, when FAILED.
        stored: The result, when DONE: `projections/x`, `clusterings/x`, or `operations/NAME`, its own.
        stored_created: When that was made: what has the name later is another; empty: not known.
    """

    name: str
    analysis: str
    rows: int
    created: str
    started: str = ""
    ended: str = ""
    expires: str = ""
    state: str = RUNNING
    request_id: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)
    stored: str = ""
    stored_created: str = ""


class OperationStore:
    """The operations below one directory, all of them in memory too. `Storage` holds the lock."""

    def __init__(self, directory: Path, results: ResultStore, disk: Disk) -> None:
        """Open the directory. What had not ended when the last process did has failed (SERVER_RESTARTED).

        Raises:
            PenultError: the directory cannot be made or written.
        """
        self.results = results
        self._directory, self._disk = directory, disk
        self._writing = threading.Lock()
        # Replaced, never changed: who reads does not wait for the disk.
        self._records: Mapping[str, OperationRecord] = {}
        try:
            disk.make_directory(directory)
            disk.sync(directory.parent)
            self._records = {path.stem: self._opened(path) for path in sorted(directory.glob("*.json"))}
            self._sweep()
        except OSError as error:
            raise refused(error, f"{directory} cannot be used") from error

    @property
    def durable(self) -> bool:
        """Whether they are there after a restart."""
        return self._disk.durable

    def put(self, record: OperationRecord) -> None:
        """Keep a record, in the place of the one of that name; durable when it returns.

        Raises:
            PenultError: the disk does not take it.
        """
        check_name(record.name)
        with self._writing:
            try:
                write_manifest(self._disk, self._path(record.name), FORMAT, VERSION, asdict(record))
            except OSError as error:
                raise refused(error, f"operation {record.name!r} was not kept") from error
            self._records = {**self._records, record.name: record}

    def all(self) -> tuple[OperationRecord, ...]:
        """Every record. Waits for nothing."""
        return tuple(self._records.values())

    def delete(self, name: str) -> None:
        """Forget an operation, and its own result.

        Raises:
            NotFound: there is none. PenultError: the disk does not take it.
        """
        with self._writing:
            if name not in self._records:
                raise NotFound(f"there is no operation {name!r}", reason="OPERATION_NOT_FOUND", field="name")
            self._records = {other: record for other, record in self._records.items() if other != name}
            try:
                self._disk.remove(self._path(name))
                self._disk.sync(self._directory)
                self._delete_result(name)
            except OSError as error:
                raise refused(error, f"operation {name!r} was perhaps not deleted") from error

    def _opened(self, path: Path) -> OperationRecord:
        try:
            facts = read_manifest(path, FORMAT, VERSION)
            facts.pop("version")
            record = OperationRecord(**facts)
        except PenultError as error:
            _log.warning("operation %s: %s", path.stem, error.message)
            damaged = DataDamaged(f"what is known of operation {path.stem!r} is damaged: {error.message}")
            return OperationRecord(
                path.stem, "", 0, now(), ended=now(), state=FAILED, error=errors.to_json(damaged)
            )
        if record.state != RUNNING:
            return record
        record = replace(record, state=FAILED, ended=now(), error=errors.to_json(restarted()))
        try:
            write_manifest(self._disk, path, FORMAT, VERSION, asdict(record))
        except (
            OSError
        ) as error:  # a full disk: the next start says it again, and all that is here can be read
            _log.warning("that operation %s has failed is not kept: %s", record.name, error)
        return record

    def _sweep(self) -> None:
        """Results whose operation is gone, or did not get as far as saying that they are there.

        That of one which this release cannot read stays: a later one may.
        """
        token = ""
        while True:
            page = self.results.list(1000, token)
            for info in page.results:
                record = self._records.get(info.name)
                unread = record is not None and record.error.get("kind") == DataDamaged.__name__
                if not unread and (record is None or record.state != DONE):
                    self.results.delete(info.name)
            token = page.next_page_token
            if not token:
                return

    def _delete_result(self, name: str) -> None:
        try:
            self.results.delete(name)
        except NotFound:
            return

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def restarted() -> Unavailable:
    """Why an operation has failed that had not ended when its server did."""
    return Unavailable(
        "the server ended before this operation had; nothing of it is kept: start it again",
        reason="SERVER_RESTARTED",
    )
