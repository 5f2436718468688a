"""For every test."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background has SIGINT ignored, in whatever they start as well; some tests are of
# what Ctrl-C does to a command.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
