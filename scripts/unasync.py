"""Makes the synchronous client from the asynchronous one: penult_client/_async/*.py -> penult_client/_sync/*.py.

python scripts/unasync.py           writes it
python scripts/unasync.py --check   shows what differs; exit 1 when something does
"""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from pathlib import Path

_HERE = Path(__file__).resolve().parent
PACKAGE = _HERE.parent / "clients" / "python" / "penult_client"
NOTICE = "# Made from ../_async/{name} by scripts/unasync.py; change that one.\n"
# Besides unasync's own: `Async` in front of a name becomes `Sync`, and async, await, __aenter__ ... go.
NAMES = {
    "_async": "_sync",
    "_AsyncMocked": "_Mocked",
    "_AsyncMockedReplies": "_MockedReplies",
    "async_sleep": "sync_sleep",
    "async_to_the_end": "sync_to_the_end",
    **{
        f"Async{name}": name
        for name in (
            "Analysis",
            "Caller",
            "Client",
            "Clustering",
            "Comparisons",
            "Datasets",
            "Dropout",
            "Growing",
            "GrpcTransport",
            "Inference",
            "Maps",
            "MockTransport",
            "Ongoing",
            "Operation",
            "Operations",
            "Pending",
            "PrivateServer",
            "Receiving",
            "Screening",
            "Transport",
        )
    },
}


def synchronous(source: str, name: str) -> str:
    """The synchronous form of one file."""
    # This file has the name of the library that it uses, and its folder comes first on the path.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    tokenize_rt, unasync = import_module("tokenize_rt"), import_module("unasync")
    rule = unasync.Rule("_async", "_sync", additional_replacements=NAMES)
    tokens = rule._unasync_tokens(tokenize_rt.src_to_tokens(source))
    made: str = tokenize_rt.tokens_to_src(list(tokens))
    return NOTICE.format(name=name) + made


def main(arguments: list[str]) -> int:
    """Writes or checks; returns the exit code."""
    wanted = {
        path.name: synchronous(path.read_text(encoding="utf-8"), path.name)
        for path in sorted((PACKAGE / "_async").glob("*.py"))
    }
    target = PACKAGE / "_sync"
    there = {path.name: path.read_text(encoding="utf-8") for path in target.glob("*.py")}
    if arguments == ["--check"]:
        return _report(there, wanted)
    if arguments:
        print("usage: scripts/unasync.py [--check]", file=sys.stderr)
        return 2
    target.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (target / name).unlink()
    for name, text in wanted.items():
        (target / name).write_text(text, encoding="utf-8")
    return 0


def _report(there: dict[str, str], wanted: dict[str, str]) -> int:
    changed = sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
    for name in changed:
        before, after = (each.get(name, "").splitlines(keepends=True) for each in (there, wanted))
        sys.stdout.writelines(difflib.unified_diff(before, after, f"_sync/{name}", f"_sync/{name} as made"))
    if changed:
        print("error: _sync is not what _async makes; run scripts/unasync.py and commit", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
