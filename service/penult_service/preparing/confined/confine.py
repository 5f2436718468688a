"""What the child process that prepares may do, once it has read its job: little, and only with its own files.

A model is a program. What is checked before it runs is checked elsewhere; this is for what slips through: the
kernel then lets the process reach no network, no files but its own, no other processes, and so much of memory,
disk and time. Each part is applied where the kernel has it, and the answer says which have not been.
No TensorFlow here: it must not have begun threads.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penult_service.preparing.confined import landlock, seccomp

NETWORK, FILES, PROCESSES = "network", "files", "processes"
PARTS = {
    NETWORK: "no network",
    FILES: "no files but the model's and its own",
    PROCESSES: "no other processes",
}
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_PARENT_DEATH, _DUMPABLE = 1, 4  # PR_SET_PDEATHSIG, PR_SET_DUMPABLE
_CAPABILITIES_3 = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2  # what lets root read a model that belongs to somebody else

# What Python, TensorFlow and the C library read of the system. Of /etc and /dev only what is harmless.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/nix/store", "/gnu/store", "/opt/conda"),
    # Of /proc nothing of other processes: root may read their environments there, whatever else is denied to him.
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/version"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
    *(
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/group",
        "/etc/os-release",
    ),
    *("/dev/zero", "/dev/random", "/dev/urandom"),
)
_DEVICES = ("/dev/null",)
_PASSED = (  # of the server's environment; the rest, with its secrets, stays there
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME"),
    "PYTHONPYCACHEPREFIX",
    *("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED"),
)


@dataclass(frozen=True)
class Limits:
    """Bytes of private memory, bytes of one file, seconds of processor time."""

    memory: int
    file: int
    processor: int


def environment(scratch: Path) -> dict[str, str]:
    """The environment of the child: what libraries need, and `scratch` for whatever they would write.

    Graphics processors are hidden: their drivers are another door, and a proof needs none.
    """
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    paths = [
        str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry
    ]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    if site.ENABLE_USER_SITE:
        kept["PYTHONUSERBASE"] = site.getuserbase()  # else sought below the new HOME
    places = dict.fromkeys(("HOME", "TMPDIR", "KERAS_HOME", "XDG_CACHE_HOME"), str(scratch))
    # A format that tensorflow_hub does not know: it fetches nothing then, also where the kernel would let it.
    fixed = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TFHUB_MODEL_LOAD_FORMAT": "NONE"}
    return {"PATH": os.defpath, **kept, **places, **fixed}


def confine(readable: Iterable[Path], writable: Iterable[Path], limits: Limits) -> dict[str, str]:
    """Confines this process, for ever. Call it before there is any other thread.

    Args:
        readable: Files and directories to read, besides Python's and the system's own.
        writable: Directories to write in.
        limits: The most that it may use.

    Returns:
        For each of `PARTS`: "" when it holds, else why not.
    """
    _tried(lambda: seccomp.prctl(_PARENT_DEATH, int(signal.SIGKILL)))
    _limit(limits)
    _first_to_go()
    cut_off = _tried(_leave_the_network)
    _tried(_give_up_privileges)
    files = _tried(
        lambda: landlock.apply(
            [*readable, *_installation(), *map(Path, _SYSTEM)], [*writable, *map(Path, _DEVICES)]
        )
    )
    processes = _tried(seccomp.apply)
    network = cut_off if processes else ""  # without sockets there is none either
    return {NETWORK: network, FILES: files, PROCESSES: processes}


def described(parts: dict[str, str]) -> str:
    """The answer of `confine` for a person, in a line."""
    held = [PARTS[name] for name, missing in parts.items() if not missing]
    lacking = [f"not held: {PARTS[name]} ({why})" for name, why in parts.items() if why]
    return "; ".join([", ".join(held) or "limits of memory, disk and time alone", *lacking])


def _limit(limits: Limits) -> None:
    """Limits of the kernel, where it has them; none is raised above what holds already."""
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_FSIZE": limits.file,
        "RLIMIT_CPU": limits.processor,
    }
    for name, most in wanted.items():
        number = getattr(resource, name, None)
        if number is None:
            continue
        with suppress(OSError, ValueError):
            hard = resource.getrlimit(number)[1]
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(number, (value, value))


def _first_to_go() -> None:
    """When the machine runs out of memory, this process is ended before the server is."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _leave_the_network() -> None:
    """A network of its own, with nothing in it. Raises OSError where the kernel does not allow that."""
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_NETWORK)  # enough for root, who keeps his rights to files then
    except OSError:
        _unshare(_NEW_NETWORK | _NEW_USER)
        for file, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with suppress(OSError):
                Path("/proc/self", file).write_text(line)
        seccomp.prctl(_DUMPABLE, 1)  # else its /proc is root's, and its parent cannot watch it


def _unshare(what: int) -> None:
    _checked(ctypes.CDLL(None, use_errno=True).unshare(ctypes.c_int(what)))


def _give_up_privileges() -> None:
    """Root's privileges (capabilities), where it is root that prepares: in a container he has some too."""
    header, held = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.capget(header, held))
    kept = held[1] & _KEPT_CAPABILITIES  # permitted; the words are effective, permitted, inheritable, twice
    _checked(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)))


def _checked(answer: int) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _tried(step: Callable[[], None]) -> str:
    if not sys.platform.startswith("linux"):
        return f"not on {sys.platform}"
    try:
        step()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _installation() -> set[Path]:
    """Where Python and the packages are, this one too."""
    places = {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        sys.base_exec_prefix,
        *sysconfig.get_paths().values(),
    }
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return {
        Path(place)
        for place in (*places, *sys.path, *libraries, sys.pycache_prefix)
        if place and place != os.sep
    }
