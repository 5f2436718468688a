"""Whatever stops or fails, at any step: acknowledged rows are there, once, whole and in order; others all or none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from penult_service.errors import PenultError, ResourceExhausted, Unavailable
from penult_service.storage import SetStore, folding, sets
from support.power_loss import FaultyDisk, Stopped, World

DIMENSION = 4
Row = tuple[str, bytes, str | None, int]
Sets = dict[str, list[Row]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds every third append; vectors of more than two rows do not travel in the log."""
    monkeypatch.setattr(folding, "FRAMES", 3)
    monkeypatch.setattr(sets, "HERE_BYTES", 2 * DIMENSION * 4)


def row(number: int) -> Row:
    vector = np.random.default_rng(number).normal(size=DIMENSION).astype("<f4")
    text = None if number % 7 == 0 else f"text {number} " + "ä" * (number % 5)
    return f"id-{number}", vector.tobytes(), text, number


def append(store: SetStore, name: str, rows: list[Row]) -> None:
    vectors = np.frombuffer(b"".join(r[1] for r in rows), "<f4").reshape(-1, DIMENSION)
    ids, _, texts, numbers = zip(*rows, strict=True)
    store.get(name).append(ids, vectors, texts, {"n": numbers}, space="space")


def contents(store: SetStore) -> Sets:
    found: Sets = {}
    for info in store.list().sets:
        assert not info.problem
        with store.get(info.name).snapshot() as snapshot:
            found[info.name] = [
                (r["id"], np.array(r["vector"], "<f4").tobytes(), r["text"], r["n"])
                for batch in snapshot.read()
                for r in batch.to_pylist()
            ]
            assert len(found[info.name]) == snapshot.rows == info.rows
    return found


class Model:
    """What is promised: `states` holds what may be found, one state unless an action was interrupted."""

    def __init__(self) -> None:
        self.states: list[Sets] = [{}]

    def act(self, after: Callable[[Sets], Sets], action: Callable[[], object]) -> None:
        before = self.states
        self.states = [*before, *(after({k: list(v) for k, v in state.items()}) for state in before)]
        action()
        self.states = self.states[len(before) :]

    def append(self, store: SetStore, name: str, rows: list[Row]) -> None:
        def after(state: Sets) -> Sets:
            there = state.setdefault(name, [])
            there += [r for r in rows if r not in there]
            return state

        self.act(after, lambda: append(store, name, rows))

    def create(self, store: SetStore, name: str) -> None:
        make = lambda: store.create(name, columns={"n": "int64"}, overwrite=True)  # noqa: E731
        self.act(lambda state: {**state, name: []}, make)

    def delete(self, store: SetStore, name: str) -> None:
        self.act(lambda state: {k: v for k, v in state.items() if k != name}, lambda: store.delete(name))

    def check(self, store: SetStore) -> None:
        found = contents(store)
        assert found in self.states, f"{ {k: len(v) for k, v in found.items()} } is none of what was promised"
        self.states = [found]


def script(model: Model, store: SetStore) -> Iterator[None]:
    """Appends of one row and of many, a repeated one, folds, a merge of segments, overwriting, deletion."""
    model.create(store, "a")
    yield
    number = 0
    for size in (1, 4, 1, 2, 1, 5, 1):
        model.append(store, "a", [row(number + i) for i in range(size)])
        number += size
        yield
    model.append(store, "a", [row(number - 2), row(number - 1), row(number)])
    yield
    model.create(store, "b")
    yield
    model.append(store, "b", [row(1)])
    yield
    model.create(store, "b")
    yield
    model.append(store, "b", [row(2), row(3), row(4)])
    yield
    model.delete(store, "b")
    yield
    store.close()


def open_store(world: World, disk: FaultyDisk) -> SetStore:
    return SetStore(world.root / "datasets", disk)


def never(world: World) -> FaultyDisk:
    return FaultyDisk(world, 0, "kill", random.Random(0))


def new_world(path: Path) -> World:
    path.mkdir()
    return World(path)


def all_steps(path: Path) -> int:
    disk = never(new_world(path))
    for _ in script(Model(), open_store(disk.world, disk)):
        pass
    return disk.steps


@pytest.mark.parametrize("fault", ["kill", "power"])
def test_the_end_at_every_step(tmp_path: Path, fault: str) -> None:
    for at in range(1, all_steps(tmp_path / "whole") + 1):
        world, model, choose = new_world(tmp_path / f"{at}"), Model(), random.Random(at)
        with pytest.raises(Stopped):
            for _ in script(model, open_store(world, disk := FaultyDisk(world, at, fault, choose))):
                pass
        assert disk.stopped
        if fault == "power":
            world = world.lose_power(choose, tmp_path / f"{at}-after")
        store = open_store(world, never(world))
        model.check(store)
        # What was found is promised from now on, also when the power goes without a word more.
        world = world.lose_power(choose, tmp_path / f"{at}-again")
        model.check(open_store(world, never(world)))


def test_an_error_at_every_step(tmp_path: Path) -> None:
    """The action fails, or does not; the next ones work; nothing acknowledged is lost, then or after power loss."""
    for at in range(1, all_steps(tmp_path / "whole") + 1):
        world, model, choose = new_world(tmp_path / f"{at}"), Model(), random.Random(at)
        disk = FaultyDisk(world, at, "error", choose)
        try:
            store = open_store(world, disk)
        except PenultError:
            store = open_store(world, disk)
        _carry_on(model, store)
        model.check(store)
        world = world.lose_power(choose, tmp_path / f"{at}-after")
        model.check(open_store(world, never(world)))


def _carry_on(model: Model, store: SetStore) -> None:
    number = 0
    for turn in range(9):
        actions: list[Callable[[], None]] = []
        if turn in (0, 6):
            actions.append(lambda: model.create(store, "a"))
        size = (1, 4, 2)[turn % 3]
        rows = [row(number + i) for i in range(size)]
        actions.append(lambda rows=rows: model.append(store, "a", rows))  # type: ignore[misc]
        number += size
        for action in actions:
            try:
                action()
            except (ResourceExhausted, Unavailable):
                model.check(store)
                action()
    model.check(store)


@pytest.mark.parametrize("seed", range(25))
def test_many_ends_in_a_row(tmp_path: Path, seed: int) -> None:
    """One directory lives through kills, power losses and errors at random steps, also during its recovery."""
    choose, model, number = random.Random(seed), Model(), 0
    world = new_world(tmp_path / "0")
    for life in range(1, 9):
        fault = choose.choice(("kill", "power", "error"))
        disk = FaultyDisk(world, choose.randrange(1, 50), fault, choose)
        try:
            store = open_store(world, disk)
            if not store.list().sets:
                model.create(store, "a")
            for _ in range(8):
                again = choose.randrange(number + 1)
                rows = [row(i) for i in range(again, again + choose.randrange(1, 6))]
                number = max(number, again + len(rows))
                model.append(store, "a", rows)
            if choose.random() < 0.2:
                model.delete(store, "a")
            store.close()
        except (Stopped, ResourceExhausted, Unavailable):
            pass
        if fault == "power" and disk.stopped:
            world = world.lose_power(choose, tmp_path / str(life))
        model.check(open_store(world, never(world)))
