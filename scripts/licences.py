"""The licence gate: reads the licence of everything that an extra installs, and refuses what is not allowed.

    python scripts/licences.py          exit 1 when a package is refused
    python scripts/licences.py --list   prints every package with its licence

Judged is what a package declares: License-Expression, else the classifiers and the License field.
Several licences joined by AND, or several classifiers, must all be allowed; of those joined by OR, one.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = re.compile(
    r"""( MIT | MIT-0 | MIT-CMU | 0BSD | BSD-[0-9]-Clause | Apache-2\.0(\ WITH\ LLVM-exception)?
        | MPL-2\.0 | PSF-2\.0 | Python-2\.0(\.1)?
        | CNRI-Python | ISC | Zlib | Unlicense | CC0-1\.0
        | MIT\ License | Apache\ Software\ License | Apache(\ License)?,?(\ Version)?\ 2(\.0)?
        | BSD | BSD\ License | BSD[\ -][23][\ -]Clause(\ License)? | [23][\ -]Clause\ BSD(\ License)?
        | Mozilla\ Public\ License\ 2\.0\ \(MPL\ 2\.0\) | Python\ Software\ Foundation\ License
        | ISC\ License(\ \(ISCL\))? | zlib/libpng\ License | The\ Unlicense\ \(Unlicense\)
        | CC0\ 1\.0\ Universal\ \(CC0\ 1\.0\)\ Public\ Domain\ Dedication )""",
    re.VERBOSE | re.IGNORECASE,
)
REFUSED = re.compile(
    r"\b[AL]?GPL|general public licen[cs]e|affero|non-?commercial|CC-BY-NC|SSPL|BUSL"
    r"|business source|commons clause|proprietary",
    re.IGNORECASE,
)

# Packages whose metadata say nothing: read by a person, in the named version.
REVIEWED = {
    ("namex", "0.1.0"): "Apache-2.0: the LICENSE file in its wheel; the metadata name none",
}


def closure(extra: str, package: str = "penult") -> dict[str, metadata.Distribution]:
    """Returns every distribution that `package[extra]` pulls in here, by name; markers are evaluated."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(package, extra)]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        found[name] = distribution = metadata.distribution(name)
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                child = canonicalize_name(requirement.name)
                todo += [(child, asked) for asked in ("", *sorted(requirement.extras))]
    del found[package]
    return found


def judge(distribution: metadata.Distribution) -> tuple[bool, str]:
    """Returns whether a distribution may be installed, and the licence or the reason."""
    reviewed = REVIEWED.get((canonicalize_name(distribution.name), distribution.version))
    if reviewed:
        return True, f"reviewed: {reviewed}"
    declared = distribution.metadata
    expression = _field(declared, "License-Expression")
    if expression:
        return _allowed(expression), expression
    classifiers = [
        line.rsplit("::", 1)[1].strip()
        for line in declared.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    # Some put the whole text of a licence into the field: only what names a licence counts.
    named = _field(declared, "License")
    named = named if len(named) < 100 else ""
    licence = " AND ".join(f"({text})" if " OR " in text else text for text in [*classifiers, named] if text)
    if not licence:
        return False, "nothing declared"
    if REFUSED.search(licence):
        return False, licence
    return all(map(_allowed, classifiers or [named])), licence


def _field(declared: metadata.PackageMetadata, name: str) -> str:
    return (declared[name] or "").strip() if name in declared else ""


def _allowed(expression: str) -> bool:
    """Evaluates an SPDX expression (AND binds closer than OR; parentheses) over the allowed licences."""
    inner = re.search(r"\(([^()]*\b(?:AND|OR)\b[^()]*)\)", expression)
    if inner:
        value = "MIT" if _allowed(inner.group(1)) else "refused"
        return _allowed(expression[: inner.start()] + value + expression[inner.end() :])
    return any(
        all(ALLOWED.fullmatch(licence.strip()) for licence in re.split(r"\bAND\b", option))
        for option in re.split(r"\bOR\b", expression)
    )


def main(arguments: list[str]) -> int:
    """Judges the closure of every extra; prints what is refused and by which extra it comes."""
    refused: dict[str, tuple[str, list[str]]] = {}
    listed: dict[str, str] = {}
    extras = ["", *(metadata.metadata("penult").get_all("Provides-Extra") or [])]
    for extra in extras:
        for name, distribution in closure(extra).items():
            allowed, licence = judge(distribution)
            listed[f"{name} {distribution.version}"] = licence
            if not allowed:
                refused.setdefault(name, (licence, []))[1].append(extra or "base")
    if "--list" in arguments:
        for name, licence in sorted(listed.items()):
            print(f"{name:<40}{licence}")
    for name, (licence, by) in sorted(refused.items()):
        print(f"refused: {name} ({licence}), installed by {', '.join(by)}")
    print(f"licences: {len(listed)} packages of {len(extras)} extras, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
