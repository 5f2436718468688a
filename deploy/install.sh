#!/bin/sh
# Installs the server with everything it needs into an environment of its own. Writes nothing beside TARGET.
#   deploy/install.sh TARGET [EXTRA]     PYTHON=python3.12 names another Python
set -eu
target="$1"
extra="${2:-server}"
source="$(cd "$(dirname "$0")/.." && pwd)"

"${PYTHON:-python3}" -m venv "$target"
"$target/bin/python" -m pip install --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" "$source[$extra]"
