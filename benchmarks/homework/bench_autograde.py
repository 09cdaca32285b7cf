"""What grading a submission costs, beside `nbgrader autograde`, which runs it without a box.

CPU seconds of all processes, on the same honest submissions, one command after the other. Ours does
more: a box per submission, tests in two passes, an export-ready gradebook in both cases.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from homework_toy import make_course

from press.files import write_atomically
from press.homework.rehearsal import uploads
from press.homework.uploads import collect

REPOSITORY = Path(__file__).parents[2]
HONEST = ("perfect", "half", "blank", "syntax")
AT_MOST = 0.5
PRCTL, SET_CHILD_SUBREAPER = ctypes.CDLL(None).prctl, 36


def cpu_seconds(command, folder):
    """CPU seconds of a command and of everything that it starts, orphans included."""
    PRCTL(SET_CHILD_SUBREAPER, 1)  # they become ours when their parents end
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("name", ["self_attention", "kalman_filter"])
def bench_a_submission_costs_at_most_half_of_nbgraders(name, tmp_path, request):
    if not request.config.getoption("benchmark_enable"):
        pytest.skip("measured by make bench, on an idle machine")
    text = (REPOSITORY / "homework/masters" / f"{name}.ipynb").read_text()
    course = make_course(tmp_path / "course", text, name)
    released = nbformat.read(course.release(name), as_version=4)
    made = uploads(course.assignment(name), released, 24)
    honest = {who: one for who, one in made.items() if who.startswith(HONEST)}
    folder = tmp_path / "uploads"
    folder.mkdir()
    for who, (upload, _) in honest.items():
        (folder / f"{who}.ipynb").write_text(upload)
    collect(course, name, folder)
    theirs = tmp_path / "theirs"
    shutil.copytree(course.root, theirs)
    shutil.copytree(theirs / "answers", theirs / "submitted")
    (theirs / "nbgrader_config.py").unlink(missing_ok=True)
    press = [sys.executable, "-m", "press", "homework", "grade", name, "--workers", "1"]
    ours_cpu = cpu_seconds([*press, "--course", str(course.root)], REPOSITORY)
    nbgrader = [sys.executable, "-m", "nbgrader", "autograde", name]
    nbgrader += ["--CourseDirectory.course_id=homework"]
    theirs_cpu = cpu_seconds(nbgrader, theirs)
    ratio = ours_cpu / theirs_cpu
    found = {
        "submissions": len(honest),
        "ours_cpu_seconds": round(ours_cpu / len(honest), 2),
        "nbgrader_cpu_seconds": round(theirs_cpu / len(honest), 2),
        "ratio": round(ratio, 2),
    }
    path = REPOSITORY / "homework/benchmark.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    write_atomically(path, json.dumps(stored | {name: found}, indent=1) + "\n")
    assert ratio <= AT_MOST
