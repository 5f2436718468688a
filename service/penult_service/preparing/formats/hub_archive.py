"""The archive that a TF-Hub server answers with (`.tar`, `.tar.gz`): looked at whole before it is unpacked."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from typing import IO, cast

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.folder import MAX_BYTES, MAX_FILES
from penult_service.guard.tables import leads_out

MAX_RATIO = 100  # inflated : packed, above the size where it matters
_SMALL = 16 << 20
_BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"


def refuse_harmful(what: str, file: IO[bytes], size: int) -> None:
    """Refuses an archive that is damaged, leads out of its folder, or is a bomb; `file` is at its start afterwards.

    Args:
        what: Where it is from, for the message.
        file: The archive, to be read and sought.
        size: Its bytes.

    Raises:
        InvalidInput: DAMAGED.
        ModelRefused: LEAVES_THE_FILE, TOO_MANY_FILES, BOMB.
    """
    packed = file.read(2) == _GZIP
    file.seek(0)
    limit = min(MAX_BYTES, max(_SMALL, MAX_RATIO * size))
    try:
        content = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        _refuse_members(what, _Bounded(what, content, limit))
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InvalidInput(
            f"{what} answered with no whole .tar.gz archive of a module ({first}); try again, or download it elsewhere",
            reason="DAMAGED",
        ) from error
    file.seek(0)


class _Bounded:
    """A file whose readers can neither ask for much at once nor come far; `tarfile` believes what a header says."""

    def __init__(self, what: str, file: IO[bytes], limit: int) -> None:
        self._what, self._file, self._limit = what, file, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _BLOCK:
            raise tarfile.ReadError("a header of absurd size")
        self._refuse(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, place: int) -> int:
        self._refuse(place)
        return self._file.seek(place)

    def tell(self) -> int:
        return self._file.tell()

    def _refuse(self, place: int) -> None:
        if place > self._limit + _BLOCK:
            raise ModelRefused(
                f"{self._what} answered with an archive that inflates to more than {self._limit / 2**20:,.4g} MiB, far "
                "beyond its own size; download the module elsewhere and name its directory",
                reason="BOMB",
            )


def _refuse_members(what: str, content: _Bounded) -> None:
    count = 0
    with tarfile.open(fileobj=cast(IO[bytes], content), mode="r:") as archive:
        for member in archive:
            count += 1
            root = member.isdir() and member.name in (".", "")
            if not member.isfile() and not member.isdir():
                raise _leaves(what, member, "it is a link or a device")
            if member.issparse():
                raise _leaves(what, member, "it is a file with holes")
            if not root and leads_out(member.name):
                raise _leaves(what, member, "its name leads out of the archive")
            if count > MAX_FILES:
                raise ModelRefused(
                    f"{what} answered with an archive of more than {MAX_FILES:,} files; name the module alone",
                    reason="TOO_MANY_FILES",
                )
    if not count:
        raise tarfile.ReadError("it is empty")
    while content.read(_BLOCK):  # to its end, where the checksum is
        pass


def _leaves(what: str, member: tarfile.TarInfo, why: str) -> ModelRefused:
    return ModelRefused(
        f"{what} answered with an archive that holds {member.name[:200]!r}: {why}; nothing of it was unpacked: "
        "download the module from whom you trust and name its directory",
        reason="LEAVES_THE_FILE",
    )
