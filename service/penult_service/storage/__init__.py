"""What lasts: embedding sets, maps, clusterings, operations.

Arrow, npy and JSON on disk; docs/storage-format.md has the layout.
"""

from penult_service.storage.arrays import ArrayPlace
from penult_service.storage.data import Storage
from penult_service.storage.graphs import KeptGraph
from penult_service.storage.names import check_name
from penult_service.storage.operations import OperationRecord, OperationStore
from penult_service.storage.result_records import HeldResult, ResultInfo, ResultPage, RowsOf, StoredResult
from penult_service.storage.results import ResultStore
from penult_service.storage.set_store import SetPage, SetStore
from penult_service.storage.sets import Appended, EmbeddingSet, SetInfo
from penult_service.storage.snapshots import Snapshot, VectorFile

__all__ = [
    "Appended",
    "ArrayPlace",
    "EmbeddingSet",
    "HeldResult",
    "KeptGraph",
    "OperationRecord",
    "OperationStore",
    "ResultInfo",
    "ResultPage",
    "ResultStore",
    "RowsOf",
    "SetInfo",
    "SetPage",
    "SetStore",
    "Snapshot",
    "Storage",
    "StoredResult",
    "VectorFile",
    "check_name",
]
