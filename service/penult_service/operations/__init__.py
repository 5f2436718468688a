"""Long-running operations: started, watched, waited for, cancelled, and kept over a restart."""

from penult_service.operations.operations import Operations, Records, Work
from penult_service.operations.progress import EMBEDDING, STARTING, Progress

__all__ = ["EMBEDDING", "STARTING", "Operations", "Progress", "Records", "Work"]
