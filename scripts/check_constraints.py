"""Checks constraints.txt: plain pins for pip -c, one for every requirement of pyproject.toml.

python scripts/check_constraints.py [FILE]
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")


def problems(constraints: str, pyproject: dict[str, object]) -> list[str]:
    """Returns what is wrong with the text of a constraints file, one sentence each."""
    found: list[str] = []
    pins: list[Requirement] = []
    for number, line in enumerate(constraints.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            pin = Requirement(line)
        except InvalidRequirement:
            found.append(f"line {number}: {line!r} is not a pin (no options, no addresses here)")
            continue
        if pin.extras or pin.url or not _exact(pin):
            found.append(f"line {number}: {line!r} must be name==version, without extras or addresses")
        else:
            pins.append(pin)
    for python in PYTHONS:
        found += _unmet(pins, _requirements(pyproject), python)
    return found


def _exact(pin: Requirement) -> bool:
    return [specifier.operator for specifier in pin.specifier] == ["=="]


def _requirements(pyproject: dict[str, object]) -> list[Requirement]:
    project = pyproject["project"]
    assert isinstance(project, dict)
    lines = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    return [r for r in map(Requirement, lines) if canonicalize_name(r.name) != project["name"]]


def _unmet(pins: list[Requirement], requirements: list[Requirement], python: str) -> list[str]:
    here = {key: str(value) for key, value in default_environment().items()}
    environment = {**here, "python_version": python, "python_full_version": f"{python}.0"}
    valid = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    found: list[str] = []
    versions: dict[str, str] = {}
    for pin in valid:
        name = canonicalize_name(pin.name)
        version = next(iter(pin.specifier)).version
        if versions.setdefault(name, version) != version:
            found.append(f"Python {python}: {name} is pinned to {versions[name]} and to {version}")
    for requirement in requirements:
        pinned = versions.get(canonicalize_name(requirement.name))
        if pinned is None:
            found.append(f"Python {python}: {requirement.name} has no pin")
        elif not requirement.specifier.contains(pinned, prereleases=True):
            found.append(
                f"Python {python}: the pin {requirement.name}=={pinned} is not in {requirement.specifier}"
            )
    return found


def main(arguments: list[str]) -> int:
    """Prints the problems; exit 1 when there are any."""
    file = Path(arguments[0]) if arguments else ROOT / "constraints.txt"
    found = problems(file.read_text(), tomllib.loads((ROOT / "pyproject.toml").read_text()))
    for problem in found:
        print(f"{file.name}: {problem}")
    if found:
        print("run scripts/lock")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
