from __future__ import annotations

import sys
from pathlib import Path

# The scripts are programs, not part of the package: their folder is on the path for their own tests only.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
