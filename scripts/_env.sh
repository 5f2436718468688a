# shellcheck shell=bash
# Sourced by the scripts beside it: finds Python, makes the environment, installs Penult into it.
#
#   use_env EXTRAS    afterwards $PY is the Python of an environment that holds penult[EXTRAS]
#
# PENULT_VENV=DIR    another place than .venv
# PENULT_PYTHON=EXE  the Python to make it with

set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${PENULT_VENV:-$ROOT/.venv}"
PY="$VENV/bin/python"

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the first Python that Penult supports and that can make an environment.
find_python() {
    local exe
    for exe in "${PENULT_PYTHON:-}" python3 python3.12 python3.13 python3.11 python; do
        [ -n "$exe" ] || continue
        if "$exe" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
            >/dev/null 2>&1; then
            command -v "$exe"
            return
        fi
    done
    die "no Python 3.11, 3.12 or 3.13 with venv found: install one (Debian: apt install python3 python3-venv)" \
        "or name it with PENULT_PYTHON=/path/to/python3.12"
}

# What decides the content of the environment; when it has not changed, there is nothing to install.
env_fingerprint() {
    "$PY" - "$1" "$ROOT/pyproject.toml" "$ROOT/constraints.txt" <<'PYTHON'
import hashlib, pathlib, sys
parts = [sys.argv[1].encode(), sys.version.encode(), sys.prefix.encode()]
parts += [pathlib.Path(path).read_bytes() for path in sys.argv[2:]]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PYTHON
}

use_env() {
    local extras="$1" stamp="$VENV/.penult-$1" want quiet=()
    if ! "$PY" -c '' >/dev/null 2>&1; then
        local base
        base="$(find_python)"
        echo "making $VENV with $base"
        "$base" -m venv --clear "$VENV"
    fi
    want="$(env_fingerprint "$extras")"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return
    fi
    echo "installing penult[$extras] into $VENV (the first time this fetches about 1 GB)"
    [ -t 1 ] || quiet=(--quiet)
    "$PY" -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check \
        -c "$ROOT/constraints.txt" -e "$ROOT[$extras]" ||
        die "the installation failed (see above). Is the package index reachable? Then run this again."
    printf '%s' "$want" >"$stamp"
}
