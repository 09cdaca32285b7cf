"""Uploads are data: whatever is in them, the others are collected and nothing is harmed."""

import copy
import io
import json
import os
import random
import stat
import tracemalloc
import zipfile

import nbformat
import pytest
from homework_toy import SOLVED, upload

from press.homework.assignment import HomeworkError
from press.homework.canonical import NotANotebook, parse, pour
from press.homework.uploads import MAX_BYTES, collect, identify


def outcomes(report):
    return {one.path: one.outcome for one in report}


def answers_of(course, student):
    notebook = nbformat.read(course.answers("toy", student), as_version=4)
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


@pytest.mark.parametrize(
    ("path", "student", "name", "again"),
    [
        ("Ada Lovelace_4711_assignsubmission_file_/my answers.ipynb", "4711", "Ada Lovelace", 0),
        ("Ada Lovelace_4711_assignsubmission_file_toy.ipynb", "4711", "Ada Lovelace", 0),
        ("Åsa O'Neil-Öz_12_assignsubmission_file_/toy.ipynb", "12", "Åsa O'Neil-Öz", 0),
        ("lovelaceada_4711_90210_toy.ipynb", "4711", "lovelaceada", 0),
        ("lovelaceada_LATE_4711_90210_toy-2.ipynb", "4711", "lovelaceada", 2),
        ("ada/toy.ipynb", "ada", "ada", 0),
        ("ada/homework/toy.ipynb", "ada", "ada", 0),
        ("ada.ipynb", "ada", "ada", 0),
        ("ada l@x.org.ipynb", "ada-l-x.org", "ada l@x.org", 0),
        ("Jean_Luc_7_assignsubmission_file_/toy.ipynb", "7", "Jean_Luc", 0),
        # Names that students give to their files say nothing.
        ("eve/Ada_4711_assignsubmission_file_toy.ipynb", "eve", "eve", 0),
        ("eve/lovelaceada_4711_90210_toy-9.ipynb", "eve", "eve", 0),
        ("Eve_66_assignsubmission_file_Ada_4711_assignsubmission_file_.ipynb", "66", "Eve", 0),
        ("Eve_66_assignsubmission_file_/Ada_4711_assignsubmission_file_/toy.ipynb", "66", "Eve", 0),
        ("e\udce9ve\x1b[2J/toy.ipynb", "e-ve-2J", "e?ve?[2J", 0),
    ],
)
def test_whose_upload_it_is(path, student, name, again):
    found, order = identify(path)
    assert (found.id, found.name, order) == (student, name, again)


def test_a_name_without_letters_belongs_to_nobody():
    assert identify("....ipynb")[0] is None


def test_a_folder_of_answers_is_collected(course, released, tmp_path):
    folder = tmp_path / "uploads"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "toy.ipynb").write_text(upload(released, SOLVED))
    report = collect(course, "toy", folder)
    assert outcomes(report) == {"ada/toy.ipynb": "collected"}
    assert answers_of(course, "ada") == SOLVED
    assert course.roster()["ada"].name == "ada"


def test_two_names_that_make_one_id_are_not_one_student(course, released, tmp_path):
    folder = tmp_path / "uploads"
    for name in ("ada b", "ada-b", "Ada b", "eve"):
        (folder / name).mkdir(parents=True)
        (folder / name / "toy.ipynb").write_text(upload(released, {"count": f"# {name}"}))
    report = {one.path: one for one in collect(course, "toy", folder)}
    assert report["eve/toy.ipynb"].outcome == "collected"
    kept = [one for one in report.values() if one.outcome == "collected"]
    assert len(kept) == 2
    refused = [one for one in report.values() if one.outcome == "skipped"]
    assert all("make the same id: rename one" in one.notes[0] for one in refused)
    assert len(course.students("toy")) == 2


def test_a_folder_whose_name_is_no_text_stops_nobody(course, released, tmp_path):
    folder = tmp_path / "uploads"
    for name in (b"caf\xe9", b"zoe"):
        place = os.path.join(os.fsencode(folder), name)
        os.makedirs(place)
        with open(os.path.join(place, b"toy.ipynb"), "w") as file:
            file.write(upload(released, SOLVED))
    assert {one.outcome for one in collect(course, "toy", folder)} == {"collected"}
    assert course.students("toy") == ["caf", "zoe"]


def test_uploads_are_read_one_at_a_time(course, tmp_path):
    """All together may be more than memory holds."""
    path = tmp_path / "uploads.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"s{number}/toy.ipynb", b" " * (MAX_BYTES - 10))
    tracemalloc.start()
    report = collect(course, "toy", path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(report) == 20
    assert most < 6 * MAX_BYTES


def test_of_several_uploads_the_last_notebook_counts(course, released, tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    for number, (again, count) in enumerate({"": "first", "-1": "second", "-2": "third"}.items()):
        text = upload(released, SOLVED | {"count": f"# {count}"})
        (folder / f"ada_1_{99 - number}_toy{again}.ipynb").write_text(text)
    (folder / "ada_1_99_toy-3.ipynb").write_text("not a notebook")
    report = collect(course, "toy", folder)
    assert answers_of(course, "1")["count"] == "# third"
    assert sorted(outcomes(report).values()) == [
        "collected",
        *["replaced by a later one"] * 2,
        "skipped",
    ]


def test_a_hostile_zip_harms_nothing(course, released, tmp_path):
    good = upload(released, SOLVED)
    path = tmp_path / "uploads.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada_1_assignsubmission_file_/toy.ipynb", good)
        archive.writestr("../../bob/toy.ipynb", good)
        archive.writestr("/etc/eve.ipynb", good)
        archive.writestr("..\\windows.ipynb", good)
        link = zipfile.ZipInfo("carl/toy.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("dora/toy.ipynb", b"\0" * (100 << 20))
        archive.writestr("emil/toy.txt", "my answers")
        archive.writestr("__MACOSX/._toy.ipynb", "x")
        archive.writestr(".", "x")
        archive.writestr("zoe_2_assignsubmission_file_/toy.ipynb", good)
    report = collect(course, "toy", path)
    assert {one.student for one in report if one.outcome == "collected"} == {"1", "2"}
    reasons = {one.path: " ".join(one.notes) for one in report if one.outcome == "skipped"}
    assert "leads out" in reasons["../../bob/toy.ipynb"]
    assert "leads out" in reasons["/etc/eve.ipynb"]
    assert "leads out" in reasons["../windows.ipynb"]
    assert reasons["carl/toy.ipynb"] == "a link"
    assert "105 MB" in reasons["dora/toy.ipynb"]
    assert "does not end in .ipynb" in reasons["emil/toy.txt"]
    everything = {one.name for one in course.root.parent.rglob("*")}
    assert not {"bob", "eve.ipynb", "windows.ipynb"} & everything
    assert (course.collected("toy") / "report.csv").read_text().count("collected") == 2


def test_a_zip_whose_header_lies_about_sizes(course, tmp_path):
    path = tmp_path / "uploads.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada/toy.ipynb", b" " * (MAX_BYTES + 10))
    data = bytearray(path.read_bytes())
    size = (MAX_BYTES + 10).to_bytes(4, "little")
    data = data.replace(size, (10).to_bytes(4, "little"))
    path.write_bytes(data)
    (one,) = collect(course, "toy", path)
    assert one.outcome == "skipped"


def test_links_pipes_and_giants_in_a_folder(course, released, tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    secret = tmp_path / "secret.ipynb"
    secret.write_text(upload(released, SOLVED))
    (folder / "link.ipynb").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    with (folder / "giant.ipynb").open("wb") as file:
        file.truncate(100 << 20)
    (folder / "ada.ipynb").write_text(upload(released, SOLVED))
    report = collect(course, "toy", folder)
    assert outcomes(report) == {
        "ada.ipynb": "collected",
        "folder": "skipped",
        "giant.ipynb": "skipped",
        "link.ipynb": "skipped",
        "pipe.ipynb": "skipped",
    }


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello"])
def test_a_broken_zip_is_refused(course, tmp_path, content):
    path = tmp_path / "uploads.zip"
    path.write_bytes(content)
    with pytest.raises(HomeworkError, match="no zip file"):
        collect(course, "toy", path)


def test_no_uploads_at_all(course, tmp_path):
    with pytest.raises(HomeworkError, match="neither a folder nor a zip"):
        collect(course, "toy", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (b'{"cells": [' + b"9" * 10_000 + b"]}", "not JSON"),
    ],
)
def test_what_is_no_notebook_says_why(data, reason):
    with pytest.raises(NotANotebook, match=reason):
        parse(data)


def test_another_assignment_is_noticed(released):
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    _, notes = pour(released, json.loads(nbformat.writes(other)))
    assert any("right notebook" in note for note in notes)
    assert sum("missing" in note for note in notes) == len(SOLVED)


def test_an_upload_that_claims_to_be_of_somebody_else(course, released, tmp_path):
    def claim(raw):
        raw["metadata"]["student"] = raw["metadata"]["nbgrader"] = {"student": "bob"}

    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(upload(released, SOLVED, edit=claim))
    collect(course, "toy", folder)
    assert course.students("toy") == ["ada"]


def mutated(text, rng):
    """One of many ways to spoil a notebook."""
    data = json.loads(text)

    def somewhere():
        place = data
        for _ in range(rng.randrange(1, 6)):
            if isinstance(place, dict) and place:
                key = rng.choice(sorted(place))
            elif isinstance(place, list) and place:
                key = rng.randrange(len(place))
            else:
                break
            if not isinstance(place[key], dict | list) or rng.random() < 0.3:
                return place, key
            place = place[key]
        return data, "cells"

    deep = json.loads("[" * 100 + "]" * 100)
    values = [None, 3, -1, 1e308, True, "", "\ud800", "\0", [], {}, [[]], {"a": deep}, deep]
    values += ["x" * 500_000, ["x"] * 5000, "nbgrader", {"grade_id": []}, {"nbgrader": 3}]
    kind = rng.randrange(4)
    if kind == 0:
        raw = json.dumps(data).encode()
        return raw[: rng.randrange(len(raw))]
    if kind == 1:
        raw = bytearray(json.dumps(data).encode())
        for _ in range(rng.randrange(1, 30)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw)
    for _ in range(rng.randrange(1, 8)):
        place, key = somewhere()
        if rng.random() < 0.3 and isinstance(place, dict) and key in place:
            del place[key]
        else:
            place[key] = copy.deepcopy(rng.choice(values))
    return json.dumps(data).encode()


def test_five_hundred_spoilt_notebooks_are_collected_or_reported(course, released, tmp_path):
    rng = random.Random(0)
    good = upload(released, SOLVED)
    folder = tmp_path / "uploads"
    folder.mkdir()
    for number in range(500):
        (folder / f"student-{number:03}.ipynb").write_bytes(mutated(good, rng))
    (folder / "zoe.ipynb").write_text(good)
    report = collect(course, "toy", folder)
    assert len(report) == 501
    assert {one.outcome for one in report} == {"collected", "skipped"}
    assert all(one.notes for one in report if one.outcome == "skipped")
    assert answers_of(course, "zoe") == SOLVED
    for student in course.students("toy")[::7]:
        notebook = nbformat.read(course.answers("toy", student), as_version=4)
        nbformat.validate(notebook)
        ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
        given = [one.metadata.nbgrader.grade_id for one in released.cells]
        assert [id for id in ids if id] == given


def test_a_file_that_is_not_utf8_named_is_reported(course, released):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("caf\xe9_1_assignsubmission_file_/toy.ipynb", upload(released, SOLVED))
    path = course.root / "up.zip"
    path.write_bytes(archive.getvalue())
    (one,) = collect(course, "toy", path)
    assert one.student == "1"


@pytest.mark.parametrize(
    "names",
    [
        ["submissions/lovelaceada_1_90_toy.ipynb", "submissions/hopper_2_91_toy.ipynb"],
        ["all/Ada_1_assignsubmission_file_toy.ipynb", "all/Bo_2_assignsubmission_file_toy.ipynb"],
        ["all/Ada_1_assignsubmission_file_/t.ipynb", "all/Bo_2_assignsubmission_file_/t.ipynb"],
        ["class/1/toy.ipynb", "class/2/toy.ipynb"],
        ["1/homework/toy.ipynb", "2/toy.ipynb"],
    ],
)
def test_a_folder_around_all_uploads_is_no_student(course, released, tmp_path, names):
    path = tmp_path / "up.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, upload(released, SOLVED))
    collect(course, "toy", path)
    assert course.students("toy") == ["1", "2"]


def test_a_folder_that_may_or_may_not_be_a_student_is_asked_about(course, released, tmp_path):
    path = tmp_path / "up.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("uploads/ada.ipynb", "uploads/bob.ipynb"):
            archive.writestr(name, upload(released, SOLVED))
    with pytest.raises(HomeworkError, match="is that a student"):
        collect(course, "toy", path)


def test_several_files_of_one_moodle_student_are_one_student(course, released, tmp_path):
    path = tmp_path / "up.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("draft", "final"):
            place = f"Ada_1_assignsubmission_file_/{name}.ipynb"
            archive.writestr(place, upload(released, SOLVED | {"count": f"# {name}"}))
    report = collect(course, "toy", path)
    assert course.students("toy") == ["1"]
    assert sorted(outcomes(report).values()) == ["collected", "replaced by a later one"]
