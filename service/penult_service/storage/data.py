"""The data directory of a server: everything that is stored, under one lock."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from penult_service.errors import PenultError
from penult_service.storage.disk import Disk, refused
from penult_service.storage.locks import LOCK, DirectoryLock
from penult_service.storage.operations import OperationStore
from penult_service.storage.results import ResultStore
from penult_service.storage.set_store import SetStore

_TEMPORARY = "penult-data-"


class Storage:
    """`sets`, `projections`, `clusterings` and `operations` below `path`.

    `durable` False: the directory goes with the process.
    """

    def __init__(self, data: Path | None, *, disk: Disk | None = None) -> None:
        """Open `data`, which is made when it is not there, or a temporary directory when it is None.

        A second server on the same directory is refused: two writers would need a protocol between them, and a
        reader beside a writer would see files go away.

        Raises:
            PreconditionFailed: DATA_IN_USE, or NOT_WRITABLE. Other PenultErrors: the file system refuses.
        """
        self.durable = data is not None
        disk = disk or Disk(durable=self.durable)
        try:
            if data is not None:
                data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if data is None:
                _sweep()
            self.path = data or Path(tempfile.mkdtemp(prefix=_TEMPORARY))
            self._lock = DirectoryLock(self.path)
        except OSError as error:
            raise refused(error, f"{data or 'the temporary directory'} cannot be used") from error
        try:
            self.sets = SetStore(self.path / "datasets", disk)
            self.projections = ResultStore(self.path / "projections", disk, "projection")
            self.clusterings = ResultStore(self.path / "clusterings", disk, "clustering")
            results = ResultStore(self.path / "results", disk, "result")
            self.operations = OperationStore(self.path / "operations", results, disk)
        except PenultError:
            self._lock.close()
            raise

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the directory go; a temporary one is removed."""
        self.sets.close()
        if not self.durable:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _sweep() -> None:
    """Remove the temporary directories of this user's processes that were killed."""
    for place in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with suppress(OSError, PenultError):
            # One without a process in its lock is just being made.
            mine = place.stat().st_uid == os.geteuid() and not place.is_symlink()
            if mine and (place / LOCK).stat().st_size:
                lock = DirectoryLock(place)
                shutil.rmtree(place, ignore_errors=True)
                lock.close()
