"""Writes docs/sequences.md: forecasters, autoencoders and events, trained, served, embedded and compared.

Working files stand in .demo/sequences. No figure of the page is typed in: all are of this run, or of an earlier one
with the same data and code, whose results are used again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import sequences_sections as sections
import sequences_served as served
from demo_processes import ROOT, DemoError, penult
from demo_steps import fresh
from penult_client import PenultError

PAGE, PICTURES, WORK = Path("docs/sequences.md"), Path("docs/sequences"), Path(".demo/sequences")
SERIES, SENSORS, EVENTS, BADGES = "ETTh1.csv", "eeg_eye_state.csv", "so_badges.jsonl", "so_badge_types.csv"
DRAWN = ("placements", "sensors", "events")
RECIPES = ROOT / "service/penult_service/recipes"
SEEDS, SENSOR = 3, "F3"
# What is trained: the recipe, the file, what is said beside it. Windows of a week are for the map.
TRAINED: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "placements": (
        *("forecaster", SERIES),
        ("--placement", "all", "--seeds", SEEDS, "--split", "8640,2880,2880"),
    ),
    "week": ("forecaster", SERIES, ("--steps", 168, "--split", "8640,2880,2880")),
    "sensors": (
        *("autoencoder", SENSORS),
        (
            "--ignore",
            "eyeDetection",
            "--outliers",
            20,
            "--drop-feature",
            SENSOR,
            "--noise",
            "all",
            "--seeds",
            SEEDS,
        ),
    ),
    "events": (*("events", EVENTS), ("--variant", "all", "--split-field", "split", "--seeds", SEEDS)),
}


def main() -> int:
    """Write the page; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/sequences-report", description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="the directory with the data sets")
    data: Path = parser.parse_args().data
    try:
        for name in (SERIES, SENSORS, EVENTS, BADGES):
            if not (data / name).is_file():
                raise DemoError(f"{data / name} is not there; name the directory that holds it")
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir(parents=True)
        told = {name: _trained(name, data) for name in TRAINED}
        checked, maps = served.served(WORK, data, told, PICTURES)
        page = sections.page(told, TRAINED, checked, maps, SENSOR)
    except (DemoError, PenultError, sections.Unsupported) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE} and the pictures in {PICTURES}/")
    return 0


def _trained(name: str, data: Path) -> dict[str, Any]:
    """What the recipe told, as JSON; its picture is copied beside the page."""
    recipe, file, words = TRAINED[name]
    place = WORK / name
    with fresh(place, [data / file, *_code(recipe)], json.dumps(words)) as draft:
        if draft is not None:
            draft.mkdir(parents=True)
            command = ("train", recipe, data / file, "--output", draft / recipe, *words)
            printed = penult(*command, "--report", draft / "picture.png", "--json", stdout=subprocess.PIPE)
            (draft / "told.json").write_text(printed, encoding="utf-8")
    if name in DRAWN:
        shutil.copyfile(place / "picture.png", PICTURES / f"{name}.png")
    found: dict[str, Any] = json.loads((place / "told.json").read_text(encoding="utf-8"))
    return found


def _code(recipe: str) -> list[Path]:
    """What the results depend on."""
    folders = {"forecaster": "forecasting", "autoencoder": "autoencoding", "events": "events"}
    shared = ("checks.py", "data.py", "numeric.py", "saving.py", "splits.py")
    return [RECIPES / folders[recipe], RECIPES / "layers", *(RECIPES / name for name in shared)]


if __name__ == "__main__":
    sys.exit(main())
