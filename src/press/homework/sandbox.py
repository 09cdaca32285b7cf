"""The command that puts a process into a box: bubblewrap, limits, a system call filter.

Layers, from outside in: namespaces of its own (no network, no other processes), a read-only file
system that holds Python and its packages and nothing else, small scratch folders in memory, no
capabilities, limits on memory, processes, time and file sizes, and a filter that refuses system
calls which programs of students have no use for.

As root the box is made with root's rights and entered as a user of its own; otherwise it is made
in a user namespace, which the kernel has to allow.
"""

import errno
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
INSIDE = "/box"
MEGABYTE = 1 << 20
# Ids that belong to nobody; one per box, since limits on processes count by user.
FIRST_USER, USERS = 200_000, 50_000

REFUSED = (
    "socket ptrace process_vm_readv process_vm_writev mount umount2 pivot_root unshare setns "
    "keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
    "io_uring_register kexec_load init_module finit_module delete_module open_by_handle_at "
    "name_to_handle_at move_mount fsopen fsconfig fsmount open_tree mount_setattr quotactl swapon "
    "swapoff reboot acct chroot syslog fanotify_init kcmp pidfd_getfd modify_ldt io_setup "
    # Memory that belongs to no process, where no limit and no watchdog would find it.
    "memfd_create shmget shmat msgget semget mq_open socketpair"
).split()
CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    call_seconds: float = 10
    """One cell, or one call of a student's function."""
    submission_seconds: float = 120
    """All of a submission, restarts included."""
    memory_mb: int = 2048
    """Resident memory of the whole box."""
    address_space_mb: int = 6144
    """Address space of one process; PyTorch maps far more than it uses."""
    processes: int = 64
    """Processes and threads at a time."""
    file_mb: int = 32
    """The largest file; scratch folders hold twice as much."""
    output_kb: int = 64
    """Printed text that is kept; the rest is thrown away."""
    restarts: int = 8
    """How often a box that died is started again."""


class NoSandbox(Exception):
    """No box can be made on this machine."""


def programs() -> dict[str, str | None]:
    """Return the programs that a box needs, and where they are."""
    needed = ["bwrap", "prlimit", *(["setpriv"] if os.geteuid() == 0 else [])]
    return {name: shutil.which(name) for name in needed}


def refuse_calls() -> int:
    """Return an open file with the filter of system calls, as bubblewrap reads it."""
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise NoSandbox(f"no filter of system calls: {error}") from None
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in REFUSED:
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    # glibc falls back to clone, whose flags a filter can read.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    new_user = seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)
    rules.add_rule(seccomp.ERRNO(errno.EPERM), "clone", new_user)
    file = os.memfd_create("refused")
    with os.fdopen(os.dup(file), "wb") as stream:
        rules.export_bpf(stream)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def boxed(command: list[str], limits: Limits, filter_file: int) -> list[str]:
    """Return ``command`` with the box around it."""
    found = programs()
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise NoSandbox(f"not installed: {', '.join(missing)}")
    root = os.geteuid() == 0
    # bubblewrap itself starts without the grader's environment: its first process stays in the box,
    # where /proc would show it to a user of the same name.
    words = ["env", "-i", str(found["bwrap"])]
    words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "box"]
    words += [] if root else ["--unshare-user", "--disable-userns"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in (("/tmp", 2 * limits.file_mb), ("/dev/shm", limits.file_mb)):
        words += ["--size", str(size * MEGABYTE), "--perms", "1777", "--tmpfs", folder]
    words += _files()  # after /tmp, where Python may live
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    for name, value in _environment("/tmp").items():
        words += ["--setenv", name, value]
    words += ["--seccomp", str(filter_file), "--cap-drop", "ALL"]
    if root:  # enter with what it takes to become somebody else, and nothing more
        user = str(FIRST_USER + os.getpid() % USERS)
        for right in ("SETUID", "SETGID", "SETPCAP"):
            words += ["--cap-add", f"CAP_{right}"]
        words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        words += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return words + _limited(limits) + command


def unboxed(command: list[str], limits: Limits, scratch: str) -> list[str]:
    """Return ``command`` with limits where the system has them, and no box at all."""
    limited = _limited(limits) if shutil.which("prlimit") else []
    environment = [f"{name}={value}" for name, value in _environment(scratch).items()]
    return [*limited, "env", "-i", *environment, *command]


def worker_command(folder: str = INSIDE) -> list[str]:
    """Return what runs in the box."""
    return [sys.executable, "-s", "-B", f"{folder}/worker.py"]


def readable_from(path: Path) -> bool:
    """Say whether a box could show this file to its user."""
    return any(path.is_relative_to(shown) for shown in _shown())


def _limited(limits: Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.address_space_mb * MEGABYTE}",
        f"--data={limits.address_space_mb * MEGABYTE}",
        f"--nproc={limits.processes}",
        f"--cpu={max(1, round(limits.submission_seconds))}",
        f"--fsize={limits.file_mb * MEGABYTE}",
        "--nofile=256",
        "--core=0",
    ]


def _environment(scratch: str) -> dict[str, str]:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": scratch,
        **dict.fromkeys(threads, "1"),
    }


def _shown() -> list[Path]:
    """Return the folders a box shows: the system's libraries, Python, its packages."""
    places = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]
    return [
        one for one in dict.fromkeys(places) if one == places[0] or not one.is_relative_to("/usr")
    ]


def _files() -> list[str]:
    """Return the words that show files: each where it is, read-only."""
    words, made = [], set[Path]()
    for folder in _shown():
        for parent in reversed(folder.parents[:-1]):
            if parent not in made:  # bubblewrap would make them for its own user alone
                words += ["--perms", "0755", "--dir", str(parent)]
                made.add(parent)
        words += ["--ro-bind", str(folder), str(folder)]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", INSIDE]
    for name in ("worker.py", "codec.py"):
        words += ["--ro-bind", str(HERE / name), f"{INSIDE}/{name}"]
    # The book's own package would answer for the student.
    for key in ("purelib", "platlib"):
        book = Path(sysconfig.get_path(key), "dlnotes")
        if book.is_dir() and str(book) not in words:
            words += ["--perms", "0755", "--tmpfs", str(book), "--remount-ro", str(book)]
    return words
