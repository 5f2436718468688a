"""The peers' environments: made by pip from the files in `environments/`, kept in the user's cache directory.

Nothing of them comes near the environment that Penult is in. An environment whose file has changed is made again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("environments")
STAMP = "penult-pins.txt"


def kept() -> Path:
    """Where they are: PENULT_PEERS, else `penult/peers` in the user's cache directory."""
    given = os.environ.get("PENULT_PEERS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "penult" / "peers"


def python(name: str) -> Path:
    """The Python of an environment, which is made when it is not there; SystemExit when that fails."""
    place, wanted = kept() / name, PINS / f"{name}.txt"
    stamp, found = place / STAMP, place / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return found
    print(f"making {place} (about 1.3 GB)", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for command in (
        [str(base), "-m", "venv", str(place)],
        # Everything stands in the file; what a package asks for beside that is not used here.
        [
            str(found),
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--disable-pip-version-check",
            "-r",
            str(wanted),
        ],
    ):
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"the environment {place} could not be made; see above")
    stamp.write_text(wanted.read_text())
    return found
