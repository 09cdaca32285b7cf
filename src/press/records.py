"""The records of all topics: those of written chapters, and of chapters that are still planned."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import sphinxcontrib.katex

from dlnotes.lab.claims import METADATA
from dlnotes.lab.topic import Card, Claim, Topic, TopicError, parse_topic
from press import web
from press.book import BookError, Chapter, planned
from press.survey import read_survey

_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
_RENDER = """
const katex = require(process.argv[1]);
const broken = JSON.parse(require("fs").readFileSync(0)).map((tex) => {
  try { katex.renderToString(tex, {throwOnError: true, strict: "ignore"}); return ""; }
  catch (error) { return error.message; }
});
console.log(JSON.stringify(broken));
"""


@dataclass(frozen=True)
class Entry:
    """A claim, and what happened when it was run, if it was."""

    chapter: Chapter
    claim: Claim
    evidence: str | None = None  # None: not yet run
    seeds_held: int = 0
    seeds: int = 0

    @property
    def status(self) -> str:
        """The verdict, or "not yet run"."""
        return "not yet run" if self.evidence is None else self.claim.verdict


def read_records(root: Path) -> dict[Chapter, Topic]:
    """Return the record of every planned chapter that has one, in reading order.

    Raises ``BookError`` that names file and line of everything that is wrong: a record that
    cannot be, one for a topic that no part plans, a card of the notes covered twice, maths that
    cannot be set.
    """
    records: dict[Chapter, Topic] = {}
    wrong: list[str] = []
    chapters = planned(root)
    for chapter in chapters:
        if chapter.record.is_file():
            try:
                records[chapter] = parse_topic(chapter.record.read_text("utf8"), chapter.id)
            except TopicError as error:
                wrong.append(f"{chapter.part}/{error}")
                continue
            if records[chapter].name != chapter.name:
                wrong.append(f"{chapter.name}.yml:1: is for {records[chapter].name}")
    known = {chapter.record for chapter in chapters}
    strangers = [path for path in root.glob("src/dlnotes/*/*.yml") if path not in known]
    wrong += [f"{path.relative_to(root)}: no part plans this topic" for path in strangers]
    wrong += _covered_twice(records)
    wrong += _broken_maths(records)
    if wrong:
        raise BookError("the records of topics:\n" + "\n".join(wrong))
    return records


def _covered_twice(records: dict[Chapter, Topic]) -> Iterator[str]:
    owner: dict[int, str] = {}
    for chapter, topic in records.items():
        for card in topic.cards:
            for number in card.flashcards:
                if number in owner:
                    yield f"{_at(chapter, card)}: flashcard {number} is covered by {owner[number]}"
                owner[number] = card.id


def _at(chapter: Chapter, item: Claim | Card) -> str:
    return f"{chapter.name}.yml:{item.line}"


def _broken_maths(records: dict[Chapter, Topic]) -> Iterator[str]:
    """Let KaTeX, which sets the site's maths, judge every formula in one go."""
    places, formulas = [], []
    for chapter, topic in records.items():
        for item in topic.items:
            for text in _texts(item):
                if len(re.findall(r"(?<!\\)\$", text)) % 2:
                    yield f"{_at(chapter, item)}: {item.id}: an unpaired $"
                for found in _MATH.finditer(text):
                    places.append(f"{_at(chapter, item)}: {item.id}")
                    formulas.append(found[1] or found[2])
    katex = Path(sphinxcontrib.katex.__file__).parent / "katex.min.js"
    result = subprocess.run(
        [web.node(), "-e", _RENDER, str(katex)],
        input=json.dumps(formulas),
        capture_output=True,
        text=True,
        check=True,
    )
    for place, formula, error in zip(places, formulas, json.loads(result.stdout), strict=True):
        if error:
            yield f"{place}: ${formula}$: {error}"


def _texts(item: Claim | Card) -> tuple[str, ...]:
    if isinstance(item, Claim):
        return item.claim, item.correction
    return item.question, item.answer, item.why, *item.wrong


def read_ledger(root: Path) -> list[Entry]:
    """Return every claim of the notes with what its chapter's last run printed about it."""
    survey = read_survey(root)
    entries = []
    for chapter, topic in read_records(root).items():
        evidence = _evidence(chapter)
        seen = survey.get(chapter.name, {"seeds": [], "held": {}})
        for claim in topic.claims:
            # What no run can decide does not hold at more seeds or fewer.
            seeds = len(seen["seeds"]) if claim.executable else 0
            held = seen["held"].get(claim.id, 0) if seeds else 0
            entries.append(Entry(chapter, claim, evidence.get(claim.id), held, seeds))
    return entries


def _evidence(chapter: Chapter) -> dict[str, str]:
    if not chapter.notebook.is_file():
        return {}
    notebook = nbformat.read(chapter.notebook, as_version=4)
    outputs = (out for cell in notebook.cells for out in cell.get("outputs", ()))
    records = (out.get("metadata", {}).get(METADATA, {}) for out in outputs)
    return {record["claim"]: record["evidence"] for record in records if "claim" in record}
