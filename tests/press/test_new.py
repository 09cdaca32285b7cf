"""`press new`: four rooms that run and pass every check, or nothing at all."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from press import book
from press.book import BookError
from press.new import make_chapter
from press.oracles import unchecked
from press.structure import problems


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_executed_template_passes_every_check_of_its_structure(executed: Path):
    (chapter,) = book.written(executed)
    assert problems(chapter) == []


def test_the_templates_own_tests_pass(executed: Path, environment: dict[str, str]):
    shutil.copy(Path(__file__).parents[1] / "conftest.py", executed / "tests")
    (chapter,) = book.written(executed)
    assert unchecked(chapter) == []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    quick = {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run(
        command, cwd=executed, env=quick, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 passed" in result.stdout


def test_nothing_of_the_template_is_left_to_fill_in(empty: Path):
    for path in make_chapter(empty, "vision/ctc_loss"):
        assert not re.search("@[A-Z]+@", path.read_text("utf8")), path


def test_a_planned_topic_gets_its_rooms_its_title_and_no_new_entry(empty: Path):
    plan = (empty / "book/contents.yml").read_bytes()
    made = make_chapter(empty, "generative/gan")
    chapter = book.written(empty)[0]
    assert [*chapter.rooms, chapter.module.parent / "__init__.py"] == made
    assert all(path.is_file() for path in made)
    assert "# GANs: how" in chapter.notebook.read_text("utf8")
    assert (empty / "book/contents.yml").read_bytes() == plan
    toc = yaml.safe_load((empty / "_toc.yml").read_text("utf8"))
    entries = [entry for part in toc["parts"] for entry in part["chapters"]]
    assert {"file": "book/generative/gan", "title": "GANs"} in entries


def test_an_unplanned_topic_is_entered_at_the_end_of_its_part_and_nowhere_else(empty: Path):
    path = empty / "book/contents.yml"
    before = path.read_text("utf8").splitlines(keepends=True)
    make_chapter(empty, "generative/flow_matching")
    after = path.read_text("utf8").splitlines(keepends=True)
    changes = [line for line in difflib.ndiff(before, after) if not line.startswith("  ")]
    assert changes == ["+   - {id: flow_matching, title: Flow matching}\n"]
    (part,) = (part for part in book.parts(empty) if part.id == "generative")
    assert part.chapters[-1].name == "generative/flow_matching"


@pytest.mark.parametrize("part", ["first", "last"])
def test_the_plan_keeps_its_comments_and_blank_lines(tmp_path: Path, part: str):
    plan = (
        "# The plan.\nparts:\n- id: first\n  title: First\n  chapters:\n  - {id: a, title: A}\n"
        "\n# What follows is last.\n- id: last\n  title: Last\n  chapters:\n  - {id: b, title: B}\n"
        "\n"
    )
    (tmp_path / "book").mkdir()
    path = tmp_path / "book/contents.yml"
    path.write_text(plan)
    make_chapter(tmp_path, f"{part}/more")
    entry = "  - {id: more, title: More}\n"
    assert path.read_text().replace(entry, "", 1) == plan
    assert [c.name for c in book.planned(tmp_path) if c.id == "more"] == [f"{part}/more"]


def test_a_title_with_quotes_and_colons_makes_sound_files(tmp_path: Path):
    (tmp_path / "book").mkdir()
    title = 'Nets: "deep" or C:\\wide'
    plan = {"parts": [{"id": "a", "title": "A", "chapters": [{"id": "b", "title": title}]}]}
    (tmp_path / "book/contents.yml").write_text(json.dumps(plan))
    notebook, *_ = make_chapter(tmp_path, "a/b")
    cells = json.loads(notebook.read_text("utf8"))["cells"]
    assert f"# {title}: how" in "".join(cells[0]["source"])
    assert yaml.safe_load((tmp_path / "_toc.yml").read_text("utf8"))


def test_the_package_of_a_part_is_made_once(empty: Path):
    make_chapter(empty, "vision/convolution")
    package = empty / "src/dlnotes/vision/__init__.py"
    assert package.read_text("utf8") == '"""Vision."""\n'
    package.write_text('"""Mine."""\n')
    make_chapter(empty, "vision/style_transfer")
    assert package.read_text("utf8") == '"""Mine."""\n'


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cooking/soup", "no part 'cooking'"),
        ("convolution", "named part/topic"),
        ("vision/", "named part/topic"),
        ("vision/Convolution", "named part/topic"),
        ("vision/deep/convolution", "named part/topic"),
        ("vision/../convolution", "named part/topic"),
        ("vision/3d", "named part/topic"),
        ("vision/max-pool", "named part/topic"),
        ("vision/lambda", "means something else"),
        ("vision/null", "means something else"),
        ("vision/off", "means something else"),
        ("vision/kalman_filter", "planned as estimation_and_matching/kalman_filter"),
    ],
)
def test_a_refusal_says_why_and_writes_nothing(empty: Path, press, name: str, message: str):
    before = files(empty)
    with pytest.raises(BookError, match=message):
        make_chapter(empty, name)
    assert press(empty, "new", name).exit_code == 2
    assert files(empty) == before


@pytest.mark.parametrize("room", [0, 1, 3])  # a record, room 2, is kept: see below
def test_a_room_that_exists_is_not_touched(empty: Path, room: int):
    chapter = book.select(book.planned(empty), ["ctc"])[0]
    taken = chapter.rooms[room]
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_text("mine")
    before = files(empty)
    with pytest.raises(BookError, match=f"{taken.name} exists: nothing was changed"):
        make_chapter(empty, "sequences/ctc")
    assert files(empty) == before


def test_the_command_lists_what_it_made_and_what_to_do_next(empty: Path, press):
    result = press(empty, "new", "sequences/ctc")
    assert result.exit_code == 0
    for room in book.written(empty)[0].rooms:
        assert f"made {os.path.relpath(room, empty)}" in result.output
    assert "python -m press run execute sequences/ctc" in result.output


def test_a_record_that_is_there_is_kept_and_its_claims_are_to_be_checked(empty: Path):
    record = empty / "src/dlnotes/generative/gan.yml"
    record.parent.mkdir(parents=True)
    text = (
        "topic: generative/gan\nclaims:\n- id: gan.1\n  notes: [course notes]\n"
        '  ledger: ["003:gan.1"]\n  claim: It diverges.\n  verdict: held\ncards: []\n'
    )
    record.write_text(text)
    made = make_chapter(empty, "generative/gan")
    assert record not in made
    assert record.read_text() == text
    (chapter,) = book.written(empty)
    assert not re.search(
        r"\bcheck\b", "".join(json.loads(chapter.notebook.read_text())["cells"][4]["source"])
    )
    assert "gan: checks gan.1 0 times instead of once" in "\n".join(problems(chapter))
