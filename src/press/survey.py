"""At which seeds each claim held, as the last survey of each chapter found it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat

from press.book import Chapter
from press.files import write_atomically
from press.kernel import Run
from press.run import held_by_claim


def survey_path(root: Path) -> Path:
    """Return where surveys are kept: with the book, so that the site can show them."""
    return root / "book/survey.json"


def read_survey(root: Path) -> dict[str, Any]:
    """Return, per chapter, the fingerprint of what ran, the seeds, and how often claims held."""
    path = survey_path(root)
    survey: dict[str, Any] = json.loads(path.read_text("utf8")) if path.is_file() else {}
    return survey


def fingerprint(chapter: Chapter) -> str:
    """Return a digest of the code that a survey of the chapter runs: its cells and its module."""
    notebook = nbformat.read(chapter.notebook, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    module = chapter.module.read_text("utf8") if chapter.module.is_file() else ""
    text = "\0".join([*cells, module])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record_survey(root: Path, chapters: Iterable[Chapter], runs: Iterable[Run]) -> None:
    """Enter what a survey found in place of what earlier ones found for the same chapters."""
    survey, runs = read_survey(root), list(runs)
    for chapter in chapters:
        mine = [run for run in runs if run.chapter == chapter.name]
        held = {claim: len(at["held"]) for claim, at in held_by_claim(mine).items()}
        survey[chapter.name] = {
            "code": fingerprint(chapter),
            "seeds": sorted(run.seed for run in mine),
            "held": held,
        }
    text = json.dumps(dict(sorted(survey.items())), indent=1) + "\n"
    write_atomically(survey_path(root), text)
