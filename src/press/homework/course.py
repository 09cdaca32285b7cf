"""An instructor's folder: where everything lies, and its settings.

``masters`` holds what the instructor writes; everything else is made from that and from uploads::

    homework.toml                       limits, name of the course
    nbgrader_config.py                  for JupyterLab's Formgrader
    masters/NAME.ipynb                  the one source of an assignment
    source/NAME/NAME.ipynb              the same in nbgrader's format
    release/NAME/NAME.ipynb             for students
    solutions/NAME.ipynb                executed, with solutions, for the instructor
    collected/NAME/STUDENT.ipynb        uploads as they came: never run, never shown
    answers/STUDENT/NAME/NAME.ipynb     from them, poured into the released notebook
    results/NAME/STUDENT.json           what grading found
    autograded/STUDENT/NAME/NAME.ipynb  for grading by hand
    feedback/NAME/STUDENT.html
    grades/NAME.csv, grades/NAME.svg
    students.csv                        who uploaded under which name and number
    gradebook.db                        nbgrader's
"""

import csv
import io
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from press.files import write_atomically
from press.homework.assignment import Assignment, HomeworkError, read_master
from press.homework.sandbox import Limits

FOLDER = "homework-private"
SETTINGS = "homework.toml"


@dataclass(frozen=True)
class Student:
    """Somebody who uploaded."""

    id: str
    name: str = ""
    number: str = ""
    """The number that the learning platform knows them by."""


@dataclass(frozen=True)
class Course:
    """One instructor's folder."""

    root: Path
    title: str
    site: str
    """Where the book is published: feedback links to its sections."""
    limits: Limits

    def master(self, name: str) -> Path:
        """Return the notebook that everything of an assignment is made from."""
        return self.root / "masters" / f"{name}.ipynb"

    def source(self, name: str) -> Path:
        """Return the master in nbgrader's format."""
        return self.root / "source" / name / f"{name}.ipynb"

    def release(self, name: str) -> Path:
        """Return what students get."""
        return self.root / "release" / name / f"{name}.ipynb"

    def solution(self, name: str) -> Path:
        """Return the executed notebook with solutions."""
        return self.root / "solutions" / f"{name}.ipynb"

    def collected(self, name: str) -> Path:
        """Return the folder of uploads as they came."""
        return self.root / "collected" / name

    def answers(self, name: str, student: str) -> Path:
        """Return a student's answers in the notebook that was handed out."""
        return self.root / "answers" / student / name / f"{name}.ipynb"

    def autograded(self, name: str, student: str) -> Path:
        """Return a student's notebook as nbgrader shows it for grading by hand."""
        return self.root / "autograded" / student / name / f"{name}.ipynb"

    def result(self, name: str, student: str) -> Path:
        """Return what grading a student's answers found."""
        return self.root / "results" / name / f"{student}.json"

    def feedback(self, name: str, student: str) -> Path:
        """Return the page that a student gets."""
        return self.root / "feedback" / name / f"{student}.html"

    def grades(self, name: str, ending: str) -> Path:
        """Return a table or picture of everybody's grades."""
        return self.root / "grades" / f"{name}{ending}"

    def assignment(self, name: str) -> Assignment:
        """Read an assignment's master."""
        return read_master(self.master(name))

    def students(self, name: str) -> list[str]:
        """Return who handed in answers to an assignment."""
        return sorted(path.parts[-3] for path in self.root.glob(f"answers/*/{name}/{name}.ipynb"))

    def roster(self) -> dict[str, Student]:
        """Return everybody who ever uploaded."""
        path = self.root / "students.csv"
        if not path.is_file():
            return {}
        with path.open(encoding="utf8", newline="") as file:
            return {row["id"]: Student(**row) for row in csv.DictReader(file)}

    def add_students(self, new: dict[str, Student]) -> None:
        """Add to the roster; who is there already keeps a name unless a new one is known."""
        everybody = self.roster() | new
        head = [one.name for one in fields(Student)]
        rows = [(one.id, one.name, one.number) for _, one in sorted(everybody.items())]
        write_atomically(self.root / "students.csv", as_csv([head, *rows]))


def open_course(root: Path) -> Course:
    """Return the course in a folder; raise HomeworkError if there is none or it cannot be read."""
    path = root / SETTINGS
    try:
        settings = tomllib.loads(path.read_text("utf8"))
    except (FileNotFoundError, NotADirectoryError):
        raise HomeworkError(
            f"no {path}: make the folder with `python -m press homework init {root}`"
        ) from None
    except (OSError, ValueError) as error:  # unreadable, no text, or no TOML
        raise HomeworkError(f"{path}: {error}") from None
    known = {one.name: one.type for one in fields(Limits)}
    given: dict[str, Any] = settings.get("limits", {})
    for key, value in given.items():
        if key not in known:
            raise HomeworkError(f"{path}: no limit is called {key}; there are: {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise HomeworkError(f"{path}: {key} is a positive number, not {value!r}")
    return Course(
        root.resolve(),
        str(settings.get("title", "A course")),
        str(settings.get("site", "")).rstrip("/"),
        Limits(**given),
    )


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return a table as text, whatever characters are in it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf8", "replace").decode("utf8")


def harmless(text: str) -> str:
    """Keep a spreadsheet from running a cell that begins like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
