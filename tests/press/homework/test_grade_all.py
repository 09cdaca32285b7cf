"""Many submissions: nothing is lost when a grader or a worker dies, nothing is graded twice."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from homework_toy import SOLVED, make_course, upload

from press.homework import gradebook
from press.homework.assignment import HomeworkError
from press.homework.course import open_course
from press.homework.grade_all import already_graded, grade_all, need_boxes, to_grade, workers
from press.homework.rehearsal import moodle_zip, uploads
from press.homework.uploads import collect

SLOW = SOLVED | {"count": "import time\ntime.sleep(1)\n" + SOLVED["count"]}


def hand_in(course, released, folder, answers):
    folder.mkdir()
    for student, answer in answers.items():
        (folder / f"{student}.ipynb").write_text(upload(released, answer))
    collect(course, "toy", folder)
    return to_grade(course, "toy", course.students("toy"), safe=True)


def total(course, student):
    return sum(json.loads(course.result("toy", student).read_text())["scores"].values())


def command(course, *words):
    return [sys.executable, "-m", "press", "homework", *words, "--course", str(course.root)]


def test_a_killed_run_goes_on_where_it_stopped(course, released, tmp_path):
    prints = hand_in(course, released, tmp_path / "up", {f"s{n}": SLOW for n in range(6)})
    run = subprocess.Popen(
        command(course, "grade", "toy", "--workers", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    results = course.result("toy", "x").parent
    deadline = time.monotonic() + 120
    while len(list(results.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGKILL)
    run.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "boxes and graders end with the run"
    done = already_graded(course, "toy", prints)
    assert 2 <= len(done) < 6
    before = {one: course.result("toy", one).stat().st_mtime_ns for one in done}
    again = subprocess.run(
        command(course, "grade", "toy"), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{len(done)} graded before" in again.stdout
    assert {total(course, f"s{n}") for n in range(6)} == {10}
    after = {one: course.result("toy", one).stat().st_mtime_ns for one in done}
    assert before == after


def test_what_changed_is_graded_again(course, released, tmp_path):
    prints = hand_in(course, released, tmp_path / "up", {"ada": SOLVED, "bob": SOLVED})
    with workers(None, 2) as client:
        grade_all(client, course, "toy", prints, True, lambda *_: None)
    assert already_graded(course, "toy", prints) == {"ada", "bob"}
    (tmp_path / "up/ada.ipynb").write_text(upload(released, SOLVED | {"fit": "pass"}))
    collect(course, "toy", tmp_path / "up")
    assert already_graded(course, "toy", to_grade(course, "toy", ["ada", "bob"], True)) == {"bob"}
    assert not already_graded(course, "toy", to_grade(course, "toy", ["ada", "bob"], False))
    settings = course.root / "homework.toml"
    settings.write_text(settings.read_text() + "memory_mb = 999\n")
    stricter = open_course(course.root)
    assert not already_graded(stricter, "toy", to_grade(stricter, "toy", ["ada", "bob"], True))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": 3}'])
def test_a_result_that_is_not_whole_is_none(course, released, tmp_path, content):
    prints = hand_in(course, released, tmp_path / "up", {"ada": SOLVED})
    path = course.result("toy", "ada")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert already_graded(course, "toy", prints) == set()


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers in processes of their own, as on a cluster."""
    started = []

    def start(*words):
        one = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(one)
        return one

    file = tmp_path / "scheduler.json"
    start(
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    )
    two = [
        start(
            "worker",
            "--scheduler-file",
            str(file),
            "--no-nanny",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--death-timeout",
            "60",
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"], two
    for one in started:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def test_a_worker_killed_midway_loses_nobody(course, released, tmp_path, cluster):
    address, two = cluster
    prints = hand_in(course, released, tmp_path / "up", {f"s{n}": SLOW for n in range(6)})
    done = []

    def finished(student, _):
        done.append(student)
        if len(done) == 1:
            two[0].kill()

    with workers(address, 0) as client:
        client.wait_for_workers(2, timeout=60)
        need_boxes(client, course.limits)
        grade_all(client, course, "toy", prints, True, finished)
    assert sorted(done) == sorted(prints)
    assert {total(course, student) for student in prints} == {10}


def test_no_scheduler_at_the_address():
    with (
        pytest.raises(HomeworkError, match="no Dask scheduler answers at tcp://127"),
        workers("tcp://127.0.0.1:9", 1),
    ):
        pass


def test_a_hundred_made_up_submissions_get_what_they_deserve(tmp_path):
    """Perfect, half right, blank, syntax error, loop, hostile in equal parts, on two workers."""
    import nbformat

    course = make_course(tmp_path / "course", call_seconds=2, memory_mb=300, restarts=3)
    toy = course.assignment("toy")
    made = uploads(toy, nbformat.read(course.release("toy"), as_version=4), 100)
    path = tmp_path / "uploads.zip"
    path.write_bytes(moodle_zip(made, "toy"))
    report = collect(course, "toy", path)
    assert {one.outcome for one in report} == {"collected"}
    with workers(None, 2) as client:
        prints = to_grade(course, "toy", course.students("toy"), safe=True)
        assert len(prints) == 100
        grade_all(client, course, "toy", prints, True, lambda *_: None)
    names = {student: one.name for student, one in course.roster().items()}
    got = {names[student]: total(course, student) for student in prints}
    assert got == {name: score for name, (_, score) in made.items()}


def test_a_box_that_does_not_start_is_no_score(course, released, tmp_path, monkeypatch):
    """The machine failed, not the student: nobody gets a zero for that."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "bwrap").write_text("#!/bin/sh\necho no namespaces >&2\nexit 1\n")
    (fake / "bwrap").chmod(0o755)
    prints = hand_in(course, released, tmp_path / "up", {"ada": SOLVED})
    monkeypatch.setenv("PATH", f"{fake}{os.pathsep}{os.environ['PATH']}")
    with workers(None, 1) as client:
        grade_all(client, course, "toy", prints, True, lambda *_: None)
    result = json.loads(course.result("toy", "ada").read_text())
    assert "a box did not start: no namespaces" in result["error"]
    assert not result["scores"]
    assert already_graded(course, "toy", prints) == set()
    gradebook.record(course, course.assignment("toy"), "ada")
    assert gradebook.graded(course, "toy") == []
