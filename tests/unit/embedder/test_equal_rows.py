"""Equal rows are computed once: in a request, in flight, and while a cache has them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder, EmbedOptions, Tensors
from penult_service.embedder.passes import EncodePass, Reading, TokenRow
from penult_service.embedder.sharing import SharedPass, SharedRow, Sharing
from penult_service.errors import DeadlineExceeded, Internal
from penult_service.tokenizing import TokenTable
from support.fakes import fake_model

WAYS = [
    EmbedOptions(),
    EmbedOptions(pooling="mean"),
    EmbedOptions(pooling="cls"),
    EmbedOptions(layer="sequence_output", pooling="tokens"),
]


class Counted:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.cache = (0, 0)

    def rows_read(self, **counts: int) -> None:
        self.rows.update(counts)

    def cache_changed(self, rows: int, size: int) -> None:
        self.cache = (rows, size)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
async def caching(scheduler: Scheduler, counted: Counted) -> AsyncIterator[Embedder]:
    """An embedder with a cache that holds all."""
    made = Embedder(scheduler, cache_bytes=1 << 20, observer=counted)
    yield made
    made.close()


def rows_of(model: object) -> int:
    """How many rows its engine has computed."""
    return sum(rows for rows, _ in model.engine.batches)  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", WAYS)
async def test_of_a_request(embedder: Embedder, options: EmbedOptions) -> None:
    model, plain = fake_model(), fake_model()
    texts = ["a b", "c", "a b", "", "c", "d e f", "a b", ""]
    found = await embedder.embed(model, texts, options, probabilities=True)
    alone = [await embedder.embed(plain, [text], options, probabilities=True) for text in texts]
    for name in ("vectors", "probabilities"):
        expected = np.concatenate([getattr(each, name) for each in alone])
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6)
    assert rows_of(model) == 4


async def test_of_a_model_that_is_random_each_is_computed(embedder: Embedder) -> None:
    model = fake_model()
    proof = replace(model.manifest.proof, proven=False)
    model = replace(model, manifest=replace(model.manifest, proof=proof))
    await embedder.embed(model, ["a b", "a b", "c"])
    assert rows_of(model) == 3


def test_of_batches_that_run_at_once_the_first_reading_stays() -> None:
    """Equal texts of one reply are equal to the last bit, whoever else computes them meanwhile."""

    class Encode:
        together = threading.Barrier(2)

        def prepare(self, rows: Sequence[TokenRow]) -> int:
            return len(rows)

        def compute(self, count: int, *, alone: bool) -> list[Reading]:
            assert not alone
            self.together.wait(10)
            return [(np.zeros(3, np.float32), None) for _ in range(count)]

    run, common = SharedPass(Encode()), SharedRow(None, 0)  # type: ignore[arg-type]
    batches = [run.prepare([common]), run.prepare([SharedRow(None, 1), common])]  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda batch: run.compute(batch, alone=False), batches)
    assert one[0] is two[1] is common.reading


async def test_in_flight(scheduler: Scheduler, counted: Counted) -> None:
    embedder, gate = Embedder(scheduler, observer=counted), threading.Event()
    model = fake_model(gate=gate)
    first = asyncio.create_task(embedder.embed(model, ["held", "a b"]))
    while not model.engine.batches:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(embedder.embed(model, ["a b", f"own {i}"])) for i in range(3)]
    while counted.rows["computed"] < 5:
        await asyncio.sleep(0.001)
    gate.set()
    held, *found = await asyncio.gather(first, *others)
    for each in found:
        np.testing.assert_array_equal(each.vectors[0], held.vectors[1])
    assert counted.rows == {"computed": 5, "in_flight": 3, "repeated": 0, "cached": 0}
    assert rows_of(model) == 5
    for text in ("another", "a b"):  # nothing is kept of what has been answered
        await embedder.embed(model, [text])
    assert rows_of(model) == 7
    embedder.close()


async def test_who_leaves_takes_nothing_from_the_others(scheduler: Scheduler) -> None:
    embedder, gate = Embedder(scheduler), threading.Event()
    stuck = asyncio.create_task(embedder.embed(fake_model("stuck", gate=gate), ["stuck"]))
    while not scheduler.health().busy or scheduler.waiting_tokens(("stuck", 1)):
        await asyncio.sleep(0.001)
    model = fake_model("m")
    leaving = asyncio.create_task(embedder.embed(model, ["a b"]))
    while not scheduler.waiting_tokens(("m", 1)):
        await asyncio.sleep(0.001)
    staying = asyncio.create_task(embedder.embed(model, ["a b"]))
    while scheduler.waiting_tokens(("m", 1)) < 8:
        await asyncio.sleep(0.001)
    leaving.cancel()
    gate.set()
    assert np.isfinite((await staying).vectors).all()
    await stuck
    assert rows_of(model) == 1
    embedder.close()


async def test_a_batch_that_fails_leaves_no_reading(embedder: Embedder) -> None:
    model = fake_model(fails_on="poison")
    failing = embedder.embed(model, ["poison", "a b"])
    alone, spared = await asyncio.gather(failing, embedder.embed(model, ["a b"]), return_exceptions=True)
    assert isinstance(alone, Internal)
    assert not isinstance(spared, BaseException)
    assert np.isfinite(spared.vectors).all()


async def test_what_failed_is_not_held_by_its_error(embedder: Embedder) -> None:
    def there() -> int:
        return sum(type(one) in (SharedRow, TokenTable) for one in gc.get_objects())

    gate = threading.Event()
    model = fake_model(gate=gate)
    gc.collect()
    before = there()
    with pytest.raises(DeadlineExceeded) as held:
        await embedder.embed(model, ["a b", "c", "a b"], deadline=time.monotonic() + 0.1)
    assert held.value.__traceback__ is not None
    assert not embedder._sharing._flying
    gate.set()
    async with asyncio.timeout(10):
        while there() > before:  # the executor's thread lets go of its batch
            await asyncio.sleep(0.01)


async def test_what_is_read_otherwise_is_computed(embedder: Embedder) -> None:
    model, other = fake_model(), fake_model(version=2)
    calls = [embedder.embed(model, ["a b"], options) for options in WAYS]
    calls += [embedder.embed(model, ["a b"], probabilities=True), embedder.embed(other, ["a b"])]
    await asyncio.gather(*calls)
    assert (rows_of(model), rows_of(other)) == (5, 1)


async def test_rows_that_differ_in_what_is_beside_the_ids(embedder: Embedder) -> None:
    model = fake_model(takes="ids")
    ids = np.array([[5, 6, 7]] * 3)
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
    given = Tensors({"input_ids": ids, "attention_mask": mask})
    found = await embedder.embed(model, given)
    np.testing.assert_array_equal(found.vectors[0], found.vectors[2])
    assert not np.allclose(found.vectors[0], found.vectors[1], atol=1e-3)
    assert rows_of(model) == 2


async def test_rows_that_differ_in_their_values(embedder: Embedder) -> None:
    model = fake_model(takes="numbers")
    ages = np.array([[1, 2], [1, 3], [1, 2]], np.float32)
    texts = np.array(["a b"] * 3, object)
    found = await embedder.embed(model, Tensors({"text": texts, "age and size": ages}))
    np.testing.assert_array_equal(found.vectors[0], found.vectors[2])
    assert not np.allclose(found.vectors[0], found.vectors[1], atol=1e-3)
    assert rows_of(model) == 2


async def test_a_probe_computes(caching: Embedder) -> None:
    model = fake_model()
    for _ in range(3):
        await caching.warm(model)
    assert rows_of(model) == 3


async def test_the_cache(caching: Embedder, counted: Counted) -> None:
    model = fake_model()
    first = await caching.embed(model, ["a b", "c"])
    await caching.embed(model, ["another"])
    again = await caching.embed(fake_model("another name"), ["c", "new", "a b", "c"])
    np.testing.assert_array_equal(again.vectors[[2, 0]], first.vectors)
    assert counted.rows == {"computed": 4, "in_flight": 0, "repeated": 1, "cached": 2}
    assert counted.cache[0] == 4
    await caching.classify(model, ["a b"])
    assert rows_of(model) == 4


async def test_the_cache_keeps_no_row_that_is_not_finite(caching: Embedder, counted: Counted) -> None:
    model = fake_model(nan_on="poison")
    for _ in range(2):
        found = await caching.embed(model, ["poison", "a"])
        assert list(found.row_errors) == [0]
    assert counted.cache[0] == 1


async def test_the_cache_forgets_what_was_used_longest_ago(scheduler: Scheduler, counted: Counted) -> None:
    embedder, model = Embedder(scheduler, cache_bytes=8 * 800, observer=counted), fake_model()
    for text in ("a", "b"):
        await embedder.embed(model, [text])
    for i in range(60):
        await embedder.embed(model, [f"other {i}", "a"])
        assert counted.cache[1] <= 8 * 800
    assert counted.rows["cached"] == 60
    await embedder.embed(model, ["b"])
    assert counted.rows["cached"] == 60
    embedder.close()


def test_what_the_cache_says_it_takes_is_what_it_takes() -> None:
    model = fake_model()
    encode = EncodePass(model.engine, model.manifest, "pooled_output", "pooled", True)
    told = Counted()
    sharing = Sharing(1 << 30, told)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for start in range(0, 4000, 500):
        table = model.tokenizer.tokenize([f"row {i} {i % 7} {i % 11}" for i in range(start, start + 500)])
        rows = sharing.rows(encode, table, range(500)).rows
        for row, reading in zip(rows, encode([(row.table, row.row) for row in rows]), strict=True):
            row.reading = reading
        sharing.keep(rows)
    del table, rows, row, reading
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert told.cache[0] > 3900  # words may share an id
    assert 0.5 * told.cache[1] < taken < told.cache[1]
