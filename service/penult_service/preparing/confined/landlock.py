"""Which files a process may touch, enforced by the Linux kernel (Landlock) on a process that asked for it itself.

Needs no privilege; holds for all threads begun afterwards, and cannot be taken off. See landlock(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from penult_service.preparing.confined.seccomp import prctl

# The same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BIND_OR_CONNECT_TCP, _OUTSIDE_SOCKETS_AND_SIGNALS = 3, 3

_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_ON_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_OLDEST = (
    2  # the first that lets a file be renamed from one directory to another, as TensorFlow does when it saves
)


def apply(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Nothing is read but below `readable` and `writable`, nothing written but below `writable`; no links, pipes
    or devices are made there either.

    Where the kernel can: no TCP either, no signal to a process outside. Paths that do not exist are left out.

    Raises:
        OSError: the kernel has no Landlock, or too old a one; nothing has changed then.
    """
    version = _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < _OLDEST:
        raise OSError(errno.ENOSYS, f"Landlock of version {version} is too old")
    handled = (
        (1 << 13) - 1 | _REFER | (_TRUNCATE if version >= 3 else 0) | (_IOCTL_DEV if version >= 5 else 0)
    )
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _BIND_OR_CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _OUTSIDE_SOCKETS_AND_SIGNALS)
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, rights in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        wanted = rights if path.is_dir() else rights & _ON_FILES
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", wanted, place), 0)
    finally:
        os.close(place)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    libc.syscall.restype = ctypes.c_long
    answer = libc.syscall(ctypes.c_long(number), *given)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
