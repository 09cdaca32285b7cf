"""A small book of its own: one chapter that the press made and ran, and workers to run others."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import Result
from typer.testing import CliRunner

from press import book
from press.book import Chapter
from press.cli import app

REPOSITORY = Path(__file__).parents[2]
NAME = "sequences/stream_mean"  # a topic that the book does not plan

Press = Callable[..., Result]
AddChapter = Callable[..., Chapter]


def _copy_of_the_book(root: Path) -> Path:
    (root / "book").mkdir(parents=True)
    for name in ("contents.yml", "references.bib", "glossary.md"):
        shutil.copy(REPOSITORY / "book" / name, root / "book")
    package = root / "src/dlnotes"
    shutil.copytree(
        REPOSITORY / "src/dlnotes/lab",
        package / "lab",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(REPOSITORY / "src/dlnotes/__init__.py", package)
    return root


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder from which kernels and workers of these tests import ``dlnotes``."""
    return _copy_of_the_book(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def environment(library: Path) -> dict[str, str]:
    """What a command needs in its environment to see the small book instead of the real one."""
    path = os.pathsep.join([str(library / "src"), str(REPOSITORY / "src")])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "BOOK_REPOSITORY_URL": ""}


@pytest.fixture(scope="session")
def press(environment: dict[str, str]) -> Press:
    """Run a command of the press in a book's folder."""

    def run_command(root: Path, *words: str) -> Result:
        assert not root.is_relative_to(REPOSITORY), f"{root} belongs to the real book"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            for name, value in environment.items():
                patch.setenv(name, value)
            return CliRunner().invoke(app, words)

    return run_command


@pytest.fixture(scope="session")
def executed(library: Path, press: Press) -> Path:
    """The book with one chapter that `press new` made and `run execute` ran: not to be changed."""
    made = press(library, "new", NAME)
    assert made.exit_code == 0, made.output
    ran = press(library, "run", "execute", NAME, "--workers", "1")
    assert ran.exit_code == 0, ran.output
    return library


# These two are for tests that damage what they are given. Their names must stay theirs alone: a
# name that tests/conftest.py knows too (root, chapter) would one day hand them the real book.
@pytest.fixture
def small_book(executed: Path, tmp_path: Path) -> Path:
    """A copy of the executed book, to be changed at will."""
    return Path(shutil.copytree(executed, tmp_path / "book"))


@pytest.fixture
def stream_mean(small_book: Path) -> Chapter:
    """The executed chapter, to be changed at will."""
    (chapter,) = book.written(small_book)
    return chapter


@pytest.fixture(autouse=True)
def _never_the_real_book(request: pytest.FixtureRequest) -> None:
    """Refuse a test that asks for the real book or its chapters: tests here change and delete."""
    real = {"root", "chapter"} & set(request.fixturenames)
    assert not real, f"ask for small_book or stream_mean instead of {', '.join(real)}"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A book without chapters."""
    return _copy_of_the_book(tmp_path / "empty")


@pytest.fixture(scope="session")
def add_chapter() -> AddChapter:
    """Put a notebook of a few bare cells in place of a planned chapter."""

    def add(root: Path, name: str, *sources: str) -> Chapter:
        assert not root.is_relative_to(REPOSITORY), f"{root} belongs to the real book"
        title = nbformat.v4.new_markdown_cell("# A bare one\n\n<!--cost--><!--/cost-->", id="title")
        parameters = nbformat.v4.new_code_cell("seed = 0", id="parameters")
        parameters.metadata.tags = ["parameters"]
        cells = [
            nbformat.v4.new_code_cell(textwrap.dedent(source).strip(), id=f"cell-{number}")
            for number, source in enumerate(sources)
        ]
        (chapter,) = book.select(book.planned(root), [name])
        chapter.notebook.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(
            nbformat.v4.new_notebook(cells=[title, parameters, *cells]), chapter.notebook
        )
        return chapter

    return add


def _wait_for(condition: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any], float], None]:
    """Wait until a condition comes true; fail when it does not in that many seconds."""
    return _wait_for


@dataclass
class Cluster:
    """A scheduler and workers, each a process that could as well run on another machine."""

    address: str
    workers: list[subprocess.Popen[Any]]


@pytest.fixture(scope="session")
def cluster(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A Dask scheduler and two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    contact, log = folder / "scheduler.json", (folder / "log.txt").open("w")
    processes: list[subprocess.Popen[Any]] = []

    def start(kind: str, *words: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, "--no-dashboard"]
        processes.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        )

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(contact))
        _wait_for(lambda: contact.exists() and contact.read_text().endswith("}"), 60)
        address = json.loads(contact.read_text())["address"]
        for _ in range(2):
            start("worker", address, "--no-nanny", "--nthreads", "1")
        yield Cluster(address, processes[1:])
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        log.close()
