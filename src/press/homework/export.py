"""Grades as tables for a spreadsheet, Moodle and Canvas, and as a picture."""

import csv
import io
import re
from pathlib import Path

from press.homework.assignment import Assignment, HomeworkError
from press.homework.course import Course, Student, as_csv, harmless
from press.homework.gradebook import Score

FORMATS = ("csv", "moodle", "canvas")
PLATFORMS = ("moodle", "canvas")


def table(course: Course, assignment: Assignment, scores: list[Score], format: str) -> str:
    """Return the grades in a format of ``FORMATS``."""
    if format == "csv":
        return _plain(course, assignment, scores)
    roster = course.roster()
    rows: list[list[object]] = []
    for score in scores:
        person = numbered(roster, score.student, format)
        if format == "moodle":
            rows.append([f"Participant {person.number}", person.name, f"{score.total:g}", ""])
        else:
            rows.append([person.name, person.number, "", "", "", f"{score.total:g}"])
    if format == "moodle":
        head = [["Identifier", "Full name", "Grade", "Last modified (grade)"]]
    else:
        head = [
            ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment.name],
            ["    Points Possible", "", "", "", "", f"{assignment.points:g}"],
        ]
    return as_csv([*head, *rows])


def fill_in(
    course: Course, sheet: Path, column: str | None, scores: list[Score], format: str
) -> tuple[str, list[str]]:
    """Return a table downloaded from Moodle or Canvas with the grades filled in.

    Everything else in it stays as it is; students who handed in nothing keep an empty grade. Those
    who were graded but are not in the table, since they left the course, are returned, too.
    """
    if format not in PLATFORMS:
        raise HomeworkError("only tables of Moodle and Canvas can be filled in: say --format")
    try:
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise HomeworkError(f"{sheet} cannot be read: {error}") from None
    head = rows[0] if rows else []
    column = column or ("Grade" if format == "moodle" else "")
    if column not in head:
        missing = f"has no column {column!r}" if column else "has many columns"
        raise HomeworkError(f"{sheet} {missing}; name one with --column: {', '.join(head)}")
    if format == "canvas" and "ID" not in head:
        raise HomeworkError(f"{sheet} has no column 'ID': is it Canvas's gradebook?")
    # Moodle's first column is the number, whatever it is called in its language.
    number, grade = 0 if format == "moodle" else head.index("ID"), head.index(column)
    roster = course.roster()
    points = {numbered(roster, one.student, format).number: one.total for one in scores}
    graded = len(points)
    for row in rows[1:]:
        row.extend([""] * (len(head) - len(row)))
        key = re.sub(r"^\D*", "", row[number]).strip()  # "Participant 1001"
        if key in points:
            row[grade] = f"{points.pop(key):g}"
    if len(points) == graded:
        raise HomeworkError(
            f"{sheet} has none of the students that were graded: is it the right one?"
        )
    return as_csv(rows), list(points)


def _plain(course: Course, assignment: Assignment, scores: list[Score]) -> str:
    exercises = [one.id for one in assignment.exercises]
    rows: list[list[object]] = [
        ["student", "name", *exercises, "total", "points possible", "to be graded", "sandbox"]
    ]
    roster = course.roster()
    for score in scores:
        name = roster[score.student].name if score.student in roster else ""
        rows.append(
            [
                harmless(score.student),
                harmless(name),
                *(f"{score.points[one]:g}" for one in exercises),
                f"{score.total:g}",
                f"{assignment.points:g}",
                " ".join(score.waiting),
                "yes" if score.safe else "unsafe",
            ]
        )
    return as_csv(rows)


def numbered(roster: dict[str, Student], student: str, format: str) -> Student:
    """Return a student whose number on the platform is known; raise HomeworkError if it is not."""
    person = roster.get(student)
    if person is None or not person.number:
        raise HomeworkError(
            f"{student} has no number of {format.capitalize()}: "
            "was this upload downloaded from there? `--format csv` needs none"
        )
    return person


def report(assignment: Assignment, scores: list[Score], passed: dict[str, float]) -> str:
    """Return a picture (SVG): how points are distributed, and which share passed each test."""
    import matplotlib.pyplot as plt
    import numpy as np

    from dlnotes import lab
    from dlnotes.lab import PALETTE

    lab.use_house_style()
    totals = np.array([score.total for score in scores])
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(9, 1.2 + 0.3 * max(6, len(passed))), width_ratios=[1, 1.2]
    )
    most = assignment.points
    edges = np.arange(-0.5, np.ceil(most) + 1) if most <= 40 else np.linspace(0, most, 21)
    left.hist(totals, bins=edges, color=PALETTE["blue"])
    left.axvline(np.median(totals), color=PALETTE["orange"])
    left.annotate(
        f"median {np.median(totals):g}",
        (np.median(totals), 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, 3),
        textcoords="offset points",
        color=PALETTE["orange"],
    )
    left.set(xlabel=f"points of {most:g}", ylabel="students")
    left.yaxis.get_major_locator().set_params(integer=True)
    names = list(passed)[::-1]
    right.barh(names, [100 * passed[name] for name in names], color=PALETTE["green"])
    for row, name in enumerate(names):
        right.text(100 * passed[name] + 1, row, f"{100 * passed[name]:.0f}", va="center")
    right.set(xlim=(0, 110), xlabel="students who passed, %")
    file = io.StringIO()
    fig.savefig(file, format="svg")
    plt.close(fig)
    return file.getvalue()
