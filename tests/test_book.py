"""The book as a whole: every room of every chapter, one table of contents, layers, style."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from press import bench, book
from press.oracles import unchecked
from press.structure import problems

ROOT = Path(__file__).resolve().parent.parent


def run(*command):
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]


def tool(name):
    return str(Path(sys.executable).parent / name)


def test_chapter_has_all_that_a_chapter_needs(chapter):
    assert problems(chapter) == []


def test_every_reference_implementation_is_held_against_an_independent_one(chapter):
    assert unchecked(chapter) == []


def test_benchmarks_were_run_on_the_code_as_it_stands_and_explain_what_costs_more(chapter):
    if not bench.bench_file(chapter).is_file():
        pytest.skip(f"{chapter.id} has no peer and claims no growth")
    stored = bench.read_stored(ROOT)[chapter.name]
    assert stored["code"] == bench.fingerprint(chapter), "run make bench"
    assert [case.name for case in stored["cases"] if case.unexplained] == []


def test_table_of_contents_lists_the_chapters_there_are():
    assert (ROOT / "_toc.yml").read_text("utf8") == book.table_of_contents(ROOT)


def test_a_topic_has_one_name():
    ids = [chapter.id for chapter in book.planned(ROOT)]
    assert sorted(set(ids)) == sorted(ids)


def test_every_room_belongs_to_a_chapter():
    chapters = {chapter.name for chapter in book.written(ROOT)}
    parts = {part.id for part in book.parts(ROOT)}
    rooms = [
        *ROOT.glob("book/*/*.ipynb"),
        *ROOT.glob("src/dlnotes/*/*.py"),
        *ROOT.glob("tests/*/test_*.py"),
        *ROOT.glob("benchmarks/*/bench_*.py"),
    ]
    names = {
        f"{path.parent.name}/{path.stem.removeprefix('test_').removeprefix('bench_')}"
        for path in rooms
        if path.parent.name in parts and path.stem != "__init__"
    }
    assert names == chapters


def test_layers_follow_the_table_of_contents():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["tool"]["importlinter"]
    layers = settings["contracts"][0]["layers"]
    parts = [f"(dlnotes.{part.id})" for part in reversed(book.parts(ROOT))]
    assert layers == ["press", *parts, "dlnotes.lab"]
    drawn = set(settings["contracts"][1]["source_modules"])
    assert drawn == {f"dlnotes.{chapter.part}" for chapter in book.written(ROOT)}


def test_no_layer_is_crossed():
    run(tool("lint-imports"), "--no-cache")


def test_code_is_in_style():
    run(tool("ruff"), "check", "--no-cache", ".")
    run(tool("ruff"), "format", "--no-cache", "--check", ".")


def test_types_are_right():
    run(sys.executable, "-m", "mypy", "--cache-dir", "/dev/null")


def test_torchvision_is_absent():
    # pip pairs its CUDA build with a CPU torch; importing peft or transformers then fails.
    with pytest.raises(ImportError):
        import torchvision  # noqa: F401
