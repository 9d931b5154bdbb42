"""Shuts the process of a student's code in, by what the kernel gives to any user.

On Linux: Landlock (what may be read and written), a seccomp filter (no other process is started or
signalled, no network, no permissions are changed), and limits of memory, time and files. There is
no need of root or of a package. Elsewhere a part of it is missing, and `shut` says which.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = "reading and writing other files"
PROCESSES = "starting and signalling processes"
NETWORK = "the network"
LIMITS = "limits of memory, time and files"


@dataclass(frozen=True)
class Limits:
    """What the process may use.

    Attributes:
        memory: GiB of address space.
        seconds: of processor time; None leaves it to who waits for the process.
        file_bytes: size of one file.
        files: how many may be open.
    """

    memory: float
    seconds: int | None = None
    file_bytes: int = 64 << 20
    files: int = 512


def shut(scratch: Path, readable: Iterable[Path], limits: Limits) -> list[str]:
    """Shuts this process in, for good; threads that it has already are not covered.

    Args:
        scratch: the only folder in which it may write.
        readable: folders and files that it may read.
        limits: what it may use.

    Returns:
        What this system has no protection from: some of `FILES`, `PROCESSES`, `NETWORK`, `LIMITS`.
    """
    missing = [] if limit(limits) else [LIMITS]
    if not sys.platform.startswith("linux"):
        return [FILES, PROCESSES, NETWORK, *missing]
    libc = ctypes.CDLL(None, use_errno=True)
    new_privileges = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    _drop_capabilities(libc)
    if not (new_privileges and _landlock(libc, scratch, readable)):
        missing.append(FILES)
    if not (new_privileges and _filter(libc)):
        missing += [PROCESSES, NETWORK]
    return missing


def limit(limits: Limits) -> bool:
    """Sets the limits of this process; tells whether the system keeps that of memory."""
    try:
        import resource
    except ImportError:
        return False
    for kind, most in (
        (resource.RLIMIT_AS, int(limits.memory * 2**30)),
        (resource.RLIMIT_CPU, resource.RLIM_INFINITY if limits.seconds is None else limits.seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CORE, 0),
    ):
        # macOS refuses some of these; a limit that is lower already stays.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
    return resource.getrlimit(resource.RLIMIT_AS)[1] != resource.RLIM_INFINITY


_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Gives up what root could do; another user has nothing to give up."""
    header = struct.pack("Ii", 0x20080522, 0)  # version 3, this thread
    libc.capset(header, struct.pack("6I", 0, 0, 0, 0, 0, 0))


# -- Landlock: https://docs.kernel.org/userspace-api/landlock.html ---------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on all machines
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_OF_A_FILE = 1 << 0 | 1 << 1 | _READ_FILE | 1 << 14 | 1 << 15  # a file has no other rights
_EXECUTE, _MAKE_DEVICES = 1 << 0, 1 << 6 | 1 << 11


def _landlock(libc: ctypes.CDLL, scratch: Path, readable: Iterable[Path]) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << 13) - 1  # of version 1
    for least, right in ((2, 1 << 13), (3, 1 << 14), (5, 1 << 15)):
        rights |= right if version >= least else 0
    handled = struct.pack(
        "QQQ",
        rights,
        0b11 if version >= 4 else 0,  # TCP: bind, connect
        0b11 if version >= 6 else 0,  # abstract sockets, signals
    )
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(_CREATE_RULESET, handled, size, 0)
    if rules < 0:
        return False
    try:
        _allow(libc, rules, scratch, rights & ~_EXECUTE & ~_MAKE_DEVICES)
        for path in readable:
            _allow(libc, rules, path, _READ_FILE | _READ_DIR)
        for device in ("/dev/null", "/dev/zero", "/dev/full"):
            _allow(libc, rules, Path(device), rights & (_READ_FILE | 1 << 1 | 1 << 14))
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """Adds a rule; a path that does not exist gets none."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= -1 if path.is_dir() else _OF_A_FILE
        libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def system_files() -> Iterator[Path]:
    """Gives what Python and TensorFlow read of the system; none of it is a person's."""
    for name in [
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/share/zoneinfo",
        "/etc/ld.so.cache",
        "/etc/localtime",
        "/dev/urandom",
        "/dev/random",
        "/proc/self",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/sys/vm",
        "/sys/devices/system",
        "/sys/kernel/mm",
    ]:
        yield Path(name)


# -- seccomp: https://docs.kernel.org/userspace-api/seccomp_filter.html ----------------------------

# Names with the numbers on x86-64 and on 64-bit ARM; None where the machine has no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "setpriority": (141, 140),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "ioprio_set": (251, 30),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "unshare": (272, 97),
    "setns": (308, 268),
    # the network, and whatever goes around this filter
    "socket": (41, 198), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "fanotify_init": (300, 262), "open_by_handle_at": (304, 265),
    # what outlives the process: shared memory, queues, keys, files without a name
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # permissions and times of files, which Landlock leaves alone
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "removexattrat": (466, 466), "file_setattr": (469, 469), "flock": (73, 32),
    # the system
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "mount_setattr": (442, 442),
    "chroot": (161, 51), "syslog": (103, 116), "quotactl": (179, 60),
}  # fmt: skip
_SOME = {
    "clone": (56, 220), "clone3": (435, 435), "kill": (62, 129), "tgkill": (234, 131),
    "prlimit64": (302, 261), "fcntl": (72, 25), "ioctl": (16, 29),
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_CLONE_THREAD = 0x10000
_OWNERS = {"fcntl": (8, 10, 15), "ioctl": (0x8901, 0x8902)}  # who gets a file's signals, and which
_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _DENY, _NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # errno EPERM, ENOSYS


def _filter(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in _MACHINES or sys.byteorder != "little":
        return False
    code = b"".join(struct.pack("HBBI", *step) for step in _program(os.getpid()))
    steps = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(steps))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def _program(pid: int) -> list[tuple[int, int, int, int]]:
    """Makes the filter: (operation, steps to skip if true, steps to skip if false, value)."""
    architecture, column = _MACHINES[platform.machine()]
    steps = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _DENY),  # calls of another machine, such as 32-bit ones
        (_LOAD, 0, 0, 0),
        (_ABOVE, 0, 1, 0x40000000),
        (_RETURN, 0, 0, _DENY),  # the x32 interface, which has numbers of its own
    ]
    for numbers in _DENIED.values():
        if (number := numbers[column]) is not None:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]

    def when(name: str, argument: int, *rest: tuple[int, int, int, int]) -> None:
        steps.append((_EQUAL, 0, len(rest) + 1, _SOME[name][column]))
        steps.append((_LOAD, 0, 0, 16 + 8 * argument))  # its lower half
        steps.extend(rest)

    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)
    when("clone", 0, (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, deny)
    # Its flags lie in memory, which a filter cannot read; the C library then takes `clone`.
    when("clone3", 0, (_RETURN, 0, 0, _NO_SUCH_CALL))
    for name in ("kill", "tgkill"):
        when(name, 0, (_EQUAL, 0, 1, pid), allow, deny)
    when("prlimit64", 0, (_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, pid), allow, deny)
    for name, commands in _OWNERS.items():
        tests = [(_EQUAL, len(commands) - i, 0, each) for i, each in enumerate(commands)]
        when(name, 1, *tests, allow, deny)
    return [*steps, allow]
