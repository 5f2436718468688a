"""The part of docs/speed.md about many texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loads
import picture
import rounds
from report import spread, table, targets


def told(found: dict[str, Any], page: Path) -> str:
    """Markdown; the picture is written beside the results."""
    results = found.get("results", [])
    drawn = picture.rates(found, _headline(found), page.with_suffix("") / "embed.png") if results else ""
    parts = ["## Many texts\n", _targets(found) if results else ""]
    if drawn:
        parts.append(f"![Texts a second of every side]({page.stem}/{drawn})\n")
    for result in results:
        parts += [f"### {found['loads'][result['load']]}, {result['precision']}\n", _table(found, result)]
    parts.append(_ceiling(found))
    if "keras" in found:
        keras = found["keras"]
        parts.append(
            f"Beside Keras' `predict(batch_size=32)` of the original model, {keras['texts']}: "
            f"{spread(keras['ratio'])} times; A A {keras['noise']:.1%}.\n"
        )
    parts.append(_settings(found))
    for failed in found["failed"]:
        parts.append(f"Not measured: {failed['id']}: {failed['why']}\n")
    return "\n".join(parts)


def _table(found: dict[str, Any], result: dict[str, Any]) -> str:
    rows = []
    most = (
        found.get("ceiling", {}).get("texts_per_second", {}).get(result["precision"], {}).get(result["load"])
    )
    for name, rates in sorted(result["rates"].items(), key=lambda one: -one[1]["median"]):
        ratio = result["ratios"].get(name)
        rows.append(
            [
                f"**{name}**" if name in result["own"] else name,
                "server" if result["kinds"][name] == "server" else "in process",
                spread(rates, 0),
                spread(ratio) if ratio else "1",
                f"{rates['median'] / most:.0%}" if most else "",
                f"{result['per_processor_second'][name]:,.0f}",
                f"{result['lowest_cosine'][name]:.7f}",
                str(result["other_tokens"][name]),
                f"{result['memory'][name] / 2**20:,.0f}",
            ]
        )
    head = ["side", "", "texts/s", "Penult is so many times as fast", "of the processor's ceiling"]
    head += [
        "texts per second of one processor's time",
        "lowest cosine to ours",
        "texts with other vectors",
        "MiB",
    ]
    count = len(next(iter(result["rates"].values()))["each"])
    return table(head, rows) + f"\n{count} rounds; A A differs by {result['noise']:.1%}{_doubt(result)}.\n"


def _doubt(result: dict[str, Any]) -> str:
    return "" if result["noise"] < rounds.MOST_NOISE else ": **noisy, take the intervals**"


def _headline(found: dict[str, Any]) -> str:
    """The load whose figures are held against the targets."""
    names = [result["load"] for result in found["results"]]
    return loads.MIXED if loads.MIXED in names else names[0]


def _targets(found: dict[str, Any]) -> str:
    """The targets, as far as this part measures them."""
    rows: list[tuple[str, str, str, bool | None]] = []
    for result in found["results"]:
        if result["load"] == _headline(found):
            rows += _of_precision(found, result)
    if "keras" in found:
        ratio = found["keras"]["ratio"]
        rows.append(("float32, to Keras' predict(batch_size=32)", spread(ratio), "≥ 5", ratio["median"] >= 5))
    return targets(rows)


def _of_precision(found: dict[str, Any], result: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    rows: list[tuple[str, str, str, bool | None]] = []
    wire = f"{result['precision']} through the wire, to"
    server = 1.4 if result["precision"] == "float32" else 1.2
    for kind, what, least in (
        ("in process", "the best engine in process", 1.0),
        ("server", "the best peer server", server),
    ):
        others = [
            (ratio["median"], name)
            for name, ratio in result["ratios"].items()
            if name not in result["own"] and result["kinds"][name] == kind
        ]
        if others:
            value, name = min(others)
            rows.append(
                (f"{wire} {what}: {name}", spread(result["ratios"][name]), f"≥ {least}", value >= least)
            )
    own = next((ratio for name, ratio in result["ratios"].items() if name in result["own"]), None)
    if own:
        rows.append((f"{wire} our own engine called directly", spread(own), "≥ 0.95", own["median"] >= 0.95))
    share = _share(found, result)
    if share is not None:
        what = f"{result['precision']}, share of the processor's ceiling"
        rows.append((what, f"{share:.0%}", "60 %", share >= 0.6))
    return rows


def _share(found: dict[str, Any], result: dict[str, Any]) -> float | None:
    most = (
        found.get("ceiling", {}).get("texts_per_second", {}).get(result["precision"], {}).get(result["load"])
    )
    ours = next(rates for name, rates in result["rates"].items() if name in result["own"])
    return ours["median"] / most if most else None


def _ceiling(found: dict[str, Any]) -> str:
    if not found.get("ceiling"):
        return ""
    libraries = sorted({one for rates in found["ceiling"]["libraries"].values() for one in rates})
    rows = [
        [precision, *(f"{rates[one]:,.0f}" if one in rates else "" for one in libraries)]
        for precision, rates in found["ceiling"]["libraries"].items()
    ]
    return (
        "The ceiling: GFLOP/s of a matrix product at this model's shapes, by each library here; the best one over the "
        "operations of a text's real tokens gives the texts a second that could be.\n\n"
        + table(["precision", *libraries], rows)
    )


def _settings(found: dict[str, Any]) -> str:
    rows = [
        [
            side["id"],
            side["about"].get("version", ""),
            _setting(side["setting"] or side["about"].get("setting", {})),
        ]
        for side in found["sides"]
    ]
    return "Versions, and each side's best of the settings tried:\n\n" + table(
        ["side", "version", "setting"], rows
    )


def _setting(found: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items())
