"""The folder of a job, beside its output: manifest, shards, and how far they go.

OUT.job/lock              held by the process that works here
OUT.job/manifest.json     what the job is; there from the first reply on
OUT.job/shards/           rows with their numbers, in order, each file whole
OUT.job/errors/           the rows of a shard that have no numbers, as JSON lines
OUT.job/shards.jsonl      a line a shard, with its checksums: what is not listed is not there
OUT.job/final/            the output while it is put together
OUT.job/finished.json     the output is whole in final/ and is being moved to its place
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penult_service.files import sha256_file
from penult_service.jobs import durable
from penult_service.jobs.lock import locked
from penult_service.jobs.manifest import Manifest


@dataclass(frozen=True)
class Shard:
    """A finished shard: rows `first` to `first + rows`, of which `good` have numbers.

    `listed` rows are in its errors file. Checksums are SHA-256; that of the errors is empty when there are none.
    """

    name: str
    first: int
    rows: int
    good: int
    listed: int
    sha256: str
    errors_sha256: str


class JobFolder:
    """The folder of the job that writes `output`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.parent.resolve() / f"{output.name}.job"
        self.shards, self.errors, self.final = (self.path / name for name in ("shards", "errors", "final"))
        self.manifest_file = self.path / "manifest.json"
        self.finished_file = self.path / "finished.json"
        self._lock, self._journal = self.path / "lock", self.path / "shards.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """The folder, for this process alone. One without anything worth keeping is removed at the end."""
        with locked(self._lock, str(self.output)):
            try:
                yield
            finally:
                if not self.begun and not self.finished:
                    self.remove()

    @property
    def begun(self) -> bool:
        """Whether there is a job to go on with: one with a finished shard."""
        return self.manifest_file.exists() and self._journal.exists()

    @property
    def finished(self) -> bool:
        """Whether all is computed, and only to be put into its place."""
        return self.finished_file.exists()

    def manifest(self) -> Manifest:
        """What the job is."""
        return Manifest.read(self.manifest_file)

    def begin(self, manifest: Manifest) -> None:
        """Forget what is there, and begin."""
        self.clear()
        manifest.write(self.manifest_file)

    def usable(self) -> list[Shard]:
        """The shards that are there and whole, from the first on; what else lies there is swept away.

        A shard whose checksum is wrong ends them: it and those after it are made again.
        """
        for place in (self.shards, self.errors, self.final):
            place.mkdir(exist_ok=True)
        lines = durable.whole_lines(self._journal)
        good: list[Shard] = []
        for line in lines:
            shard = _shard(line)
            if shard is None or shard.first != _rows(good) or not self._whole(shard):
                break
            good.append(shard)
        if len(good) < len(lines):
            with durable.whole(self._journal) as draft:
                draft.write_text("".join(_line(shard) + "\n" for shard in good), encoding="utf-8")
        self._sweep(good)
        return good

    def add(self, shard: Shard) -> None:
        """List a shard whose files are in their places."""
        durable.append_line(self._journal, _line(shard))

    def errors_file(self, shard: str) -> Path:
        """Where the errors of a shard stand."""
        return self.errors / f"{Path(shard).stem}.jsonl"

    def finish(self, facts: dict[str, Any]) -> None:
        """Note that the output is whole in `final`."""
        with durable.whole(self.finished_file) as draft:
            draft.write_text(json.dumps(facts) + "\n", encoding="utf-8")

    def clear(self) -> None:
        """Remove all but the lock; what says that a job is here goes first, and the finished note last."""
        self.manifest_file.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
        for place in (self.shards, self.errors, self.final):
            shutil.rmtree(place, ignore_errors=True)
        self.finished_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder; the caller holds it."""
        self.clear()
        shutil.rmtree(self.path, ignore_errors=True)

    def _whole(self, shard: Shard) -> bool:
        files = [(self.shards / shard.name, shard.sha256)]
        if shard.errors_sha256:
            files.append((self.errors_file(shard.name), shard.errors_sha256))
        return all(path.is_file() and sha256_file(path) == digest for path, digest in files)

    def _sweep(self, good: list[Shard]) -> None:
        names = {shard.name for shard in good}
        errors = {self.errors_file(shard.name).name for shard in good if shard.errors_sha256}
        for place, known in ((self.shards, names), (self.errors, errors), (self.final, set[str]())):
            for path in place.iterdir():
                if path.name not in known:
                    path.unlink()


def errors_place(output: Path) -> Path:
    """Where the rows without numbers are listed: OUT.errors.jsonl beside OUT.parquet."""
    return output.with_suffix(".errors.jsonl")


def facts_place(output: Path) -> Path:
    """Where the facts about a .npy stand: OUT.json beside OUT.npy."""
    return output.with_suffix(".json")


def _rows(shards: list[Shard]) -> int:
    return shards[-1].first + shards[-1].rows if shards else 0


def _shard(line: str) -> Shard | None:
    """What `_line` made; None when the line is damaged."""
    try:
        return Shard(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _line(shard: Shard) -> str:
    return json.dumps(asdict(shard))
