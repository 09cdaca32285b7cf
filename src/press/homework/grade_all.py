"""Grading many submissions: each in a process of its own, over a Dask cluster, resumable.

Local workers are threads that do nothing but wait for such processes, so no port is opened that
takes work. What is graded is written at once; a run that was killed goes on where it stopped.
"""

import ast
import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import psutil

from press import cluster
from press.book import BookError
from press.files import write_atomically
from press.homework.assignment import HomeworkError, parse_master
from press.homework.course import Course
from press.homework.doctor import require_box
from press.homework.sandbox import MEGABYTE, Limits

GRACE = 30  # seconds on top of a submission's own limit: an instructor's test may hang, too


def grade_in_process(master: tuple[str, str], submission: str, limits: Limits, safe: bool) -> Any:
    """Grade in a process that is killed if it hangs; return the result as plain data.

    ``master`` is the assignment's name and its master's text.
    """
    context = multiprocessing.get_context("forkserver")
    # Imported once, by the process that each grader is forked from.
    context.set_forkserver_preload(["press.homework.grading", *_imports(*master)])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_child, args=(theirs, dict(os.environ), master, submission, limits, safe)
    )
    try:
        process.start()
    except AssertionError:
        raise HomeworkError(
            "this worker may not start processes: start it with `dask worker --no-nanny`"
        ) from None
    theirs.close()
    try:
        if not ours.poll(limits.submission_seconds + GRACE):
            return _failed("grading it took too long: does a test hang?", safe)
        return json.loads(ours.recv_bytes())
    except EOFError:
        return _failed("the process that graded it died", safe)
    finally:
        process.kill()
        process.join()
        ours.close()


@cache
def _imports(name: str, text: str) -> list[str]:
    """Return the modules that an assignment's tests and given cells import."""
    modules = {"nbformat", "numpy", "PIL.Image"}
    for cell in parse_master(name, text).notebook.cells:
        if cell.cell_type == "code" and not {"answer", "mutant"} & set(
            cell.metadata.get("tags", ())
        ):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Import):
                    modules |= {one.name for one in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules.add(node.module)
                    modules |= {f"{node.module}.{one.name}" for one in node.names}
    return sorted(modules)


def _failed(why: str, safe: bool) -> dict[str, Any]:
    from press.homework.grading import Result

    return Result(error=why, safe=safe).data()


def _child(
    answer: Any,
    environment: dict[str, str],
    master: tuple[str, str],
    submission: str,
    limits: Limits,
    safe: bool,
) -> None:
    from press.homework.grading import Result, grade, readable

    os.environ.clear()  # of the process that this one was forked from
    os.environ.update(environment)
    _keep_small(limits)
    try:
        notebook = nbformat.reads(submission, as_version=4)
        result = grade(parse_master(*master), notebook, limits, safe)
    except Exception as error:
        why = readable(f"{type(error).__name__}: {str(error)[:500]}")
        result = Result(error=why, safe=safe)
    answer.send_bytes(json.dumps(result.data()).encode())


def _keep_small(limits: Limits) -> None:
    """Let this process take no more memory than a box may.

    What students return is small, but a test may make much of it: two small arrays broadcast to a
    huge one. If memory runs out all the same, the kernel shall end this process or its box, and
    nothing else of the instructor's.
    """
    used = getattr(psutil.Process().memory_info(), "data", 0)
    with contextlib.suppress(OSError, ValueError):  # where the system knows these
        hardest = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (used + limits.memory_mb * MEGABYTE, hardest))
        Path("/proc/self/oom_score_adj").write_text("1000")


@contextlib.contextmanager
def workers(scheduler: str | None, count: int, security: Any = None) -> Iterator[Any]:
    """Yield a Dask client: of a cluster at ``scheduler``, or of ``count`` local workers."""
    with contextlib.ExitStack() as stack:
        threads = cluster.workers(scheduler, count, processes=False, security=security)
        try:
            client = stack.enter_context(threads)
        except BookError as error:
            raise HomeworkError(str(error)) from None
        yield client


def need_boxes(client: Any, limits: Limits) -> None:
    """Raise NoSandbox unless a box holds on every worker's machine."""
    client.run(require_box, limits, [])


def to_grade(course: Course, name: str, students: list[str], safe: bool) -> dict[str, str]:
    """Return the fingerprint of everything that a student's result depends on, by student."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    given = course.master(name).read_bytes(), repr(asdict(course.limits)), safe
    code.update(repr(given).encode())
    prints = {}
    for student in students:
        one = code.copy()
        one.update(course.answers(name, student).read_bytes())
        prints[student] = one.hexdigest()
    return prints


def already_graded(course: Course, name: str, prints: dict[str, str]) -> set[str]:
    """Return the students whose result is of just these answers, tests, limits and code."""
    done = set()
    for student, fingerprint in prints.items():
        try:
            result = json.loads(course.result(name, student).read_text("utf8"))
        except (OSError, ValueError):
            continue
        if not isinstance(result, dict) or result.get("error"):
            continue
        if result.get("fingerprint") == fingerprint:
            done.add(student)
    return done


def grade_all(
    client: Any,
    course: Course,
    name: str,
    prints: dict[str, str],
    safe: bool,
    done: Callable[[str, dict[str, Any]], None],
) -> None:
    """Grade the submissions of ``prints`` and write each result as it arrives."""
    from distributed import as_completed

    master = (name, course.master(name).read_text("utf8"))
    futures = {
        client.submit(
            grade_in_process,
            master,
            course.answers(name, student).read_text("utf8"),
            course.limits,
            safe,
            pure=False,
            retries=2,
            key=f"{student}-{fingerprint[:8]}",
        ): student
        for student, fingerprint in prints.items()
    }
    for future in as_completed(futures):
        student = futures[future]
        try:
            result = future.result()
        except HomeworkError:
            raise
        except Exception as error:
            result = _failed(f"its worker failed: {type(error).__name__}: {error}", safe)
        result["fingerprint"] = prints[student]
        path = course.result(name, student)
        write_atomically(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        done(student, result)
