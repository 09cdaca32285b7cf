"""nbgrader's part: the student version, and the gradebook behind its Formgrader.

nbgrader never runs anything here. What the box found is written into its database, and into the
notebooks that the Formgrader shows.
"""

import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat

from press.files import write_atomically
from press.homework.assignment import STUB, Assignment, HomeworkError, source_notebook
from press.homework.course import Course

CONFIGURATION = """# For JupyterLab's Formgrader; grades come from `python -m press homework grade`.
from pathlib import Path

c = get_config()
c.CourseDirectory.course_id = "homework"
c.CourseDirectory.root = str(Path(__file__).parent)
# nbgrader's own grading would run strangers' code as you: it finds none, and runs nothing.
c.CourseDirectory.submitted_directory = "nothing-for-nbgrader-to-run"
c.Autograde.autograde_preprocessors = []
"""


@dataclass(frozen=True)
class Score:
    """One student's grade for one assignment."""

    student: str
    points: dict[str, float]
    """By exercise."""
    total: float
    waiting: tuple[str, ...]
    """Answers that nobody has graded yet."""
    comments: dict[str, str]
    """By answer, what the instructor wrote."""
    safe: bool
    """Whether the student's code ran in a box."""


def release(course: Course, assignment: Assignment) -> None:
    """Write the assignment in nbgrader's format, and let nbgrader make the student version."""
    with _nbgrader():
        from nbgrader.converters import GenerateAssignment
        from nbgrader.coursedir import CourseDirectory
        from traitlets.config import Config

        files = course.source(assignment.name), course.release(assignment.name)
        before = {path: path.read_bytes() for path in files if path.is_file()}
        write_atomically(files[0], nbformat.writes(source_notebook(assignment)) + "\n")
        config = Config()
        config.CourseDirectory.root = str(course.root)
        config.CourseDirectory.course_id = "homework"
        config.CourseDirectory.assignment_id = assignment.name
        config.ClearSolutions.code_stub = {"python": STUB}
        config.ClearSolutions.text_stub = "Your answer"
        config.GenerateAssignment.force = True
        converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        said = io.StringIO()
        converter.log.handlers[:] = [logging.StreamHandler(said)]
        try:
            converter.start()
        except (Exception, SystemExit):
            for path in files:
                path.unlink(missing_ok=True)
            for path, data in before.items():
                write_atomically(path, data)
            raise HomeworkError(_refusal(assignment.name, said.getvalue())) from None


def _refusal(name: str, said: str) -> str:
    """Say why nbgrader made no student version."""
    if "Cannot add or remove cells" in said:
        return (
            f"submissions of {name} are in the gradebook already: no cell can be added or removed "
            "any more, nor an id changed; what stands in a cell, and its points, can"
        )
    last = said.strip().splitlines()[-4:]
    return f"nbgrader made no student version: {' '.join(last)}"


def record(course: Course, assignment: Assignment, student: str) -> None:
    """Write a student's result into the gradebook, and the notebook that the Formgrader shows.

    Points given by hand stay; an answer that changed since then is marked for another look.
    """
    name = assignment.name
    result = json.loads(course.result(name, student).read_text("utf8"))
    if result["error"]:
        return  # no score is better than a wrong one
    shown = course.autograded(name, student)
    old = nbformat.read(shown, as_version=4) if shown.is_file() else None
    if old and old.metadata.get("homework") == {"fingerprint": result["fingerprint"]}:
        return
    submitted = nbformat.read(course.answers(name, student), as_version=4)
    blank = _answers(nbformat.read(course.release(name), as_version=4))
    page = _for_formgrader(assignment, submitted, result)
    given, now, before = _answers(submitted), _answers(page), _answers(old) if old else {}
    person = course.roster().get(student)
    with _open(course) as book:
        book.update_or_create_student(student, last_name=person.name if person else "")
        book.update_or_create_submission(name, student)
        for test, points in result["scores"].items():
            grade = book.find_grade(test, name, name, student)
            grade.auto_score, grade.needs_manual_grade = points, False
        for answer in assignment.by_hand:
            grade = book.find_grade(answer, name, name, student)
            empty, unseen = given.get(answer) == blank.get(answer), grade.manual_score is None
            waits = grade.needs_manual_grade or unseen or now.get(answer) != before.get(answer)
            grade.auto_score = 0.0 if empty else None
            grade.needs_manual_grade = waits and not (empty and unseen)
        for answer in assignment.owner:
            comment = book.find_comment(answer, name, name, student)
            comment.auto_comment = "No answer." if given.get(answer) == blank.get(answer) else None
        book.db.commit()
    write_atomically(shown, nbformat.writes(page) + "\n")


def mark(
    course: Course, assignment: Assignment, student: str, answer: str, points: float, comment: str
) -> None:
    """Give points to an answer that is graded by hand."""
    if answer not in assignment.by_hand:
        there = ", ".join(assignment.by_hand) or "none"
        raise HomeworkError(f"{answer!r} is not graded by hand; these answers are: {there}")
    if not 0 <= points <= assignment.by_hand[answer]:
        most = assignment.by_hand[answer]
        raise HomeworkError(f"{answer} gives 0 to {most:g} points, not {points:g}")
    if student not in graded(course, assignment.name):
        raise HomeworkError(f"nothing of {student!r} has been graded yet")
    with _open(course) as book:
        grade = book.find_grade(answer, assignment.name, assignment.name, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        if comment:
            said = book.find_comment(answer, assignment.name, assignment.name, student)
            said.manual_comment = comment
        book.db.commit()


def graded(course: Course, name: str) -> list[str]:
    """Return the students whose result of an assignment is in the gradebook."""
    return sorted(path.parts[-3] for path in course.root.glob(f"autograded/*/{name}/{name}.ipynb"))


def scores(course: Course, assignment: Assignment) -> list[Score]:
    """Return everybody's grade for an assignment."""
    name, found = assignment.name, []
    if not graded(course, name):
        raise HomeworkError(f"nothing of {name} is graded yet: first `collect`, then `grade`")
    owner = {test.id: test.exercise for test in assignment.tests} | {
        answer: assignment.owner[answer] for answer in assignment.by_hand
    }
    with _open(course) as book:
        for student in graded(course, name):
            result = json.loads(course.result(name, student).read_text("utf8"))
            notebook = book.find_submission_notebook(name, name, student)
            points = dict.fromkeys((exercise.id for exercise in assignment.exercises), 0.0)
            waiting = []
            for grade in notebook.grades:
                points[owner[grade.name]] += grade.score
                if grade.needs_manual_grade:
                    waiting.append(grade.name)
            comments = {
                comment.name: comment.manual_comment
                for comment in notebook.comments
                if comment.manual_comment
            }
            if result["error"]:  # the points are of an earlier upload
                waiting.append("grading")
            total = sum(points.values())
            found.append(
                Score(student, points, total, tuple(sorted(waiting)), comments, result["safe"])
            )
    return found


@contextmanager
def _open(course: Course) -> Iterator[Any]:
    with _nbgrader():
        from nbgrader.api import Gradebook

        path = course.root / "gradebook.db"
        if not path.is_file():
            raise HomeworkError(f"no {path}: build the assignment first")
        with Gradebook(f"sqlite:///{path}", "homework") as book:
            yield book


@contextmanager
def _nbgrader() -> Iterator[None]:
    """Let nbgrader find what it calls, and keep its own deprecated calls to itself."""
    if find_spec("nbgrader") is None:
        raise HomeworkError("nbgrader is not installed: `make homework` adds it")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"  # alembic lies there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ["PATH"] = before


def _answers(notebook: Any) -> dict[str, str]:
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def _for_formgrader(assignment: Assignment, submitted: Any, result: dict[str, Any]) -> Any:
    """Return the student's notebook with whole tests and what the box found.

    A student's Markdown is shown as the text it is: the Formgrader would run scripts in it.
    """
    notebook = nbformat.from_dict(submitted)
    tests = {test.id: test for test in assignment.tests}
    for cell in notebook.cells:
        grader = cell.metadata.get("nbgrader", {})
        id = grader.get("grade_id")
        if cell.cell_type == "markdown" and not grader.get("locked"):
            longest = max((len(run) for run in re.findall(r"~+", cell.source)), default=0)
            fence = "~" * max(3, longest + 1)
            cell.source = f"{fence}text\n{cell.source}\n{fence}"
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if id in result["cell_errors"]:
            cell.outputs.append(_text(result["cell_errors"][id]))
        for picture in result["pictures"].get(id, ()):
            cell.outputs.append(nbformat.v4.new_output("display_data", data={"image/png": picture}))
        if id in tests:
            cell.source = tests[id].source
            failed = result["private"].get(id) or result["messages"].get(id)
            cell.outputs.append(_text(failed or f"passed: {tests[id].points:g} points"))
    notebook.metadata.homework = {"fingerprint": result["fingerprint"]}
    return notebook


def _text(text: str) -> Any:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def write_configuration(folder: Path) -> None:
    """Write what the Formgrader needs to find the course."""
    write_atomically(folder / "nbgrader_config.py", CONFIGURATION)
