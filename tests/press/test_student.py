"""The chapter as students get it."""

from pathlib import Path

import nbformat
import pytest

from press.book import Chapter
from press.student import student_version


@pytest.fixture
def versions(stream_mean: Chapter, tmp_path: Path) -> tuple[nbformat.NotebookNode, Path]:
    """The chapter as stored, and the path of its student version."""
    return nbformat.read(stream_mean.notebook, as_version=4), student_version(stream_mean, tmp_path)


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def test_no_line_of_a_solution_is_left(versions):
    stored, path = versions
    lines = [line for cell in tagged(stored, "solution") for line in cell.source.splitlines()]
    assert len(lines) >= 7
    text = path.read_text("utf8")
    assert not [line for line in lines if line.strip() in text]
    assert not tagged(nbformat.read(path, as_version=4), "solution")


def test_no_output_is_left(versions):
    cells = nbformat.read(versions[1], as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert versions[1].stat().st_size < 20_000


def test_a_cell_for_the_answer_follows_each_exercise(versions):
    cells = nbformat.read(versions[1], as_version=4).cells
    exercises = [at for at, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", ())]
    assert len(exercises) == 3
    for at in exercises:
        assert cells[at + 1].cell_type == "code"
        assert cells[at + 1].source == "# Your answer"


def test_all_else_stays_and_the_notebook_is_valid(versions):
    stored, path = versions
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kept = [cell.id for cell in notebook.cells if not cell.id.endswith("-answer")]
    solutions = {cell.id for cell in tagged(stored, "solution")}
    assert kept == [cell.id for cell in stored.cells if cell.id not in solutions]


def test_the_chapter_itself_is_not_touched(small_book: Path, stream_mean: Chapter, press):
    before = stream_mean.notebook.read_bytes()
    result = press(small_book, "student", stream_mean.id)
    assert result.exit_code == 0
    assert result.output.strip() == str(small_book / "_build/student/stream_mean.ipynb")
    assert stream_mean.notebook.read_bytes() == before
