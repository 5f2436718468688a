"""Long-running operations: started, watched, waited for, cancelled, and kept over a restart."""

from penult_service.operations.operations import Operations, Records, Work
from penult_service.operations.progress import EMBEDDING, STARTING, WAITING, Progress

__all__ = ["EMBEDDING", "STARTING", "WAITING", "Operations", "Progress", "Records", "Work"]
