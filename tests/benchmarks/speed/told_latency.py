"""The part of docs/speed.md about one short text."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import rounds
from report import milliseconds, table, targets

OURS, DIRECT = "penult", "penult's engine called directly"


def told(found: dict[str, Any], page: Path) -> str:
    """Markdown."""
    del page
    parts = ["## One short text\n", f"{found['texts']}, one at a time.\n", targets(_targets(found))]
    for idle in found["idle"]:
        parts += [f"### Idle, {idle['precision']}\n", _idle(idle)]
    served = [side for side in found["sides"] if "closed" in side]
    if served:
        parts += ["### So many callers at once, each with one text\n", _closed(served)]
        parts += ["Here and below one run of each side, one after the other, not in turns.\n"]
        parts += ["### At a share of the most that callers got\n", _open(served)]
        parts += ["### Beside another caller's large call\n", _beside(served)]
    for failed in found["failed"]:
        parts.append(f"Not measured: {failed['id']}: {failed['why']}\n")
    return "\n".join(parts)


def _idle(idle: dict[str, Any]) -> str:
    rows = [
        [
            f"**{name}**" if name in idle["own"] else name,
            idle["kinds"][name],
            milliseconds(each["median"]),
            f"{milliseconds(each['lowest'])} to {milliseconds(each['highest'])}",
            milliseconds(idle["p99"][name]),
        ]
        for name, each in sorted(idle["medians"].items(), key=lambda one: one[1]["median"])
    ]
    doubt = "" if idle["noise"] < rounds.MOST_NOISE else ": **noisy, take the intervals**"
    engine = idle["engine_calls"]
    own = f" The engine's own call, without tokenizing: {milliseconds(median(engine))}." if engine else ""
    return (
        table(["side", "", "p50 (median of the rounds)", "of the rounds", "p99"], rows)
        + f"\nA A differs by {idle['noise']:.1%}{doubt}.{own}\n"
    )


def _closed(served: list[dict[str, Any]]) -> str:
    head = ["side"]
    for one in served[0]["closed"]:
        head += [f"{one['callers']} callers: texts/s", "p50", "p99"]
    rows = []
    for side in served:
        cells = [_name(side)]
        for one in side["closed"]:
            cells += [f"{one['rate']:,.0f}", milliseconds(one["p50"]), milliseconds(one["p99"])]
        rows.append(cells)
    return table(head, rows)


def _open(served: list[dict[str, Any]]) -> str:
    head = ["side"]
    for one in served[0]["open"]:
        head += [f"{one['share']:.0%}: texts/s", "p50", "p99", "errors"]
    rows = []
    for side in served:
        cells = [_name(side)]
        for one in side["open"]:
            cells += [
                f"{one['rate']:,.0f}",
                milliseconds(one["p50"]),
                milliseconds(one["p99"]),
                str(one["errors"]),
            ]
        rows.append(cells)
    return table(head, rows)


def _beside(served: list[dict[str, Any]]) -> str:
    rows = [
        [
            _name(side),
            f"{side['beside']['bulk']:,}",
            f"{side['beside']['bulk'] / side['beside']['bulk_seconds']:,.0f}",
            str(side["beside"]["calls"]),
            milliseconds(side["beside"]["p50"]),
            milliseconds(side["beside"]["p99"]),
        ]
        for side in served
    ]
    return table(
        ["side", "texts of the large call", "texts/s of it", "short texts beside it", "p50", "p99"], rows
    )


def _name(side: dict[str, Any]) -> str:
    return f"**{side['id']}**" if side["own"] else str(side["id"])


def _targets(found: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    rows: list[tuple[str, str, str, bool | None]] = []
    for idle in found["idle"]:
        precision = idle["precision"]
        ours = idle["medians"][f"{OURS}, {precision}"]["median"]
        if engine := idle["engine_calls"]:
            each = idle["medians"][f"{OURS}, {precision}"]["each"]
            above = [call - own for call, own in zip(each, engine, strict=True)]
            said = f"{milliseconds(median(above))} ({milliseconds(min(above))} to {milliseconds(max(above))})"
            what = f"{precision}, p50 idle, above the engine's own call in the same round"
            rows.append((what, said, "≤ 1.5 ms", median(above) <= 0.0015))
        servers = [
            (each["median"], name)
            for name, each in idle["medians"].items()
            if idle["kinds"][name] == "server" and name not in idle["own"]
        ]
        if servers:
            best, name = min(servers)
            said = f"{milliseconds(ours)}; {name} {milliseconds(best)}"
            rows.append((f"{precision}, p50 idle, to the quickest peer server", said, "below", ours < best))
        own = next((one for one in found["sides"] if one["id"] == f"{OURS}, {precision}"), None)
        direct = next((one for one in found["sides"] if one["id"] == f"{DIRECT}, {precision}"), None)
        if own and direct and "beside" in own:
            batch, p99 = direct["batches"]["median_batch_seconds"], own["beside"]["p99"]
            said = f"{milliseconds(p99)}; a batch takes {milliseconds(batch)}"
            what = f"{precision}, p99 beside a caller of {own['beside']['bulk']:,}"
            rows.append((what, said, "≤ 3 batches", p99 <= 3 * batch))
    return rows
