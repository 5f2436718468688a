"""The picture of docs/speed.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, DIRECT, SERVER, ENGINE = "#0b6e4f", "#55a288", "#5b6b8c", "#98a5bf"
KINDS = {
    "Penult, through its wire": OURS,
    "its engine, in process": DIRECT,
    "other servers, through theirs": SERVER,
    "other engines, in process": ENGINE,
}


def rates(found: dict[str, Any], load: str, place: Path) -> str:
    """Texts a second of every side on a load, a panel for each precision; the file's name."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [result for result in found["results"] if result["load"] == load]
    tall = max(len(r["rates"]) for r in results)
    figure, axes = pyplot.subplots(
        1, len(results), figsize=(6.6 * len(results), 1.4 + 0.42 * tall), squeeze=False
    )
    for axis, result in zip(axes[0], results, strict=True):
        _panel(axis, found, result)
    patches = [pyplot.Rectangle((0, 0), 1, 1, color=color) for color in KINDS.values()]
    figure.legend(patches, KINDS, loc="lower center", ncols=len(KINDS), fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, dpi=110)
    pyplot.close(figure)
    return place.name


def _panel(axis: Any, found: dict[str, Any], result: dict[str, Any]) -> None:
    ordered = sorted(result["rates"].items(), key=lambda one: one[1]["median"])
    names = [name.rsplit(", ", 1)[0] for name, _ in ordered]
    medians = [one["median"] for _, one in ordered]
    least = [one["median"] - one["lowest"] for _, one in ordered]
    most = [one["highest"] - one["median"] for _, one in ordered]
    colors = []
    for name, _ in ordered:
        server = result["kinds"][name] == "server"
        own = name in result["own"]
        colors.append((OURS if server else DIRECT) if own else (SERVER if server else ENGINE))
    axis.barh(names, medians, xerr=[least, most], color=colors, ecolor="#333333", capsize=2)
    for place, value in enumerate(medians):
        axis.text(
            value * 0.02, place, f"{value:,.0f}", va="center", color="white", fontsize=8, fontweight="bold"
        )
    ceiling = (
        found.get("ceiling", {}).get("texts_per_second", {}).get(result["precision"], {}).get(result["load"])
    )
    if ceiling:
        axis.axvline(ceiling, color="#aa3333", linestyle="--", linewidth=1)
        axis.text(
            ceiling,
            0,
            "the processor's ceiling ",
            color="#aa3333",
            fontsize=8,
            rotation=90,
            ha="right",
            va="bottom",
        )
    axis.set_title(f"{result['precision']}: {found['loads'][result['load']]}", fontsize=9)
    axis.set_xlabel("texts a second (median of the rounds; lowest and highest)", fontsize=8)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
