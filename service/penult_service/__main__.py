"""`python -m penult_service ARGS` is `penult ARGS`."""

from __future__ import annotations

import sys

from penult_service.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
