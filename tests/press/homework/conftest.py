import shutil
from pathlib import Path

import nbformat
import pytest
from homework_toy import by_hand_cells, make_course, master, toy_cells

from press.homework.course import open_course


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Courses that nbgrader has built once; tests work on copies."""
    folder = tmp_path_factory.mktemp("courses")
    make_course(folder / "toy", call_seconds=10)
    make_course(folder / "drawing", master(toy_cells() + by_hand_cells()), call_seconds=20)
    return folder


@pytest.fixture
def course(built, tmp_path):
    return open_course(shutil.copytree(built / "toy", tmp_path / "course"))


@pytest.fixture
def drawing_course(built, tmp_path):
    return open_course(shutil.copytree(built / "drawing", tmp_path / "course"))


@pytest.fixture
def released(course):
    return nbformat.read(course.release("toy"), as_version=4)


@pytest.fixture(scope="session")
def repository():
    """The real book; tests/press has small ones."""
    return Path(__file__).parents[3]
