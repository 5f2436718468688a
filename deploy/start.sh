#!/bin/sh
# Starts the server in the foreground; further arguments go to `penult serve` (without any: --models /models).
# Everything that is written goes below PENULT_DATA and TMPDIR, so the rest may be read-only: prepared models in
# prepared/, what the analysis workers compile at the first start in numba/, the arrays they work on in analysis/.
set -eu
prefix="${PENULT_PREFIX:-/opt/penult}"
data="${PENULT_DATA:-/data}"

[ $# -gt 0 ] || set -- --models "${PENULT_MODELS:-/models}"

export HOME="$data" XDG_CACHE_HOME="$data/cache" TFHUB_CACHE_DIR="$data/cache/tfhub" KERAS_HOME="$data/cache/keras"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# exec: the server gets SIGTERM itself, and drains.
exec "$prefix/bin/penult" serve --data "$data" \
    --host "${PENULT_HOST:-0.0.0.0}" --port "${PENULT_PORT:-50051}" "$@"
