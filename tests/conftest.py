"""For every test."""

from __future__ import annotations

import os
import signal

# Engines have tests of their own; elsewhere nothing is converted and nothing is timed, in whatever processes start.
os.environ.setdefault("PENULT_ENGINE", "tensorflow")

# A shell that starts the tests in the background has SIGINT ignored, in whatever they start as well; some tests are of
# what Ctrl-C does to a command.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
