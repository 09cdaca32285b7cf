"""The two example assignments, and the page that leads an instructor through one of them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from homework_toy import make_course

from press.homework.check import check

REPOSITORY = Path(__file__).parents[3]
MASTERS = sorted((REPOSITORY / "homework/masters").glob("*.ipynb"))
PAGE = REPOSITORY / "book/homework.md"


@pytest.fixture(scope="module", params=MASTERS, ids=lambda path: path.stem)
def example(request, tmp_path_factory):
    path = request.param
    course = make_course(tmp_path_factory.mktemp("example") / "c", path.read_text(), path.stem)
    return course, course.assignment(path.stem)


def test_an_example_is_proven(example):
    findings = check(*example, REPOSITORY, safe=True)
    assert [(one.what, one.detail) for one in findings if not one.holds] == []
    assert sum(one.what.startswith("exhibit") for one in findings) >= 2
    assert sum(one.what.startswith("mutant") for one in findings) >= 5


def test_the_published_student_version_is_of_todays_master(example):
    course, assignment = example
    published = REPOSITORY / "homework/student" / f"{assignment.name}.ipynb"
    ours = nbformat.reads(published.read_text(), as_version=4)
    fresh = nbformat.read(course.release(assignment.name), as_version=4)
    assert ours == fresh, "build it again with --student-to homework/student"


def test_an_example_is_worth_ten_points_and_names_sections_that_exist(example):
    _, assignment = example
    assert assignment.points == 10
    assert 3 <= len(assignment.exercises) <= 5
    assert assignment.by_hand
    topic = assignment.notebook.metadata.homework.topic
    chapter = nbformat.read(REPOSITORY / "book" / f"{topic}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in chapter.cells)
    for exercise in assignment.exercises:
        assert f"({exercise.reread})=" in text
    assert "example assignment" in assignment.notebook.cells[0].source


def test_exhibits_stand_in_the_museum(example):
    _, assignment = example
    topic = assignment.notebook.metadata.homework.topic
    chapter = nbformat.read(REPOSITORY / "book" / f"{topic}.ipynb", as_version=4)
    museum = " ".join(cell.source for cell in chapter.cells if "museum" in cell.id).lower()
    from dlnotes.lab.topic import load_topic

    for exhibit in load_topic(assignment.name).museum:
        words = [word for word in re.findall(r"\w+", exhibit.lower()) if len(word) > 3]
        assert all(word in museum for word in words), exhibit


def commands():
    """Every command of the page, in order."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE.read_text())
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_page_is_followed_command_by_command(tmp_path):
    """From nothing to an exported grade sheet, as the page says it."""
    for name in ("book", "homework", "src"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    lines = commands()
    assert lines[:2] == ["make homework", "alias homework='.venv/bin/python -m press homework'"]
    verbs = [shlex.split(line)[1] for line in lines[2:]]
    assert verbs == (
        "doctor init build check rehearse collect grade mark mark mark mark "
        "feedback export report".split()
    )
    environment = {**os.environ, "COLUMNS": "200"}
    said = {}
    for line in lines[2:]:
        words = [sys.executable, "-m", "press", *shlex.split(line)]
        ran = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        said[words[4]] = ran.stdout
    course = tmp_path / "homework-private"
    grades = (course / "grades/self_attention-moodle.csv").read_text().splitlines()
    points = dict(line.split(",")[1:3] for line in grades[1:])
    assert points == {
        "perfect-000": "10",
        "half-001": "5",
        "blank-002": "0",
        "syntax-003": "6",
        "loop-004": "6",
        "hostile-005": "0",
    }
    assert len(list((course / "feedback/self_attention").glob("*.html"))) == 6
    assert "axes are labeled" in (course / "feedback/self_attention/1001.html").read_text()
    assert (course / "grades/self_attention.svg").is_file()
    assert "6 collected" in said["collect"]
    solved = nbformat.read(course / "solutions/self_attention.ipynb", as_version=4)
    assert any("image/png" in str(cell.get("outputs")) for cell in solved.cells)


def test_every_option_that_the_page_names_exists():
    from typer.testing import CliRunner

    from press.homework.cli import app

    text = PAGE.read_text()
    verbs = set(re.findall(r"homework ([a-z]+) self_attention", text))
    helped = " ".join(CliRunner().invoke(app, [verb, "--help"]).output for verb in sorted(verbs))
    for option in set(re.findall(r"--[a-z][a-z-]+", text)) - {"--no-nanny"}:
        assert option in helped, option
