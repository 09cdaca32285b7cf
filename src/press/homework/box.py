"""The grader's end of the pipe: a box, and stand-ins for what lives in it."""

import builtins
import contextlib
import json
import math
import os
import select
import subprocess
import tempfile
import threading
import time
from typing import Any

import psutil

from press.homework import codec
from press.homework.sandbox import (
    HERE,
    MEGABYTE,
    Limits,
    NoSandbox,
    boxed,
    refuse_calls,
    unboxed,
    worker_command,
)

START_SECONDS = 60  # for a box to start, on a busy machine
MAX_FILES = 100_000  # in scratch folders: each takes a bit of the kernel's memory
# Questions of arrays. An object that is none would answer for itself, and what to compare with
# would be sent to it.
JUDGMENTS = frozenset("all any allclose isclose equal eq ne lt gt le ge".split())


class BoxDied(Exception):
    """The process in the box is gone: it ended, took too long, or took too much."""


class StudentError(Exception):
    """The student's code raised; the class tells what, where it is one of Python's own."""


def student_error(name: str, message: str) -> StudentError:
    """Return the exception that stands for one of this name in the box.

    It is a StudentError and also of the class so named, so that a test may expect a ValueError.
    Not of those that end loops: a test that asks `all` of a `map` would end early, and pass.
    """
    kind = getattr(builtins, name, None)
    ends = StopIteration | StopAsyncIteration
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ends):
        with contextlib.suppress(TypeError):  # classes whose layouts do not go together
            return type(name, (StudentError, kind), {})(message)
    return StudentError(f"{name}: {message}" if name else message)


class Box:
    """One process for one student's code; ask it, and it answers or is killed."""

    def __init__(self, limits: Limits, safe: bool = True, until: float = math.inf) -> None:
        """Start it; ``until`` is when all of it ends, by ``time.monotonic``.

        Raises NoSandbox if it does not start: that is no fault of the student's.
        """
        self.limits, self.ended, self.until = limits, "", math.inf
        self.printed, self._requests = b"", 0
        self._started = False  # with folders of its own
        self._scratch = None if safe else tempfile.TemporaryDirectory()
        if self._scratch is None:
            calls = refuse_calls()
            command = boxed(worker_command(), limits, calls)
        else:
            calls = os.open(os.devnull, os.O_RDONLY)
            command = unboxed(worker_command(str(HERE)), limits, self._scratch.name)
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                bufsize=0,
                pass_fds=(calls,),
                start_new_session=True,
                cwd=self._scratch.name if self._scratch else None,
            )
        finally:
            os.close(calls)
        self._input, self._output, self._error = (
            stream.fileno()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
            if stream
        )
        for stream in (self._input, self._output):  # whoever is in the box may read and write, too
            os.set_blocking(stream, False)
        for task in (self._drain, self._watch):
            threading.Thread(target=task, daemon=True).start()
        try:  # nothing of the student's has run yet: what fails here is the machine's fault
            self.ask("hello", seconds=START_SECONDS)
        except BoxDied:
            said = self.printed.decode("utf8", "replace").strip()
            raise NoSandbox(f"a box did not start: {said or self.ended}") from None
        self.until, self._started = until, safe

    def ask(self, do: str, seconds: float | None = None, **request: Any) -> Any:
        """Send a request and return the answer's value, still encoded.

        Raises StudentError if the student's code raised, BoxDied if there is no proper answer in
        time.
        """
        if self.ended:
            raise BoxDied(self.ended)
        self._requests += 1
        end = min(time.monotonic() + (seconds or self.limits.call_seconds), self.until)
        self._write(codec.pack({"do": do, "number": self._requests, **request}), end)
        size = int.from_bytes(self._read(4, end), "big")
        if size > codec.MAX_BYTES:
            raise self._kill(f"an answer of more than {codec.MAX_BYTES // MEGABYTE} MB")
        body = self._read(size, end)
        try:
            reply = json.loads(body)
            if type(reply) is not dict or reply.pop("number", None) != self._requests:
                raise ValueError
            ((kind, content),) = reply.items()
            if kind == "error":
                name, message = map(str, content)
            elif kind != "value":
                raise ValueError
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise self._kill("an answer that is none") from None
        if kind == "error":
            raise student_error(name[:80], message[:2000])
        return content

    def close(self) -> None:
        """End the box and everything in it."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        if self._scratch:
            self._scratch.cleanup()

    def _kill(self, why: str) -> BoxDied:
        self.ended = self.ended or why
        self.close()
        return BoxDied(self.ended)

    def _write(self, data: bytes, end: float) -> None:
        view = memoryview(data)
        while view:
            left = end - time.monotonic()
            if left < 0 or not select.select([], [self._input], [], left)[1]:
                raise self._kill("took too long")
            try:
                view = view[os.write(self._input, view[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._kill(self._why()) from None

    def _read(self, count: int, end: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = end - time.monotonic()
            if left < 0 or not select.select([self._output], [], [], left)[0]:
                raise self._kill("took too long")
            try:
                piece = os.read(self._output, min(count - len(data), 1 << 20))
            except BlockingIOError:  # the student's process was faster, and read its own answer
                continue
            if not piece:
                raise self._kill(self._why())
            data += piece
        return bytes(data)

    def _why(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return "the process ended"

    def _drain(self) -> None:
        """Read all that is printed, so that no pipe fills up; keep the beginning."""
        keep = self.limits.output_kb * 1024
        with contextlib.suppress(OSError):
            while piece := os.read(self._error, 1 << 16):
                self.printed += piece[: keep - len(self.printed)]

    def _watch(self) -> None:
        """End a box whose processes together take too much memory: limits count one by one."""
        most = self.limits.memory_mb * MEGABYTE
        with contextlib.suppress(psutil.Error):
            top = psutil.Process(self._process.pid)
            while self._process.poll() is None:
                together = [top, *top.children(recursive=True)]
                # Resident memory counts shared pages again and again: only a hint, but cheap.
                if _memory(together, "rss") > most and _memory(together, "pss") > most:
                    self.ended = "took too much memory"
                    self._process.kill()
                elif len(together) > 1 and self._started and _files(together[1].pid) > MAX_FILES:
                    self.ended = "made too many files"
                    self._process.kill()
                time.sleep(0.2)


def _files(process: int) -> int:
    """Return how many files there are in the scratch folders that a process in a box sees."""
    made = 0
    for folder in ("/tmp", "/dev/shm"):
        with contextlib.suppress(OSError):
            there = os.statvfs(f"/proc/{process}/root{folder}")
            made += there.f_files - there.f_ffree
    return made


def _memory(processes: list[psutil.Process], kind: str) -> int:
    used = 0
    for one in processes:
        with contextlib.suppress(psutil.Error):
            info = one.memory_info()
            with contextlib.suppress(psutil.AccessDenied):  # a process may hide its shared pages
                info = one.memory_full_info() if kind == "pss" else info
            used += getattr(info, kind, info.rss)
    return used


class Remote:
    """Something in the box: it can be called, its attributes read, and nothing else.

    It equals nothing and is neither true nor false, so no test can pass by comparing with it.
    """

    __slots__ = ("_box", "_handle")

    def __init__(self, box: Box, handle: int) -> None:
        self._box, self._handle = box, handle

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it in the box, with plain data or what came from there."""
        sent = [to_box(self._box, one) for one in arguments]
        named = {name: to_box(self._box, one) for name, one in keywords.items()}
        answer = self._box.ask("call", handle=self._handle, arguments=sent, keywords=named)
        return from_box(self._box, answer)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in JUDGMENTS:
            self._refuse()
        return from_box(self._box, self._box.ask("attribute", handle=self._handle, name=name))

    def _refuse(self, *_: Any) -> Any:
        raise TypeError("a student's object says nothing by itself: compare numbers or arrays")

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __len__ = _refuse
    __iter__ = __contains__ = __float__ = __int__ = __index__ = __array__ = _refuse
    __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def to_box(box: Box, value: Any) -> Any:
    """Encode a value for the box; what came from it goes back as its number."""
    if type(value) is Remote:
        if value._box is not box:
            raise BoxDied("it belongs to a box that is gone")
        return {"handle": value._handle}
    return codec.encode(value)


def from_box(box: Box, data: Any) -> Any:
    """Decode what the box returned: plain data, or a Remote.

    An array of nothing is refused: it broadcasts, and `allclose` of nothing is true.
    """
    try:
        return codec.decode(data, lambda handle: Remote(box, handle), empty=False)
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise StudentError(f"the returned value cannot be read: {error}") from None
