"""Is the box real? All that it promises is tried from inside, by a program that wants out."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from press.homework.sandbox import Limits, NoSandbox, boxed, programs, refuse_calls

PACKAGES = {"bwrap": "bubblewrap", "setpriv": "util-linux", "prlimit": "util-linux"}

# Runs in the box: tries what no student should be able to do, and says how each attempt ended.
ESCAPES = """
import ctypes, json, mmap, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    ctypes.set_errno(0)
    return getattr(libc, name)(*arguments) == 0

def in_a_child(name, *arguments):
    child = os.fork()
    if child == 0:
        os._exit(0 if call(name, *arguments) else 1)
    return os.waitpid(child, 0)[1] == 0

def can_write(folder):
    try:
        with open(folder + "/probe", "w") as file:
            file.write("x")
        return True
    except OSError:
        return False

def fill(folder):
    written = 0
    try:
        for number in range(64):
            with open(f"{folder}/fill-{number}", "wb") as file:
                file.write(bytes(8 << 20))
            written += 8
    except OSError:
        pass
    for name in os.listdir(folder):
        if name.startswith("fill-"):
            os.unlink(f"{folder}/{name}")
    return written

def mounts():
    with open("/proc/self/mounts") as file:
        places = [line.split()[1].encode().decode("unicode_escape") for line in file]
    return [one for one in places if one not in ("/tmp", "/dev/shm")]

def strangers():
    found = set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/environ", errors="replace") as file:
                found |= {pair.partition("=")[0] for pair in file.read().split(chr(0)) if pair}
        except OSError:
            pass
    return found

def uncounted():
    ways = {"memfd": lambda: os.memfd_create("x"), "sockets": socket.socketpair,
            "shared memory": lambda: 1 / (1 + libc.shmget(0, 4096, 0o1600))}
    open_ways = []
    for name, way in ways.items():
        try:
            way()
            open_ways.append(name)
        except (OSError, ZeroDivisionError):
            pass
    return open_ways

def connect():
    with open("/proc/net/route") as file:
        if len(file.readlines()) > 1:
            return True
    try:
        socket.create_connection(("127.0.0.1", 9), 1)
    except PermissionError:
        return False
    except OSError:
        return True
    return True

def allocate(megabytes):
    try:
        mmap.mmap(-1, megabytes << 20).close()
        return True
    except OSError:
        return False

def fork_many(most):
    children, made = [], 0
    for _ in range(most):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            import time
            time.sleep(5)
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return len(children)

given = json.loads(sys.argv[1])
rights = open("/proc/self/status").read()
print(json.dumps({
    "user": os.getuid(),
    "rights": max(int(line.split()[1], 16) for line in rights.splitlines()
                  if line.startswith(("CapInh", "CapPrm", "CapEff", "CapAmb"))),
    "privileges": "NoNewPrivs:\\t1" in rights,
    "writable": [one for one in ("/proc/sys", "/box", *mounts()) if can_write(one)],
    "uncounted": uncounted(),
    "filled": max(fill("/tmp"), fill("/dev/shm")),
    "seen": [one for one in given["hidden"] if os.path.exists(one)],
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "network": connect(),
    "ptrace": in_a_child("ptrace", 0, 0, 0, 0),
    "mount": in_a_child("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "namespace": in_a_child("unshare", 0x10000000),
    "allocated": allocate(given["too_much"]),
    "forked": fork_many(given["too_many"]),
    "file": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
    "cpu": resource.getrlimit(resource.RLIMIT_CPU)[0],
    "environment": sorted(strangers() | set(os.environ)),
}))
"""


@dataclass(frozen=True)
class Probe:
    """One thing a box must do, and whether this machine's does."""

    what: str
    holds: bool
    detail: str = ""


def examine(limits: Limits, hidden: list[str]) -> list[Probe]:
    """Try to get out of a box; ``hidden`` are paths that must not be seen from inside."""
    probes = [_program(name, path) for name, path in programs().items()]
    if not all(probe.holds for probe in probes):
        return probes
    try:
        found = _attempt(limits, hidden)
    except NoSandbox as error:
        return [*probes, Probe("a box can be made", False, f"{error}. {_advice(str(error))}")]
    return [*probes, Probe("a box can be made", True), *_verdicts(found, limits)]


def require_box(limits: Limits, hidden: list[str]) -> None:
    """Raise NoSandbox, saying what is missing, unless every probe holds."""
    failed = [probe for probe in examine(limits, hidden) if not probe.holds]
    if failed:
        raise NoSandbox("; ".join(f"{one.what}: no. {one.detail}".strip() for one in failed))


def _program(name: str, path: str | None) -> Probe:
    advice = "" if path else f"install it: sudo apt-get install {PACKAGES[name]} (or your system's)"
    return Probe(f"{name} is installed", path is not None, advice)


def _attempt(limits: Limits, hidden: list[str]) -> dict[str, Any]:
    given = {
        "hidden": hidden,
        "too_much": 2 * limits.address_space_mb,
        "too_many": limits.processes + 50,
    }
    calls = refuse_calls()
    try:
        command = [sys.executable, "-s", "-c", ESCAPES, json.dumps(given)]
        ran = subprocess.run(
            boxed(command, limits, calls),
            check=False,
            pass_fds=(calls,),
            capture_output=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        raise NoSandbox("the box did not answer in a minute") from None
    finally:
        os.close(calls)
    if ran.returncode:
        said = ran.stderr.decode("utf8", "replace").strip().splitlines() or ["no reason given"]
        raise NoSandbox(said[-1])
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def _advice(error: str) -> str:
    if "pyseccomp" in error or "system calls" in error:
        return "install libseccomp: sudo apt-get install libseccomp2"
    if "namespace" in error or "uid map" in error or "ermission" in error:
        return (
            "The kernel forbids namespaces. Ubuntu 24.04: allow bwrap in AppArmor, or "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; Debian: `sudo sysctl "
            "kernel.unprivileged_userns_clone=1`; Docker: run with `--privileged`, or grade "
            "outside the container"
        )
    return ""


def _verdicts(found: dict[str, Any], limits: Limits) -> list[Probe]:
    scratch = 2 * limits.file_mb
    return [
        Probe("not root inside", found["user"] not in (0, 65534), f"user {found['user']}"),
        Probe("no rights left", found["rights"] == 0 and found["privileges"]),
        Probe("no network", not found["network"]),
        Probe("cannot write", not found["writable"], ", ".join(found["writable"])),
        Probe(
            "scratch folders are small", found["filled"] <= scratch, f"{found['filled']} MB written"
        ),
        Probe("no files of yours", not found["seen"], ", ".join(found["seen"])),
        Probe("no other processes", found["processes"] < 8, f"{found['processes']} seen"),
        Probe("no tracing", not found["ptrace"]),
        Probe("no mounting", not found["mount"]),
        Probe("no namespaces of its own", not found["namespace"]),
        Probe("memory is limited", not found["allocated"]),
        Probe(
            "no memory that is not counted", not found["uncounted"], ", ".join(found["uncounted"])
        ),
        Probe(
            "processes are limited", found["forked"] <= limits.processes, f"{found['forked']} made"
        ),
        Probe("files are limited", found["file"] == limits.file_mb << 20),
        Probe("time is limited", 0 < found["cpu"] <= max(1, round(limits.submission_seconds))),
        Probe(
            "no secrets in the environment",
            not _strangers(found["environment"]),
            ", ".join(_strangers(found["environment"])[:5]),
        ),
    ]


def _strangers(names: list[str]) -> list[str]:
    ours = {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PWD", "OLDPWD"}
    libraries = ("MPL", "OMP", "OPENBLAS", "MKL")
    return [one for one in names if one not in ours and not one.startswith(libraries)]
