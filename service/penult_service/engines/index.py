"""What lies beside the files that OpenVINO reads: `ir.json`, with what they can do, and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from penult_service.errors import InvalidInput
from penult_service.files import sha256_file

INDEX = "ir.json"
IR_FORM = "6"  # of what `ir.convert` writes: IRs of another form are made again


@dataclass(frozen=True)
class Index:
    """What `ir.json` says.

    Attributes:
        encode: Name of a file -> the layers that it can read.
        head: Whether there is a head.
        pooled: Whether the seam alone is computed of the first token's row, where the last layer can do that.
        ranges: Name of an input of integers -> the least and the greatest that its tables have rows for.
        files: Each file beside it, by its place in the directory -> its SHA-256.
    """

    encode: Mapping[str, tuple[str, ...]]
    head: bool
    pooled: bool
    ranges: Mapping[str, tuple[int, int]]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, ir: Path) -> Index:
        """InvalidInput: DAMAGED, it is not there, or makes no sense."""
        try:
            raw = json.loads((ir / INDEX).read_text(encoding="utf-8"))
            encode = {str(name): tuple(map(str, layers)) for name, layers in raw["encode"].items()}
            ranges = {str(n): (int(least), int(most)) for n, (least, most) in raw["ranges"].items()}
            files = {str(name): str(digest) for name, digest in raw["files"].items()}
            return cls(encode, bool(raw["head"]), bool(raw["pooled"]), ranges, files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"{ir / INDEX} cannot be read ({error}); remove {ir}, and it is made again",
                reason="DAMAGED",
            ) from error

    def write(self, ir: Path) -> None:
        """Writes `ir.json`, with the hashes of what is there."""
        told = replace(self, files=_hashes(ir))
        (ir / INDEX).write_text(json.dumps(vars(told), indent=1) + "\n", encoding="utf-8")


def is_whole(ir: Path) -> bool:
    """Whether the directory holds what was written into it, and nothing else."""
    try:
        return dict(Index.read(ir).files) == _hashes(ir)
    except (InvalidInput, OSError):
        return False


def _hashes(ir: Path) -> dict[str, str]:
    found = sorted(path for path in ir.rglob("*") if path.is_file() and path != ir / INDEX)
    return {path.relative_to(ir).as_posix(): sha256_file(path) for path in found}
