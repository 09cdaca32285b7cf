"""Gradebook, feedback, exports and the picture."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from homework_toy import SOLVED, cell, make_course, master, toy_cells, upload
from typer.testing import CliRunner

from press.homework import export, gradebook
from press.homework.assignment import HomeworkError
from press.homework.check import need_built
from press.homework.cli import app
from press.homework.course import open_course
from press.homework.feedback import page
from press.homework.grade_all import grade_all, to_grade, workers
from press.homework.uploads import collect

DRAWN = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 2))\nax.plot([2, 1])"


@pytest.fixture
def graded(drawing_course, tmp_path):
    """Three students of a Moodle course: all, half, nothing."""
    course = drawing_course
    released = nbformat.read(course.release("toy"), as_version=4)
    folder = tmp_path / "up"
    half = SOLVED | {"fit": "def fit(X, y, rate, steps):\n    raise ValueError('<b>no</b>')"}
    for number, name, answers in (
        (11, "Ada", SOLVED | {"draw": DRAWN}),
        (12, "=Bob", half),
        (13, "Eve", {}),
    ):
        place = folder / f"{name}_{number}_assignsubmission_file_"
        place.mkdir(parents=True)
        (place / "toy.ipynb").write_text(upload(released, answers))
    collect(course, "toy", folder)
    grade(course)
    return course


def grade(course):
    prints = to_grade(course, "toy", course.students("toy"), safe=True)
    with workers(None, 2) as client:
        grade_all(client, course, "toy", prints, True, lambda *_: None)
    for student in prints:
        gradebook.record(course, course.assignment("toy"), student)


def scores(course):
    return {one.student: one for one in gradebook.scores(course, course.assignment("toy"))}


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_gradebook_has_points_by_exercise_and_what_waits(graded):
    found = scores(graded)
    assert found["11"].points == {"ex-softmax": 3, "ex-count": 2, "ex-fit": 5, "ex-draw": 0}
    assert found["11"].waiting == ("draw",)
    assert found["12"].total == 5
    assert found["13"].waiting == ()  # a blank answer needs nobody
    gradebook.mark(graded, graded.assignment("toy"), "11", "draw", 1.5, "Label your axes.")
    after = scores(graded)["11"]
    assert (after.total, after.waiting) == (11.5, ())
    assert after.comments == {"draw": "Label your axes."}


@pytest.mark.parametrize(
    ("student", "answer", "points", "message"),
    [
        ("11", "softmax", 1, "not graded by hand; these answers are: draw"),
        ("11", "draw", 3, "gives 0 to 2 points, not 3"),
        ("99", "draw", 1, "nothing of '99'"),
    ],
)
def test_marks_that_cannot_be(graded, student, answer, points, message):
    with pytest.raises(HomeworkError, match=message):
        gradebook.mark(graded, graded.assignment("toy"), student, answer, points, "")


def test_points_by_hand_outlive_a_new_grading(graded, tmp_path):
    toy = graded.assignment("toy")
    gradebook.mark(graded, toy, "11", "draw", 2, "")
    released = nbformat.read(graded.release("toy"), as_version=4)
    for change, waiting in (({"softmax": "pass"}, ()), ({"draw": "plt = 1"}, ("draw",))):
        place = tmp_path / "again"
        place.mkdir(exist_ok=True)
        text = upload(released, SOLVED | {"draw": DRAWN} | change)
        (place / "Ada_11_assignsubmission_file_toy.ipynb").write_text(text)
        collect(graded, "toy", place)
        grade(graded)
        assert scores(graded)["11"].waiting == waiting
        assert scores(graded)["11"].points["ex-draw"] == 2


def test_a_text_answer_keeps_its_points_when_tests_are_corrected(course, tmp_path):
    text = cell("### BEGIN SOLUTION\nBecause.\n### END SOLUTION", kind="markdown")
    text.metadata["tags"] = ["answer", "id=why", "points=3"]
    cells = [*toy_cells(), cell("## Say why", "exercise", "id=ex-why", kind="markdown"), text]
    course = make_course(tmp_path / "text", master(cells))
    released = nbformat.read(course.release("toy"), as_version=4)

    def hand_in(why):
        folder = tmp_path / "texts"
        folder.mkdir(exist_ok=True)
        (folder / "ada.ipynb").write_text(upload(released, SOLVED | {"why": why}))
        collect(course, "toy", folder)

    def correct(old, new):
        path = course.master("toy")
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        gradebook.release(course, course.assignment("toy"))
        grade(course)
        return scores(course)["ada"]

    hand_in("It <b>is</b> so.")
    grade(course)
    assert scores(course)["ada"].waiting == ("why",)
    gradebook.mark(course, course.assignment("toy"), "ada", "why", 2, "")
    assert correct("count([5]) == 0", "count([6]) == 0").waiting == ()
    hand_in("It is otherwise.")
    assert correct("count([6]) == 0", "count([7]) == 0").waiting == ("why",)
    after = correct("count([7]) == 0", "count([8]) == 1")
    assert after.waiting == ("why",)  # still: nobody has looked at it
    assert after.points == {"ex-softmax": 3, "ex-count": 1, "ex-fit": 5, "ex-why": 2}
    hand_in("Your answer")  # taken back: somebody has to see that, too
    assert correct("count([8]) == 1", "count([8]) == 0").waiting == ("why",)


def test_cells_come_and_go_only_until_somebody_is_graded(graded):
    path = graded.master("toy")
    before = graded.release("toy").read_bytes()
    path.write_text(path.read_text().replace("id=fit-hidden", "id=fit-secret"))
    with pytest.raises(HomeworkError, match="no cell can be added or removed"):
        gradebook.release(graded, graded.assignment("toy"))
    assert graded.release("toy").read_bytes() == before
    with pytest.raises(HomeworkError, match="was changed: `build` it again"):
        need_built(graded, graded.assignment("toy"))


def test_without_nbgrader_it_says_what_to_do(course, monkeypatch):
    monkeypatch.setattr(gradebook, "find_spec", lambda _: None)
    with pytest.raises(HomeworkError, match="make homework"):
        gradebook.release(course, course.assignment("toy"))


@pytest.mark.parametrize("words", [["feedback"], ["export"], ["report"], ["grade"]])
def test_the_wrong_order_is_named(course, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "200")
    refused = CliRunner().invoke(app, [*words, "toy", "--course", str(course.root)])
    assert refused.exit_code == 2
    assert "`collect`" in refused.output


def test_a_file_in_place_of_a_folder(course, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    file = tmp_path / "file"
    file.write_text("")
    for words in (
        ["init", str(file)],
        ["build", "toy", "--course", str(file)],
        ["rehearse", "toy", str(tmp_path), "--course", str(course.root)],
    ):
        refused = CliRunner().invoke(app, words)
        assert refused.exit_code == 2, words
        assert "error:" in refused.output


def test_the_formgrader_sees_picture_tests_and_errors(graded):
    notebook = nbformat.read(graded.autograded("toy", "11"), as_version=4)
    by_id = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells}
    assert "image/png" in by_id["draw"].outputs[0].data
    assert "BEGIN HIDDEN TESTS" in by_id["fit-hidden"].source
    bob = nbformat.read(graded.autograded("toy", "12"), as_version=4)
    said = str([cell.get("outputs") for cell in bob.cells])
    assert "<b>no</b>" in said  # as text of a stream, which is escaped
    assert "text/html" not in said


def test_nbgraders_own_tools_read_the_gradebook(graded):
    """The Formgrader asks this interface of nbgrader."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(graded.root)
    config.CourseDirectory.course_id = "homework"
    with gradebook._nbgrader():
        api = NbGraderAPI(CourseDirectory(config=config), config=config)
        (assignment,) = api.get_assignments()
        submissions = {one["student"]: one for one in api.get_submissions("toy")}
    assert assignment["name"] == "toy"
    assert sorted(submissions) == ["11", "12", "13"]
    assert assignment["max_score"] == 12
    assert submissions["12"]["score"] == 5
    assert submissions["11"]["needs_manual_grade"]
    assert submissions["11"]["autograded"]


def test_feedback_tells_points_public_messages_and_what_to_read(graded):
    path = graded.master("toy")
    text = path.read_text().replace('"kernelspec"', '"homework": {"topic": "a/b"}, "kernelspec"', 1)
    path.write_text(text)
    toy = graded.assignment("toy")
    result = json.loads(graded.result("toy", "12").read_text())
    shown = page(graded, toy, scores(graded)["12"], result)
    assert "<strong>5 of 12 points</strong>" in shown
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in shown
    assert "=Bob" in shown
    assert "Toy ·" in shown
    assert '<p class="quiet">more is tested</p>' in shown  # what the test says of itself
    assert 'href="https://book.example/book/a/b.html#a-section"' in shown
    assert (
        shown.count("Read again") == 1
    )  # of the one exercise that lost points and names a section
    assert "default-src &#39;none&#39;" not in shown
    assert "default-src 'none'" in shown
    waiting = page(graded, toy, scores(graded)["11"], result)
    assert "not counting what is still to be graded by hand" in waiting


def test_a_table_for_a_spreadsheet(graded):
    toy = graded.assignment("toy")
    found = rows(export.table(graded, toy, list(scores(graded).values()), "csv"))
    assert [row["total"] for row in found] == ["10", "5", "0"]
    assert found[1]["name"] == "'=Bob"  # no formula
    assert found[0]["to be graded"] == "draw"
    assert found[0]["sandbox"] == "yes"


def test_a_table_for_moodle(graded):
    toy = graded.assignment("toy")
    found = rows(export.table(graded, toy, list(scores(graded).values()), "moodle"))
    assert [row["Identifier"] for row in found] == [f"Participant {n}" for n in (11, 12, 13)]
    assert [row["Grade"] for row in found] == ["10", "5", "0"]
    assert "Last modified (grade)" in found[0]


def test_pages_are_packed_as_moodle_wants_them(graded, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    pack = tmp_path / "feedback.zip"
    words = ["feedback", "toy", "--zip", str(pack), "--course", str(graded.root)]
    assert CliRunner().invoke(app, words).exit_code == 0
    with zipfile.ZipFile(pack) as archive:
        assert archive.namelist()[0] == "Ada_11_assignsubmission_file_toy-feedback.html"
        assert b"10 of 12 points" in archive.read(archive.namelist()[0])


def test_a_table_for_canvas(graded):
    toy = graded.assignment("toy")
    text = export.table(graded, toy, list(scores(graded).values()), "canvas")
    head, possible, *rest = csv.reader(io.StringIO(text))
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "toy"]
    assert possible[0].strip() == "Points Possible"
    assert possible[-1] == "12"
    assert [(row[1], row[-1]) for row in rest] == [("11", "10"), ("12", "5"), ("13", "0")]


def test_a_downloaded_sheet_is_filled_in_and_otherwise_kept(graded, tmp_path):
    sheet = tmp_path / "grades.csv"
    sheet.write_text(
        "\ufeffIdentifier,Full name,Email address,Grade,Last modified (grade)\n"
        'Participant 12,"Bob, =",b@x.org,,-\nParticipant 40,Zoe,z@x.org,,-\n'
        "Participant 11,Ada,a@x.org,3.00,yesterday\nParticipant 13,Eve,e@x.org\n"
    )
    text, gone = export.fill_in(graded, sheet, None, list(scores(graded).values()), "moodle")
    assert gone == []
    found = rows(text)
    assert [row["Grade"] for row in found] == ["5", "", "10", "0"]
    assert found[0]["Full name"] == "Bob, ="
    assert found[2]["Last modified (grade)"] == "yesterday"


def test_a_sheet_in_another_language_and_without_somebody_who_left(graded, tmp_path):
    sheet = tmp_path / "bewertungen.csv"
    sheet.write_text("ID,Vollständiger Name,Bewertung\nTeilnehmer/in11,Ada,\n", "utf8")
    found = list(scores(graded).values())
    text, gone = export.fill_in(graded, sheet, "Bewertung", found, "moodle")
    assert rows(text)[0]["Bewertung"] == "10"
    assert gone == ["12", "13"]


@pytest.mark.parametrize(
    ("content", "column", "format", "message"),
    [
        ("a,b\n1,2\n", None, "moodle", "no column 'Grade'"),
        ("Identifier,Note\n", None, "moodle", "no column 'Grade'"),
        ("Student,ID,Week 1 (7)\n", None, "canvas", "name one with --column: Student, ID, Week"),
        ("Student,Week 1 (7)\n", "Week 1 (7)", "canvas", "no column 'ID'"),
        ("Identifier,Grade\nParticipant 99,\n", None, "moodle", "none of the students"),
        ("", None, "moodle", "no column"),
        ("Identifier,Grade\n", None, "csv", "only tables of Moodle and Canvas"),
    ],
)
def test_sheets_that_cannot_be_filled_in(graded, tmp_path, content, column, format, message):
    sheet = tmp_path / "grades.csv"
    sheet.write_text(content)
    with pytest.raises(HomeworkError, match=message):
        export.fill_in(graded, sheet, column, list(scores(graded).values()), format)


def test_students_without_a_number_have_no_place_in_moodle(course, released, tmp_path):
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(upload(released, SOLVED))
    collect(course, "toy", folder)
    grade(course)
    with pytest.raises(HomeworkError, match="ada has no number of Moodle"):
        export.table(course, course.assignment("toy"), list(scores(course).values()), "moodle")


def test_the_report_is_a_picture(graded, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["report", "toy", "--course", str(graded.root)])
    assert result.exit_code == 0, result.output
    assert "softmax-public: 67% passed" in result.output
    picture = (graded.root / "grades/toy.svg").read_text()
    assert picture.startswith("<?xml")
    assert "</svg>" in picture


def test_an_unfinished_grade_is_not_exported_by_mistake(graded, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    words = ["export", "toy", "--course", str(graded.root)]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert re.search(r"[12] wait for points by hand", refused.output)
    assert not (graded.root / "grades/toy.csv").exists()
    assert CliRunner().invoke(app, [*words, "--unfinished"]).exit_code == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[limits]\nspeed = 3\n", "no limit is called speed"),
        ("[limits]\nrestarts = 0\n", "restarts is a positive number, not 0"),
        ("[limits]\nrestarts = true\n", "positive number"),
        ("[limits\n", "homework.toml"),
    ],
)
def test_settings_that_cannot_be(course, settings, message):
    (course.root / "homework.toml").write_text(settings)
    with pytest.raises(HomeworkError, match=message):
        open_course(course.root)


def test_a_folder_that_is_no_course(tmp_path):
    with pytest.raises(HomeworkError, match="homework init"):
        open_course(tmp_path)


def test_nbgrader_finds_nothing_to_run(graded):
    """Its button *Autograde* would run strangers' code as the instructor."""
    command = [sys.executable, "-m", "nbgrader", "autograde", "toy", "--force"]
    gradebook.write_configuration(graded.root)
    before = graded.autograded("toy", "11").read_bytes()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        cwd=graded.root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "No notebooks were matched" in ran.stderr
    assert graded.autograded("toy", "11").read_bytes() == before
    assert scores(graded)["11"].total == 10
