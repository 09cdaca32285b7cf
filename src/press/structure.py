"""What every chapter must have, and what it must not: checked on the stored notebook, not run."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import nbformat
import yaml

from dlnotes.lab.claims import METADATA
from dlnotes.lab.topic import TopicError, parse_topic
from press.book import Chapter
from press.run import COST, cost_label

PARAMETERS = 'seed = 0\ndevice = "auto"\npreset = "laptop"'
MAX_CELL_LINES, MAX_OUTPUT_KB, MAX_NOTEBOOK_KB, MIN_EXERCISES = 25, 1000, 1000, 3
_SECTIONS = ("bug museum", "flashcards", "references")
_ALT = re.compile(r'role="img" aria-label="([^"]*)"')


def problems(chapter: Chapter) -> list[str]:
    """Return what is wrong with a chapter, one line each; an empty list is a sound chapter."""
    missing = [room for room in chapter.rooms if not room.is_file()]
    if missing:
        return [f"{chapter.name}: {room.relative_to(chapter.root)} is missing" for room in missing]
    notebook = nbformat.read(chapter.notebook, as_version=4)
    found = [
        *_opening(chapter, notebook),
        *_cells(notebook),
        *_figures(notebook),
        *_exercises(notebook),
        *_claims(chapter, notebook),
        *_references(chapter, notebook),
        *_size_and_cost(chapter, notebook),
    ]
    return [f"{chapter.name}: {line}" for line in found]


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tagged(notebook: Any, tag: str) -> list[Any]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def _prose(notebook: Any) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def _opening(chapter: Chapter, notebook: Any) -> Iterator[str]:
    if not re.match(rf"\({chapter.id}\)=\n# .*\?", notebook.cells[0].source):
        yield f"the first cell is not ({chapter.id})= and a title that asks a question"
    prose = _prose(notebook)
    if "At a glance" not in prose or prose.count(COST[0]) != 1:
        yield f"no box At a glance with one {COST[0]}…{COST[1]} for its cost"
    elif "{ref}`notation`" not in prose:
        yield "its box At a glance does not lead to the letters: {ref}`notation`"
    parameters = _tagged(notebook, "parameters")
    if [cell.source for cell in parameters] != [PARAMETERS]:
        yield f"not exactly one cell tagged parameters, reading {PARAMETERS!r}"
    headings = " ".join(re.findall(r"(?m)^#+ (.*)", prose)).lower()
    for section in _SECTIONS:
        if section not in headings:
            yield f"no section {section!r}"


def _cells(notebook: Any) -> Iterator[str]:
    if "widgets" in notebook.metadata:
        yield "stores widget state, which makes pages ask a CDN: run python -m press run execute"
    silenced = 0
    for cell in _code(notebook):
        lines = len(cell.source.splitlines())
        if lines > MAX_CELL_LINES:
            yield f"cell {cell.id}: {lines} lines, more than {MAX_CELL_LINES}"
        if cell.source and cell.execution_count is None:
            yield f"cell {cell.id}: not executed"
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"cell {cell.id}: stores an error"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"cell {cell.id}: stores a warning; mend what it warns of"
        if "nbval-ignore-output" in cell.metadata.get("tags", ()):
            silenced += 1
            if any(METADATA in output.get("metadata", {}) for output in cell.outputs):
                yield f"cell {cell.id}: hides a claim from nbval"
    if silenced > len(_code(notebook)) / 4:
        yield f"{silenced} code cells hide their output from nbval, more than a quarter"


def _figures(notebook: Any) -> Iterator[str]:
    sliders, names = 0, Counter[str]()
    for cell in _code(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if any(kind.startswith("image/") for kind in data):
                yield f"cell {cell.id}: a bare picture; use show(fig, alt=…)"
            page = data.get("text/html", "")
            if '<figure class="explore"' not in page:
                continue
            alt = _ALT.search(page)
            if not alt or len(alt[1].split()) < 3:
                yield f"cell {cell.id}: a figure whose alt text says nothing"
            if "<figcaption>" not in page:
                yield f"cell {cell.id}: a figure without caption"
            names.update(re.findall(r' data-name="([^"]*)"', page))
            if " data-axes=" in page:
                sliders += 1
                if "application/x-explore" not in page:
                    yield f"cell {cell.id}: a slider without frames, dead on the site"
    if not sliders:
        yield "no slider"
    for name, times in names.items():
        if times > 1:
            yield f"{times} figures are named {name}"


def _exercises(notebook: Any) -> Iterator[str]:
    exercises = _tagged(notebook, "exercise")
    if len(exercises) < MIN_EXERCISES:
        yield f"{len(exercises)} exercises, fewer than {MIN_EXERCISES}"
    for exercise in exercises:
        after = notebook.cells[notebook.cells.index(exercise) + 1 :]
        solution = []
        for cell in after:
            if "solution" not in cell.metadata.get("tags", ()):
                break
            solution.append(cell)
        checks = [cell for cell in solution if re.search(r"\b(assert|check)\b", cell.source)]
        if not any(cell.cell_type == "code" for cell in checks):
            yield f"cell {exercise.id}: no solution that runs and checks itself right after it"
    for cell in _tagged(notebook, "solution"):
        if cell.cell_type == "code" and "hide-cell" not in cell.metadata.tags:
            yield f"cell {cell.id}: a solution that is not folded (tag hide-cell)"


def _claims(chapter: Chapter, notebook: Any) -> Iterator[str]:
    try:
        topic = parse_topic(chapter.record.read_text("utf8"), chapter.id)
    except (TopicError, yaml.YAMLError) as error:
        yield str(error)
        return
    records = [
        output.metadata[METADATA]
        for cell in _code(notebook)
        for output in cell.outputs
        if "claim" in output.get("metadata", {}).get(METADATA, {})
    ]
    times = Counter(record["claim"] for record in records)
    known = {claim.id: claim for claim in topic.claims}
    for claim in dict.fromkeys([*known, *times]):
        if claim not in known:
            yield f"checks {claim}, which {chapter.id}.yml does not have"
        elif times[claim] != 1:
            yield f"checks {claim} {times[claim]} times instead of once"
    for record in records:
        if record["holds"] is False:
            yield f"stores a failure of {record['claim']}"
        if record["claim"] in known and record["verdict"] != known[record["claim"]].verdict:
            yield f"stores another verdict on {record['claim']} than {chapter.id}.yml"
    code = [cell.source for cell in _code(notebook)]
    if not topic.cards or not any("flashcards(" in source for source in code):
        yield "no flashcards"
    if any(card.wrong for card in topic.cards) and not any("quiz(" in source for source in code):
        yield "cards with wrong answers, but no quiz"


def _references(chapter: Chapter, notebook: Any) -> Iterator[str]:
    prose = _prose(notebook)
    if "```{footbibliography}" not in notebook.cells[-1].source:
        yield "does not end with its references"
    cited = re.findall(r"\{footcite(?::\w+)?\}`([^`]+)`", prose)
    keys = {key.strip() for group in cited for key in group.split(",")}
    bibliography = (chapter.root / "book/references.bib").read_text("utf8")
    there = set(re.findall(r"(?m)^@\w+\{([^,\s]+),", bibliography))
    if not keys:
        yield "cites nothing"
    for key in sorted(keys - there):
        yield f"cites {key}, which book/references.bib does not have"


def _size_and_cost(chapter: Chapter, notebook: Any) -> Iterator[str]:
    for cell in _code(notebook):
        for output in cell.outputs:
            size = len(json.dumps(output)) / 1000
            if size > MAX_OUTPUT_KB:
                yield f"cell {cell.id}: an output of {size:.0f} kB, more than {MAX_OUTPUT_KB}"
    size = chapter.notebook.stat().st_size / 1000
    if size > MAX_NOTEBOOK_KB:
        yield f"{size:.0f} kB, more than {MAX_NOTEBOOK_KB}"
    cost = notebook.metadata.get(METADATA, {}).get("cost")
    if not cost or cost_label(cost) not in _prose(notebook):
        yield "its cost is not the measured one: run python -m press run execute"
    elif cost["cpu_seconds"] > chapter.budget:
        yield f"costs {cost['cpu_seconds']} CPU seconds; its budget is {chapter.budget:g}"
