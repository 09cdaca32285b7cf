"""Proof that an assignment is sound, before anybody else sees it."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from dlnotes.lab.topic import parse_topic
from press.homework.assignment import (
    Assignment,
    HomeworkError,
    secrets,
    solutions,
    source_notebook,
)
from press.homework.canonical import filled_in, pour
from press.homework.course import Course
from press.homework.grading import Result, grade


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    holds: bool
    detail: str = ""


def check(course: Course, assignment: Assignment, book: Path, safe: bool) -> list[Finding]:
    """Look at everything that has to hold of an assignment; grade its own answers to find out."""
    need_built(course, assignment)
    release = course.release(assignment.name)
    released = nbformat.read(release, as_version=4)
    answers = solutions(assignment)
    full = _graded(course, assignment, released, answers, safe)
    again = _graded(course, assignment, released, answers, safe)
    blank = _graded(course, assignment, released, {}, safe)
    findings = [
        Finding(
            "the solution passes every test",
            not _failed(assignment, full) and not full.error,
            _why(assignment, full),
        ),
        Finding("the tests give the same score twice", full.scores == again.scores),
        Finding(
            "a blank notebook passes no test",
            not blank.error and not any(blank.scores.values()),
            ", ".join(test for test, points in blank.scores.items() if points),
        ),
        Finding("nothing secret in the student's notebook", *_leaks(assignment, release)),
    ]
    in_code = {
        cell.metadata.nbgrader.grade_id for cell in released.cells if cell.cell_type == "code"
    }
    for hollow in ("[]", "float('nan')", "NotImplemented"):
        emptied = {id: _hollow(answers[id], hollow) for id in answers if id in in_code}
        result = _graded(course, assignment, released, emptied, safe)
        earned = ", ".join(test for test, points in result.scores.items() if points)
        what = f"functions that return {hollow} pass no test"
        findings.append(Finding(what, not result.error and not earned, earned))
    for mutant in assignment.mutants:
        result = _graded(course, assignment, released, answers | {mutant.of: mutant.source}, safe)
        caught = sorted(_failed(assignment, result))
        said = f"caught by {', '.join(caught)}" if caught else "no test notices"
        findings.append(Finding(f"mutant: {mutant.name}", bool(caught), said))
    findings += _against_chapter(assignment, book)
    return findings


def need_built(course: Course, assignment: Assignment) -> None:
    """Raise HomeworkError if the student version is not of today's master."""
    release = course.release(assignment.name)
    if not release.is_file():
        raise HomeworkError(f"no {release}: first `build {assignment.name}`")
    if _stale(course, assignment):
        raise HomeworkError(
            f"the master of {assignment.name} was changed: `build` it again, then `check` it"
        )


def _graded(
    course: Course, assignment: Assignment, released: Any, answers: dict[str, str], safe: bool
) -> Result:
    """Grade the released notebook with these answers in it, on the way every upload takes."""
    notebook, _ = pour(released, filled_in(released, answers))
    return grade(assignment, notebook, course.limits, safe)


class _Hollow(ast.NodeTransformer):
    """Let every function return one thing, whatever it is asked; objects can still be made."""

    def __init__(self, value: str) -> None:
        self.body: list[ast.stmt] = [ast.Return(ast.parse(value, mode="eval").body)]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name != "__init__":
            node.body = self.body
        return node


def _hollow(source: str, value: str) -> str:
    return ast.unparse(ast.fix_missing_locations(_Hollow(value).visit(ast.parse(source))))


def _stale(course: Course, assignment: Assignment) -> bool:
    built = nbformat.read(course.source(assignment.name), as_version=4)
    wanted = source_notebook(assignment)
    was, now = (
        [(cell.source, cell.metadata.nbgrader) for cell in one.cells] for one in (built, wanted)
    )
    return was != now


def _failed(assignment: Assignment, result: Result) -> list[str]:
    return [test.id for test in assignment.tests if not result.scores.get(test.id)]


def _why(assignment: Assignment, result: Result) -> str:
    said = result.messages | result.private
    failed = [f"{test}: {said.get(test, '?')}" for test in _failed(assignment, result)]
    return result.error or "; ".join(failed + [f"{k}: {v}" for k, v in result.cell_errors.items()])


def _leaks(assignment: Assignment, release: Path) -> tuple[bool, str]:
    """Look for secret lines anywhere in the student's file, not only in its cells."""

    def strings(data: Any) -> Any:
        if isinstance(data, str):
            yield from (line.strip() for line in data.splitlines())
        elif isinstance(data, dict | list):
            for item in data.values() if isinstance(data, dict) else data:
                yield from strings(item)

    there = set(strings(json.loads(release.read_text("utf8"))))
    found = [f"{line!r} of {cell}" for line, cell in secrets(assignment).items() if line in there]
    return not found, "; ".join(found)


def _against_chapter(assignment: Assignment, book: Path) -> list[Finding]:
    """Look whether the chapter has the sections named, and a mutant stands for each of its bugs."""
    topic = assignment.topic
    if topic is None:
        return []
    record, chapter = book / "src/dlnotes" / f"{topic}.yml", book / "book" / f"{topic}.ipynb"
    if not (record.is_file() and chapter.is_file()):
        raise HomeworkError(f"{assignment.name}: no chapter {topic}")
    text = chapter.read_text("utf8")
    labels = [one.reread for one in assignment.exercises if one.reread]
    named = {mutant.name for mutant in assignment.mutants}
    return [
        Finding(f"reread: {label}", f"({label})=" in text, f"a section of {topic}")
        for label in dict.fromkeys(labels)
    ] + [
        Finding(f"exhibit: {one}", one in named, "" if one in named else "no mutant stands for it")
        for one in parse_topic(record.read_text("utf8"), record.stem).museum
    ]
