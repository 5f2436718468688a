"""A disk that stops, fails or loses power at any step, and forgets what was never synced.

`World` follows every file and directory by what is synced and what is pending. Killing a process keeps all that was
written; power loss keeps the synced part, and of the rest what a random choice keeps: writes applied, torn or lost;
names in a directory as they were after some step since its last sync. A failing sync drops what it should have
written, as Linux does, so that a later sync does not bring it back.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from penult_service.storage.disk import Disk


class Stopped(BaseException):
    """The process ends here."""


@dataclass
class File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # (offset, bytes), or (length, None)

    def sync(self) -> None:
        for operation in self.pending:
            _apply(self.synced, *operation)
        self.pending = []

    def after_loss(self, choose: random.Random) -> bytes:
        content = bytearray(self.synced)
        for place, data in self.pending:
            fate = choose.choice(("kept", "torn", "lost"))
            if fate == "kept" or (fate == "torn" and data is None):
                _apply(content, place, data)
            elif fate == "torn" and data:
                _apply(content, place, data[: choose.randrange(len(data))])
        return bytes(content)


@dataclass
class Directory:
    live: dict[str, File | Directory] = field(default_factory=dict)
    synced: dict[str, File | Directory] = field(default_factory=dict)
    pending: list[dict[str, File | Directory]] = field(default_factory=list)

    def changed(self) -> None:
        self.pending.append(dict(self.live))

    def sync(self) -> None:
        self.synced, self.pending = dict(self.live), []


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        del content[place:]
        content.extend(bytes(place - len(content)))
        return
    content.extend(bytes(max(0, place - len(content))))
    content[place : place + len(data)] = data


class World:
    """All below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = Directory()

    def find(self, path: Path) -> File | Directory:
        node: File | Directory = self.top
        for name in path.relative_to(self.root).parts:
            assert isinstance(node, Directory)
            node = node.live[name]
        return node

    def directory(self, path: Path) -> Directory:
        node = self.find(path)
        assert isinstance(node, Directory)
        return node

    def lose_power(self, choose: random.Random, target: Path) -> World:
        """The world after the power comes back, in `target`."""
        after = World(target)
        after.top = self._rebuilt(self.top, target, choose)
        return after

    def _rebuilt(self, node: Directory, place: Path, choose: random.Random) -> Directory:
        place.mkdir()
        entries = choose.choice([node.synced, *node.pending])
        made = Directory()
        for name, child in entries.items():
            if isinstance(child, Directory):
                made.live[name] = self._rebuilt(child, place / name, choose)
            else:
                content = child.after_loss(choose)
                (place / name).write_bytes(content)
                made.live[name] = File(bytearray(content))
        made.sync()
        return made


class FaultyDisk(Disk):
    """Stops or fails at step `at` (from 1). Once stopped it stays so, as a process that is gone."""

    def __init__(self, world: World, at: int, fault: str, choose: random.Random) -> None:
        super().__init__()
        self.world, self.at, self.fault, self.choose = world, at, fault, choose
        self.steps = 0
        # Of errors: for how many steps.
        self.width = 1
        self.stopped = False

    def write(self, path: Path, offset: int, *parts: bytes | memoryview, sync: bool) -> None:
        parent = self.world.directory(path.parent)
        if path.name not in parent.live:
            self._step()
            parent.live[path.name] = File()
            parent.changed()
        super().write(path, offset, *parts, sync=sync)

    def sync(self, path: Path) -> None:
        self._gone()
        super().sync(path)

    def make_directory(self, path: Path) -> None:
        self._step()
        super().make_directory(path)
        parent = self.world.directory(path.parent)
        if path.name not in parent.live:
            parent.live[path.name] = Directory()
            parent.changed()

    def _rename(self, source: Path, target: Path) -> None:
        self._step()
        source.replace(target)
        parent = self.world.directory(source.parent)
        parent.live[target.name] = parent.live.pop(source.name)
        parent.changed()

    def link(self, source: Path, target: Path) -> None:
        self._step()
        super().link(source, target)
        parent = self.world.directory(target.parent)
        parent.live[target.name] = self.world.find(source)
        parent.changed()

    def remove(self, path: Path) -> None:
        if path.exists():
            self._step()
            path.unlink()
            parent = self.world.directory(path.parent)
            del parent.live[path.name]
            parent.changed()

    def remove_tree(self, path: Path) -> None:
        for inner in sorted(path.iterdir(), key=lambda _: self.choose.random()):
            if inner.is_dir():
                self.remove_tree(inner)
            else:
                self.remove(inner)
        self._step()
        path.rmdir()
        parent = self.world.directory(path.parent)
        del parent.live[path.name]
        parent.changed()

    def _pwrite(self, descriptor: int, path: Path, data: memoryview, offset: int) -> None:
        def partly() -> None:
            self._written(descriptor, path, data[: self.choose.randrange(len(data) + 1)], offset)

        self._step(partly)
        self._written(descriptor, path, data, offset)

    def _written(self, descriptor: int, path: Path, data: memoryview, offset: int) -> None:
        super()._pwrite(descriptor, path, data, offset)
        node = self.world.find(path)
        assert isinstance(node, File)
        if len(data):
            node.pending.append((offset, bytes(data)))

    def _ftruncate(self, descriptor: int, path: Path, length: int) -> None:
        self._step()
        super()._ftruncate(descriptor, path, length)
        node = self.world.find(path)
        assert isinstance(node, File)
        node.pending.append((length, None))

    def _fsync(self, descriptor: int, path: Path) -> None:  # noqa: ARG002
        node = self.world.find(path)

        def dropped() -> None:
            if self.fault != "kill" and isinstance(node, File):
                node.pending = []

        self._step(dropped)
        node.sync()

    def _step(self, halfway: Callable[[], None] = lambda: None) -> None:
        self._gone()
        self.steps += 1
        if not self.at <= self.steps < self.at + self.width:
            return
        if self.fault == "error":
            halfway()
            raise OSError(self.choose.choice((errno.EIO, errno.ENOSPC)), "injected")
        self.stopped = True
        if self.fault == "kill":
            halfway()
        raise Stopped

    def _gone(self) -> None:
        if self.stopped:
            raise Stopped
