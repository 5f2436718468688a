"""Linux system calls that the process which prepares has no use for, denied by a filter of the kernel (seccomp).

The filter holds for all threads begun afterwards, cannot be taken off, and needs no privilege. What it denies
answers "operation not permitted", as if a file belonged to somebody else, and libraries go on without it.
See seccomp(2); the numbers are those of the kernel's unistd tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# name: (x86_64, aarch64); None where the machine has no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # Sockets of any kind: no network, no container's or desktop's control socket.
    "socket": (41, 198),
    # Other programs. Threads are made by clone, which is looked at below.
    **{"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)},
    # Other processes of the same user, such as the server: signals, memory, descriptors, limits, priority.
    **{"tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240)},
    **{"pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424)},
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272)},
    **{"setpriority": (141, 140), "ioprio_set": (251, 30), "migrate_pages": (256, 238)},
    **{"move_pages": (279, 239), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274)},
    **{"sched_setparam": (142, 118), "sched_setscheduler": (144, 119)},
    # Modes, owners and times of files, which Landlock leaves to their owner.
    **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53)},
    **{"chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54)},
    **{"utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    # Memory and disk that no limit and no watch of the process counts.
    "fallocate": (285, 47),
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196)},
    **{"semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "mq_unlink": (241, 181)},
    # Ways around all of the above, or doors to the inside of the kernel.
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41)},
    **{"mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "open_tree": (428, 428)},
    **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
    **{"mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262)},
    **{"bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    # What only root may do anyway, for those who run as root.
    **{"kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105)},
    **{"finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142)},
    **{"swapon": (167, 224), "swapoff": (168, 225), "settimeofday": (164, 170)},
    **{"clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171)},
    **{"sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89), "syslog": (103, 116)},
    **{"quotactl": (179, 60), "quotactl_fd": (443, 443), "vhangup": (153, 58), "iopl": (172, None)},
    "ioperm": (173, None),
}
# Allowed on this process alone: the first argument is its number (or, for limits, 0).
_OF_ITSELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_NEWEST = (
    451  # the last call that this table was made with; programs fall back where a newer one is not there
)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_CLONE_THREAD = 0x00010000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little-endian
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def apply() -> None:
    """Denies them to this thread and all that it begins; call it before there are others.

    Raises:
        OSError: the kernel, or the machine, has no such filter.
    """
    program = filter_program(platform.machine(), os.getpid())
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(_Program(len(program) // 8, program)))


def prctl(option: int, *arguments: object) -> None:
    """prctl(2). OSError when the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    filled = [a if not isinstance(a, int) else ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *filled) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def filter_program(machine: str, pid: int) -> bytes:
    """The filter for this machine as an array of `struct sock_filter`.

    Raises:
        OSError: the system calls of this machine are not known here.
    """
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {machine}")
    column, architecture = _ARCHITECTURES[machine]
    denied = [numbers[column] for numbers in _DENIED.values() if numbers[column] is not None]
    allow, deny, absent = (
        _op(_RETURN, value) for value in (_ALLOW, _FAIL | errno.EPERM, _FAIL | errno.ENOSYS)
    )
    program = [
        _op(_LOAD, _ARCHITECTURE),
        *(_op(_EQUAL, architecture, 1, 0), deny),
        _op(_LOAD, _NUMBER),
        *(_op(_GREATER, _NEWEST, 0, 1), absent),
        # Its flags lie in memory, where a filter does not look; the C library then takes clone.
        *(_op(_EQUAL, _CLONE3[column], 0, 1), absent),
        *(_op(_EQUAL, _CLONE[column], 0, 4), _op(_LOAD, _FIRST_ARGUMENT)),
        *(_op(_ANY_BIT, _CLONE_THREAD, 0, 1), allow, deny),
    ]
    for numbers in _OF_ITSELF.values():
        program += [_op(_EQUAL, numbers[column], 0, 5), _op(_LOAD, _FIRST_ARGUMENT)]
        program += [_op(_EQUAL, pid, 1, 0), _op(_EQUAL, 0, 0, 1), allow, deny]
    for number in denied:
        program += [_op(_EQUAL, number or 0, 0, 1), deny]
    return b"".join([*program, allow])


def _op(code: int, value: int, when: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `when` and `otherwise` are how many to skip."""
    return struct.pack("=HBBI", code, when, otherwise, value)
