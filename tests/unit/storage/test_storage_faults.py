"""Whatever stops or fails, at any step: acknowledged rows are there, once, whole and in order; others all or none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from penult_service.errors import ResourceExhausted, Unavailable
from penult_service.storage import SetStore, folding, sets
from support.power_loss import FaultyDisk, Stopped, World

DIMENSION = 4
Result = TypeVar("Result")
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
    ids, _, texts, numbers = zip(*rows, strict=True) if rows else ((), (), (), ())
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
def test_the_end_at_every_step(memory: Path, fault: str) -> None:
    for at in range(1, all_steps(memory / "whole") + 1):
        world, model, choose = new_world(memory / f"{at}"), Model(), random.Random(at)
        with pytest.raises(Stopped):
            for _ in script(model, open_store(world, disk := FaultyDisk(world, at, fault, choose))):
                pass
        assert disk.stopped
        if fault == "power":
            world = world.lose_power(choose, memory / f"{at}-after")
        store = open_store(world, never(world))
        model.check(store)
        # What was found is promised from now on, also when the power goes without a word more.
        world = world.lose_power(choose, memory / f"{at}-again")
        model.check(open_store(world, never(world)))


@pytest.mark.parametrize("width", [1, 3])
def test_errors_at_every_step(memory: Path, width: int) -> None:
    """The action fails, or does not; it is repeated, or not; nothing acknowledged is lost, nothing refused appears."""
    for at in range(1, all_steps(memory / "whole") + 1):
        world, model, choose = new_world(memory / f"{at}"), Model(), random.Random(at)
        disk = FaultyDisk(world, at, "error", choose)
        disk.width = width
        carry_on(model, world, disk, choose)
        world = world.lose_power(choose, memory / f"{at}-after")
        model.check(open_store(world, never(world)))


def carry_on(model: Model, world: World, disk: FaultyDisk, choose: random.Random) -> None:
    store = persistently(lambda: open_store(world, disk))
    persistently(lambda: model.create(store, "a"))
    for turn in range(choose.randrange(4, 12)):
        rows = [row(5 * turn + i) for i in range((1, 4, 2)[turn % 3])]
        try:
            model.append(store, "a", rows)
        except (ResourceExhausted, Unavailable):
            if choose.random() < 0.5:
                persistently(lambda rows=rows: model.append(store, "a", rows))
            elif disk.steps >= disk.at + disk.width:
                # The next append takes back what could not be taken back at once.
                persistently(lambda: model.append(store, "a", []))
        model.check(store)


def persistently(action: Callable[[], Result]) -> Result:
    for _ in range(5):
        try:
            return action()
        except (ResourceExhausted, Unavailable):
            continue
    return action()


@pytest.mark.parametrize("seed", range(25))
def test_many_ends_in_a_row(memory: Path, seed: int) -> None:
    """One directory lives through kills, power losses and errors at random steps, also during its recovery."""
    choose, model, number = random.Random(seed), Model(), 0
    world = new_world(memory / "0")
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
            world = world.lose_power(choose, memory / str(life))
        model.check(open_store(world, never(world)))
