"""A master notebook: what its tags say, what is wrong with it, and what is made of it."""

import json
import re

import nbformat
import pytest
from homework_toy import EXERCISES, cell, make_course, master, toy_cells

from press.homework.assignment import HomeworkError, parse_master, secrets, source_notebook
from press.homework.check import _leaks, _stale, check
from press.homework.solution import executed


def test_exercises_tests_and_mutants_are_found():
    toy = parse_master("toy", master())
    assert [(one.id, one.title, one.points) for one in toy.exercises] == [
        ("ex-softmax", "The exercise softmax", 3),
        ("ex-count", "The exercise count", 2),
        ("ex-fit", "The exercise fit", 5),
    ]
    assert toy.points == 10
    assert [test.id for test in toy.tests][:2] == ["softmax-public", "softmax-hidden"]
    assert [test.hides for test in toy.tests] == [False, True] * 3
    assert "109386" not in toy.tests[3].public
    assert "109386" in toy.tests[3].whole
    assert [(one.name, one.of) for one in toy.mutants] == [("nine", "count")]


def test_the_source_is_in_nbgraders_format_and_without_mutants():
    source = source_notebook(parse_master("toy", master()))
    assert all("tags" not in one.metadata for one in source.cells)
    kinds = [(one.metadata.nbgrader.solution, one.metadata.nbgrader.grade) for one in source.cells]
    assert kinds.count((True, False)) == 3
    assert kinds.count((False, True)) == 6
    assert "return 9" not in json.dumps(source)


def broken(place, **changes):
    """The toy's cells with one of them changed."""
    cells = toy_cells()
    one = cells[place]
    if "tags" in changes:
        one.metadata["tags"] = changes.pop("tags")
    one.update(changes)
    return cells


ANSWER, TEST, HIDDEN, MUTANT = 3, 4, 5, -1


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (broken(ANSWER, tags=["answer"]), r"cell 4 \(answer\): needs a tag id="),
        (broken(ANSWER, tags=["answer", "id=With Space"]), "needs a tag id="),
        (broken(ANSWER, tags=["answer", "id=x", "size=2"]), "answer cells have no size"),
        (broken(ANSWER, tags=["answer", "test", "id=x"]), "tagged answer and test"),
        (broken(ANSWER, tags=["id=x"]), "tagged id, but as nothing"),
        (broken(ANSWER, source="pass"), "needs lines `### BEGIN SOLUTION`"),
        (
            broken(ANSWER, source="### BEGIN SOLUTION\n1\n### END SOLUTION\n### BEGIN SOLUTION"),
            "in pairs",
        ),
        (broken(ANSWER, tags=[]), r"cell 4 \(given\): has '### BEGIN SOLUTION', but no tag"),
        (broken(2, source=" "), "needs a heading"),
        (broken(ANSWER, source="def f(:"), r"cell 4 \(softmax\): line 1: "),
        (broken(1, source="%matplotlib inline"), "line 1: .*magics"),
        (broken(TEST, tags=["test", "id=softmax", "points=1"]), "a second cell of this id"),
        (broken(TEST, tags=["test", "id=x"]), "needs a tag points="),
        (broken(TEST, tags=["test", "id=x", "points=many"]), "needs a tag points="),
        (broken(TEST, tags=["test", "id=x", "points=-1"]), "-1 points"),
        (broken(HIDDEN, source="### BEGIN HIDDEN TESTS\nassert 1"), "without its partner"),
        (broken(HIDDEN, source="### BEGIN HIDDEN TEST\n1\n### END HIDDEN TEST"), "partner"),
        (broken(MUTANT, tags=["mutant", "of=nobody"]), "of= names no answer above"),
        (toy_cells()[3:4], "stands before the first exercise"),
        (toy_cells()[:3], "nothing in it gives points"),
        (
            broken(2, cell_type="code", outputs=[], execution_count=None, source="1"),
            "not a markdown",
        ),
    ],
)
def test_a_defect_is_named_with_its_cell(cells, message):
    with pytest.raises(HomeworkError, match=message):
        parse_master("toy", master(cells))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "no json"])
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(HomeworkError, match=r"toy\.ipynb is not a notebook"):
        parse_master("toy", text)


def test_an_unknown_assignment_is_answered_with_those_there_are(course):
    with pytest.raises(HomeworkError, match=r"there are: toy"):
        course.assignment("poem")


def test_nothing_secret_stands_in_the_students_version(course):
    toy = course.assignment("toy")
    hidden = secrets(toy)
    assert "assert count([5]) == 0" in hidden
    assert "import numpy as np" not in hidden
    assert _leaks(toy, course.release("toy")) == (True, "")
    text = course.release("toy").read_text()
    assert text.count("raise NotImplementedError") == len(EXERCISES)
    for line in hidden:
        assert line not in text


@pytest.mark.parametrize("place", ["source", "output", "metadata"])
def test_a_leak_is_found_wherever_it_is(course, place):
    path = course.release("toy")
    notebook = nbformat.read(path, as_version=4)
    line = "assert count([5]) == 0"
    code = next(one for one in notebook.cells if one.cell_type == "code")
    if place == "source":
        code.source += f"\n    {line}\n"
    elif place == "output":
        code.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=f"{line}\n"))
    else:
        notebook.metadata.note = line
    nbformat.write(notebook, path)
    holds, detail = _leaks(course.assignment("toy"), path)
    assert not holds
    assert line in detail


def test_a_sound_assignment_passes_its_check(course, repository):
    findings = check(course, course.assignment("toy"), repository, safe=True)
    assert {one.what: one.holds for one in findings} == {
        "the solution passes every test": True,
        "the tests give the same score twice": True,
        "a blank notebook passes no test": True,
        "nothing secret in the student's notebook": True,
        "functions that return [] pass no test": True,
        "functions that return float('nan') pass no test": True,
        "functions that return NotImplemented pass no test": True,
        "mutant: nine": True,
    }
    assert findings[-1].detail == "caught by count-hidden"


def rebuilt(course, change):
    """Edit the master as text, then the source as build would, but keep the release."""
    path = course.master("toy")
    path.write_text(change(path.read_text()))
    nbformat.write(source_notebook(course.assignment("toy")), course.source("toy"))
    return course.assignment("toy")


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        ("assert count([5]) == 0", "assert count([5]) == 1", "the solution passes every test"),
        (
            "assert count([5]) == 0",
            "import random\\nassert random.random() < 2 and not seen\\nseen = 1",
            "the solution passes every test",
        ),
        ("assert count([2, 3]) == 9", "count", "a blank notebook passes no test"),
        ("assert count([2, 3]) == 9", "assert not count([2, 3])", "functions that return [] pass"),
        ("return 9", "return sum(a * b + b for a, b in zip(sizes, sizes[1:]))", "mutant: nine"),
    ],
)
def test_an_unsound_assignment_fails_where_it_is_unsound(course, repository, old, new, fails):
    def change(text):
        assert old in text
        return text.replace(old, new)

    toy = rebuilt(course, change)
    findings = check(course, toy, repository, safe=True)
    assert any(one.what.startswith(fails) for one in findings if not one.holds)


def test_tests_that_differ_from_run_to_run_are_found(course, repository, tmp_path):
    counter = tmp_path / "runs"
    counter.write_text("")
    source = (
        f"runs = open({str(counter)!r}, 'a+')\\nruns.write('x')\\nruns.seek(0)\\n"
        "assert len(runs.read()) < 2"
    )
    toy = rebuilt(course, lambda text: text.replace("assert count([5]) == 0", source))
    findings = {one.what: one.holds for one in check(course, toy, repository, safe=True)}
    assert not findings["the tests give the same score twice"]


def test_an_exhibit_without_mutant_is_found(course, repository):
    path = course.master("toy")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.homework = {"topic": "attention/self_attention"}
    nbformat.write(notebook, path)
    findings = check(course, course.assignment("toy"), repository, safe=True)
    missing = [one.what for one in findings if not one.holds]
    assert "exhibit: mask off by one" in missing


def test_a_changed_master_has_to_be_built_again(course):
    path = course.master("toy")
    path.write_text(re.sub("assert count", "assert  count", path.read_text()))
    assert _stale(course, course.assignment("toy"))


def test_text_without_points_is_refused():
    text = cell("### BEGIN SOLUTION\nBecause.\n### END SOLUTION", kind="markdown")
    text.metadata["tags"] = ["answer", "id=why"]
    with pytest.raises(HomeworkError, match="graded by hand: needs a tag points="):
        parse_master("toy", master([*toy_cells(), text]))


def test_a_solution_that_fails_is_named_with_its_line(course):
    path = course.master("toy")
    path.write_text(path.read_text().replace("count([5]) == 0", "count([5]) == 1"))
    with pytest.raises(HomeworkError, match=r"fails in count-hidden, `assert count\(\[5\]\) == 1`"):
        executed(course, course.assignment("toy"))


def test_hand_graded_text_is_an_answer_too():
    text = cell("### BEGIN SOLUTION\nBecause.\n### END SOLUTION", kind="markdown")
    text.metadata["tags"] = ["answer", "id=why", "points=3"]
    cells = [*toy_cells(), cell("## Say why", "exercise", "id=ex-why", kind="markdown"), text]
    toy = parse_master("toy", master(cells))
    assert toy.by_hand == {"why": 3}
    assert toy.points == 13


def test_a_text_answer_does_not_stop_the_check(repository, tmp_path):
    text = cell("### BEGIN SOLUTION\nBecause it is.\n### END SOLUTION", kind="markdown")
    text.metadata["tags"] = ["answer", "id=why", "points=3"]
    cells = [*toy_cells(), cell("## Say why", "exercise", "id=ex-why", kind="markdown"), text]
    course = make_course(tmp_path / "course", master(cells))
    findings = check(course, course.assignment("toy"), repository, safe=True)
    assert [one.what for one in findings if not one.holds] == []
