"""Many texts at once: Penult through its wire beside every peer, beside its own engine, and beside the processor."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import ceiling
import equal
import loads
import numpy as np
import rounds
import sides
from numpy.typing import NDArray
from process import Running, SideFailed, running
from rounds import progress

# Penult's own vectors of each load, in the first precision measured: what all others are held against.
Reference = dict[str, NDArray[np.float32]]


def run(asked: Any) -> dict[str, Any]:
    """Results, as `report.embed` reads them."""
    texts = {name: loads.of(name, quick=asked.quick) for name in asked.loads}
    made: dict[str, Any] = {"threads": asked.threads, "loads": {}, "sides": [], "failed": []}
    tokens, before = _tokens(asked, texts), ceiling.measured(asked)
    reference: Reference = {}
    for precision in asked.precisions:
        _of_precision(asked, precision, texts, made, reference)
    # Twice, since a ceiling is what nobody disturbs.
    made["ceiling"] = ceiling.allowed(before, ceiling.measured(asked), tokens)
    made["loads"] = {name: loads.told(some) for name, some in texts.items()}
    return made


def _of_precision(
    asked: Any, precision: str, texts: dict[str, list[str]], made: dict[str, Any], reference: Reference
) -> None:
    wanted = sides.ours(precision, asked.threads)
    wanted += [side for side in asked.peers if side.precision == precision]
    with ExitStack() as stack:
        opened = _opened(stack, wanted, made)
        if not opened or opened[0].side.name != sides.OURS:
            return
        tuning = loads.of(loads.SHORTER, quick=asked.quick)
        for side in list(opened):
            try:
                said = side.tell("settings", tuning)
            except SideFailed as failure:
                _failed(made, side.side, failure)
                opened.remove(side)
                continue
            made["sides"].append({"id": side.side.id, "about": side.about, **said})
            progress(f"{side.side.id}: {said['setting']}")
        for name, some in texts.items():
            made.setdefault("results", []).append(_load(asked, opened, name, some, precision, reference))
        if precision == sides.FLOAT32:
            made["keras"] = _keras(asked, opened[0], tuning)


def _opened(stack: ExitStack, wanted: list[sides.Side], made: dict[str, Any]) -> list[Running]:
    opened = []
    for side in wanted:
        try:
            opened.append(stack.enter_context(running(side)))
            progress(f"{side.id}: open after {opened[-1].start_seconds:.1f} s")
        except SideFailed as failure:
            _failed(made, side, failure)
    return opened


def _failed(made: dict[str, Any], side: sides.Side, failure: SideFailed) -> None:
    progress(str(failure))
    made["failed"].append({"id": side.id, "why": str(failure).splitlines()[0]})


def _load(
    asked: Any, opened: list[Running], name: str, texts: list[str], precision: str, reference: Reference
) -> dict[str, Any]:
    """One load on all sides: vectors first, then rounds."""
    found = {side.side.id: side.vectors(texts) for side in opened}
    ours = reference.setdefault(name, found[opened[0].side.id])
    least = equal.LEAST_COSINE if precision == sides.FLOAT32 else equal.LEAST_HALF
    lowest, different = {}, {}
    for which, vectors in found.items():
        near = equal.cosines(ours, vectors)
        # One text in a hundred may be read as other tokens; more means another model.
        same = near >= least
        lowest[which] = float(near[same].min()) if same.any() else float(near.min())
        different[which] = int((~same).sum())
    equally = [s for s in opened if different[s.side.id] <= max(1, len(texts) // 100)]
    for side in opened:
        if side not in equally:
            progress(f"{side.side.id}: other vectors ({different[side.side.id]} of {len(texts)}); not timed")
    if opened[0] not in equally:  # all ratios are to it
        raise SystemExit(
            f"{opened[0].side.id} gives other vectors than in {asked.precisions[0]}: nothing is told"
        )
    processor: dict[str, float] = dict.fromkeys((s.side.id for s in equally), 0.0)
    done = dict.fromkeys(processor, 0)

    def rate(side: Running) -> float:
        before = side.processor_seconds()
        seconds: float = side.tell("embed", texts)["seconds"]
        processor[side.side.id] += side.processor_seconds() - before
        done[side.side.id] += len(texts)
        return len(texts) / seconds

    rates, again = rounds.interleaved(equally, rate, asked.rounds)
    return {
        "load": name,
        "precision": precision,
        "rates": {s.side.id: r.told() for s, r in zip(equally, rates, strict=True)},
        "ratios": {
            s.side.id: rounds.ratios(rates[0], r) for s, r in zip(equally[1:], rates[1:], strict=True)
        },
        "kinds": {s.side.id: s.side.kind for s in opened},
        "own": [s.side.id for s in opened if s.side.own],
        "lowest_cosine": lowest,
        "other_tokens": different,
        "noise": rounds.noise(rates[0], again),
        "per_processor_second": {name: done[name] / max(spent, 0.01) for name, spent in processor.items()},
        "memory": {s.side.id: s.memory() for s in equally},
    }


def _keras(asked: Any, ours: Running, texts: list[str]) -> dict[str, Any]:
    """Beside the original model's predict, on fewer texts: it takes its time."""
    some = texts[:256]
    with running(sides.keras(asked.threads)) as keras:
        rates, again = rounds.interleaved(
            [ours, keras], lambda side: len(some) / side.tell("embed", some)["seconds"], min(3, asked.rounds)
        )
    return {
        "rates": {sides.OURS: rates[0].told(), sides.KERAS: rates[1].told()},
        "ratio": rounds.ratios(*rates),
        "noise": rounds.noise(rates[0], again),
        "texts": loads.told(some),
    }


def _tokens(asked: Any, texts: dict[str, list[str]]) -> dict[str, list[int]]:
    """Tokens of each text, as Penult counts them: what the ceiling is reckoned with."""
    from penult_client import Client

    with Client.open(sides.MODEL, threads=asked.threads) as client:
        return {name: [len(ids) for ids in client.tokenize(some).ids] for name, some in texts.items()}
