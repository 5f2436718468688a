"""One short text: on an idle server, from several callers, at a given rate, and beside a caller of very many."""

from __future__ import annotations

from typing import Any

import loads
import rounds
import sides
from process import Running, SideFailed, running
from rounds import percentile, progress

CALLERS = (1, 8, 64)
SHARES = (0.5, 0.9)


def run(asked: Any) -> dict[str, Any]:
    """Results, as `told_latency` reads them. Sides are open one at a time, so that none disturbs another."""
    made: dict[str, Any] = {"sides": [], "failed": [], "threads": asked.threads}
    texts = [text for text in loads.sentences(4_000) if 4 <= len(text.split()) <= 12][:256]
    for precision in asked.precisions:
        wanted = sides.ours(precision, asked.threads)
        wanted += [side for side in asked.peers if side.precision == precision]
        for side in wanted:
            try:
                made["sides"].append(_side(asked, side, texts))
            except SideFailed as failure:
                progress(str(failure))
                made["failed"].append({"id": side.id, "why": str(failure).splitlines()[0]})
    made["idle"] = _idle(asked, made, texts)
    made["texts"] = loads.told(texts)
    return made


def _side(asked: Any, side: sides.Side, texts: list[str]) -> dict[str, Any]:
    """What only one at a time can be asked; of what runs in process, its batches alone."""
    found: dict[str, Any] = {"id": side.id, "kind": side.kind, "own": side.own, "precision": side.precision}
    bulk = loads.repeated(20_000 if side.own and not asked.quick else 2_000)
    with running(side) as opened:
        found["about"] = opened.about
        progress(f"{side.id}: open after {opened.start_seconds:.1f} s")
        if side.name == sides.DIRECT:
            found["batches"] = opened.tell("embed", bulk[:2_000])
        if side.kind == sides.SERVER:
            found["closed"], found["open"] = _callers(asked, opened, texts)
            said = opened.tell("beside", bulk, one=loads.ONE)
            found["beside"] = {
                **_percentiles(said["seconds"]),
                "bulk": len(bulk),
                "bulk_seconds": said["bulk_seconds"],
            }
    return found


def _callers(asked: Any, opened: Running, texts: list[str]) -> tuple[list[Any], list[Any]]:
    seconds = 2.0 if asked.quick else 8.0
    closed, capacity = [], 0.0
    for callers in CALLERS:
        said = opened.tell("closed", texts, callers=callers, seconds=seconds)
        closed.append({"callers": callers, "rate": said["rate"], **_percentiles(said["seconds"])})
        capacity = max(capacity, said["rate"])
        progress(f"{opened.side.id}: {callers} callers, {said['rate']:.0f} texts/s")
    at_rate = []
    for share in SHARES:
        said = opened.tell("open", texts, rate=capacity * share, seconds=seconds)
        at_rate.append(
            {
                "share": share,
                "rate": capacity * share,
                "errors": said["errors"],
                **_percentiles(said["seconds"]),
            }
        )
    return closed, at_rate


def _idle(asked: Any, made: dict[str, Any], texts: list[str]) -> list[dict[str, Any]]:
    """One text after the other, all sides open and taking turns; every side has its median of each round."""
    from contextlib import ExitStack

    failed = {one["id"] for one in made["failed"]}
    sent = texts[:50] if asked.quick else texts
    found = []
    for precision in asked.precisions:
        wanted = sides.ours(precision, asked.threads)
        wanted += [side for side in asked.peers if side.precision == precision]
        with ExitStack() as stack:
            opened = [stack.enter_context(running(side)) for side in wanted if side.id not in failed]
            taken: dict[str, list[float]] = {side.side.id: [] for side in opened}
            engine: list[float] = []

            def median(
                side: Running, taken: dict[str, list[float]] = taken, engine: list[float] = engine
            ) -> float:
                said = side.tell("one", sent)
                taken[side.side.id] += said["seconds"]
                if said["engine_seconds"]:
                    engine.append(percentile(said["engine_seconds"], 0.5))
                return percentile(said["seconds"], 0.5)

            rates, again = rounds.interleaved(opened, median, asked.rounds)
        found.append(
            {
                "precision": precision,
                "medians": {s.side.id: r.told() for s, r in zip(opened, rates, strict=True)},
                "p99": {name: percentile(each, 0.99) for name, each in taken.items()},
                "engine_calls": engine,
                "kinds": {s.side.id: s.side.kind for s in opened},
                "own": [s.side.id for s in opened if s.side.own],
                "noise": rounds.noise(rates[0], again),
            }
        )
    return found


def _percentiles(seconds: list[float]) -> dict[str, Any]:
    if not seconds:
        return {"calls": 0, "p50": 0.0, "p99": 0.0}
    return {"calls": len(seconds), "p50": percentile(seconds, 0.5), "p99": percentile(seconds, 0.99)}
