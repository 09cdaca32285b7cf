"""Every defect that a chapter can have is found in a sound chapter where it is planted."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from press.book import Chapter
from press.run import COST
from press.structure import problems

Plant = Callable[[Any], None]


def cell(notebook: Any, name: str) -> Any:
    return next(one for one in notebook.cells if one.id == name)


def without(notebook: Any, *names: str) -> None:
    notebook.cells = [one for one in notebook.cells if one.id not in names]


def swap(name: str, old: str, new: str) -> Plant:
    def plant(notebook: Any) -> None:
        one = cell(notebook, name)
        assert re.search(old, one.source)
        one.source = re.sub(old, new, one.source)

    return plant


def remove(*names: str) -> Plant:
    return lambda notebook: without(notebook, *names)


def tag(name: str, *tags: str) -> Plant:
    def plant(notebook: Any) -> None:
        cell(notebook, name).metadata.tags = list(tags)

    return plant


def add_output(name: str, /, **fields: Any) -> Plant:
    return lambda notebook: cell(notebook, name).outputs.append(nbformat.v4.new_output(**fields))


def page(name: str, old: str, new: str) -> Plant:
    """Change the page that a figure shows."""

    def plant(notebook: Any) -> None:
        (data,) = [out.data for out in cell(notebook, name).outputs if "text/html" in out.data]
        assert re.search(old, data["text/html"])
        data["text/html"] = re.sub(old, new, data["text/html"])

    return plant


def record(**changes: Any) -> Plant:
    """Change what the output of the claim's check says."""

    def plant(notebook: Any) -> None:
        cell(notebook, "check").outputs[0].metadata["dlnotes"].update(changes)

    return plant


def set_cost(seconds: int, label: int | None = None) -> Plant:
    def plant(notebook: Any) -> None:
        notebook.metadata["dlnotes"]["cost"]["cpu_seconds"] = seconds
        swap("at-a-glance", rf"{COST[0]}\d+", f"{COST[0]}{label or seconds}")(notebook)

    return plant


def unexecute(notebook: Any) -> None:
    cell(notebook, "museum-code").execution_count = None


def check_twice(notebook: Any) -> None:
    cell(notebook, "check").outputs *= 2


def two_figures_of_one_name(notebook: Any) -> None:
    cell(notebook, "problem-figure").outputs.append(cell(notebook, "problem-figure").outputs[0])


def uncheck(notebook: Any) -> None:
    cell(notebook, "check").outputs = []


def silence_many(notebook: Any) -> None:
    for name in ("setup", "museum-code", "source", "parameters"):
        cell(notebook, name).metadata.setdefault("tags", []).append("nbval-ignore-output")


def store_widgets(notebook: Any) -> None:
    notebook.metadata["widgets"] = {}


def never_executed(notebook: Any) -> None:
    del notebook.metadata["dlnotes"]
    swap("at-a-glance", f"{COST[0]}.*{COST[1]}", f"{COST[0]}not measured yet{COST[1]}")(notebook)


PLANTED: dict[str, tuple[Plant, str]] = {
    "no label": (swap("title", r"\(stream_mean\)=\n", ""), "first cell is not"),
    "another chapter's label": (swap("title", r"\(stream_mean", "(gan"), r"not \(stream_mean\)="),
    "a title that asks nothing": (swap("title", r"\?", "."), "asks a question"),
    "no box": (swap("at-a-glance", "At a glance", "In short"), "no box At a glance"),
    "no letters": (swap("at-a-glance", "notation", "letters"), "does not lead to the letters"),
    "no place for the cost": (swap("at-a-glance", "<!--cost-->", ""), "no box At a glance"),
    "a second place for the cost": (
        swap("limits", "Every", "<!--cost-->Every"),
        "no box At a glance with one",
    ),
    "never executed": (never_executed, "cost is not the measured one"),
    "a cost typed by hand": (set_cost(7, label=3), "cost is not the measured one"),
    "over budget": (set_cost(31), "costs 31 CPU seconds; its budget is 30"),
    "no cell of parameters": (tag("parameters"), "exactly one cell tagged parameters"),
    "two cells of parameters": (tag("setup", "parameters"), "exactly one cell tagged parameters"),
    "other parameters": (swap("parameters", "seed = 0", "seed = 1"), "exactly one cell tagged"),
    "no bug museum": (swap("museum", "The bug museum", "Mistakes"), "no section 'bug museum'"),
    "no section of flashcards": (swap("cards-text", "Flash", "Post"), "no section 'flashcards'"),
    "no flashcards": (swap("cards", r"flashcards\(", "print("), "no flashcards"),
    "a long cell": (swap("museum-code", "$", "\n" * 24 + "1"), "27 lines, more than 25"),
    "a cell not executed": (unexecute, "museum-code: not executed"),
    "a stored error": (
        add_output("museum-code", output_type="error", ename="E", evalue="", traceback=[]),
        "museum-code: stores an error",
    ),
    "a stored warning": (
        add_output("museum-code", output_type="stream", name="stderr", text="UserWarning: …"),
        "museum-code: stores a warning",
    ),
    "widget state": (store_widgets, "stores widget state"),
    "a claim hidden from nbval": (tag("check", "nbval-ignore-output"), "hides a claim from nbval"),
    "many cells hidden from nbval": (silence_many, "4 code cells hide their output"),
    "a bare picture": (
        add_output("museum-code", output_type="display_data", data={"image/png": "iVBORw0KGgo="}),
        "museum-code: a bare picture",
    ),
    "a figure without alt text": (
        page("problem-figure", 'aria-label="[^"]*"', 'aria-label=""'),
        "problem-figure: a figure whose alt text says nothing",
    ),
    "a figure without caption": (
        page("problem-figure", "<figcaption>.*</figcaption>", ""),
        "problem-figure: a figure without caption",
    ),
    "two figures of one name": (two_figures_of_one_name, "2 figures are named fig-stream_mean-st"),
    "a slider without frames": (
        page("slider", "<script.*</script>", ""),
        "slider: a slider without frames, dead on the site",
    ),
    "no slider": (remove("slider"), "no slider"),
    "two exercises only": (remove("exercise-3", "solution-3"), "2 exercises, fewer than 3"),
    "an exercise without solution": (remove("solution-2"), "exercise-2: no solution"),
    "a solution that checks nothing": (
        swap("solution-1", "assert ", ""),
        "exercise-1: no solution that runs and checks itself",
    ),
    "a solution not folded": (tag("solution-3", "solution"), "solution-3: a solution that is not"),
    "a claim unchecked": (uncheck, "checks stream_mean.1 0 times"),
    "a claim checked twice": (check_twice, "checks stream_mean.1 2 times"),
    "a stored failure": (record(holds=False), "stores a failure of stream_mean.1"),
    "a stored verdict of old": (record(verdict="held"), "stores another verdict on stream_mean.1"),
    "an unknown citation": (
        swap("idea", r"\{footcite:t\}`kalman1960`", "{footcite}`kalman1960,nobody1999`"),
        "cites nobody1999, which",
    ),
    "no citation": (swap("idea", r"\{footcite:t\}`kalman1960`", "Kalman"), "cites nothing"),
    "no references": (swap("references", r"```\{footbib", "```{bib"), "does not end with its ref"),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_the_one_that_is_found(stream_mean: Chapter, defect: str):
    notebook = nbformat.read(stream_mean.notebook, as_version=4)
    plant, message = PLANTED[defect]
    plant(notebook)
    nbformat.write(notebook, stream_mean.notebook)
    (found,) = problems(stream_mean)
    assert found.startswith("sequences/stream_mean: ")
    assert re.search(message, found), found


def test_a_claim_that_the_record_lacks_and_one_that_the_chapter_lacks(stream_mean: Chapter):
    text = stream_mean.record.read_text("utf8").replace("stream_mean.1", "stream_mean.2")
    stream_mean.record.write_text(text, "utf8")
    found = problems(stream_mean)
    assert len(found) == 2
    assert "checks stream_mean.2 0 times instead of once" in found[0]
    assert "checks stream_mean.1, which stream_mean.yml does not have" in found[1]


def test_a_notebook_or_an_output_of_more_than_a_megabyte_is_too_large(stream_mean: Chapter):
    notebook = nbformat.read(stream_mean.notebook, as_version=4)
    add_output("museum-code", output_type="stream", text="x" * 1_000_001)(notebook)
    nbformat.write(notebook, stream_mean.notebook)
    output, whole = problems(stream_mean)
    assert "museum-code: an output of 1000 kB, more than 1000" in output
    assert re.search(r"1\d\d\d kB, more than 1000", whole)


@pytest.mark.parametrize("text", ["claims: [", "topic: sequences/gan\nclaims: []\ncards: []\n"])
def test_a_record_that_cannot_be_read_is_a_problem_not_a_crash(stream_mean: Chapter, text: str):
    stream_mean.record.write_text(text)
    assert len(problems(stream_mean)) == 1


@pytest.mark.parametrize("room", range(4))
def test_a_missing_room_is_named(stream_mean: Chapter, room: int):
    gone = stream_mean.rooms[room]
    gone.unlink()
    (found,) = problems(stream_mean)
    assert found == f"sequences/stream_mean: {gone.relative_to(stream_mean.root)} is missing"


def test_check_says_nothing_of_a_sound_book_and_fails_for_a_defect(
    small_book: Path, stream_mean: Chapter, press
):
    sound = press(small_book, "check")
    assert (sound.exit_code, sound.output) == (0, "")
    stream_mean.test.unlink()
    unsound = press(small_book, "check", "stream_mean")
    assert unsound.exit_code == 1
    assert "tests/sequences/test_stream_mean.py is missing" in unsound.output
