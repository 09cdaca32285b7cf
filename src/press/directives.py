"""The book's own directives: a chapter's slider elsewhere, the ledger, and all cards."""

import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from docutils import nodes
from docutils.utils import new_document
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.util.docutils import SphinxDirective

from dlnotes.lab.cards import html_id
from dlnotes.lab.claims import SHAPES
from dlnotes.lab.topic import VERDICTS, Card
from press import book
from press.records import Entry, read_ledger, read_records

DECK = "deep-learning-notes-executed.apkg"
NOT_YET = "not yet run"
_SHAPES = {**SHAPES, NOT_YET: "…"}
_CAPTION = re.compile(r"<figcaption>.*?</figcaption>", re.DOTALL)


def inline_myst(document: nodes.document, texts: Sequence[str]) -> list[list[nodes.Node]]:
    """Parse texts of one paragraph each, all in one go, and return the content of each."""
    scratch = new_document(document["source"], document.settings)
    MystParser().parse("\n\n".join(" ".join(text.split()) for text in texts), scratch)
    paragraphs = [list(block.children) for block in scratch.children]
    if len(paragraphs) != len(texts):  # one of them begins like a list or a heading
        return (
            [inline_myst(document, [text])[0] for text in texts]
            if len(texts) > 1
            else [[child for block in paragraphs for child in block]]
        )
    return paragraphs


def _raw(page: str) -> nodes.raw:
    return nodes.raw("", page, format="html")


def _badge(status: str) -> str:
    kind = status.replace(" ", "-")
    return f'<span class="verdict {kind}">{_SHAPES[status]} {status}</span>'


def _counts(statuses: Counter[str], kind: str) -> str:
    items = "".join(
        f"<li>{_badge(status)} {statuses[status]}</li>"
        for status in (*VERDICTS, NOT_YET)
        if statuses[status]
    )
    return f'<ul class="{kind}">{items}</ul>'


class ExploreOf(SphinxDirective):
    """``{explore-of} part/topic figure-name``: a chapter's slider, on another page."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the slider's output, as the chapter stores it."""
        path = Path(self.env.srcdir) / "book" / f"{self.arguments[0]}.ipynb"
        self.env.note_dependency(str(path))
        notebook = json.loads(path.read_text("utf8"))
        wanted = f' data-name="{self.arguments[1]}"'
        for cell in notebook["cells"]:
            for output in cell.get("outputs", ()):
                page = "".join(output.get("data", {}).get("text/html", ""))
                if wanted in page:
                    # Its name, number and caption stay with the chapter.
                    return [_raw(_CAPTION.sub("", page.replace(wanted, "")))]
        raise self.error(f"{path.name} shows no figure named {self.arguments[1]}")


class Tally(SphinxDirective):
    """``{tally}``: how many claims the chapters settle, and how."""

    def run(self) -> list[nodes.Node]:
        """Count what was run."""
        root = Path(self.env.srcdir)
        entries = read_ledger(root)
        statuses = Counter(entry.status for entry in entries)
        del statuses[NOT_YET]
        page = (
            f"<p>{statuses.total()} of the notes’ {len(entries)} claims are settled, in "
            f"{len(book.written(root))} chapters:</p>"
        )
        return [_raw(page + _counts(statuses, "home-tally"))]


class Ledger(SphinxDirective):
    """``{ledger}``: every claim of the notes, and what happened when it was run."""

    def run(self) -> list[nodes.Node]:
        """Return the counts, a place for the filters, and the table."""
        root = Path(self.env.srcdir)
        entries = read_ledger(root)
        for chapter in book.planned(root):
            for room in (chapter.record, chapter.notebook):
                if room.is_file():
                    self.env.note_dependency(str(room))
        statuses = Counter(entry.status for entry in entries)
        choices = [
            ("part", [(f"part-{part.id}", part.title) for part in book.parts(root)]),
            ("verdict", [(_kind(s), s) for s in (*VERDICTS, NOT_YET) if statuses[s]]),
            ("source", [(_source(n), n) for n in _names(entries)]),
        ]
        place = f'<div class="ledger-controls" data-choices="{html.escape(json.dumps(choices))}">'
        return [
            _raw(_counts(statuses, "home-tally")),
            _raw(f"{place}</div>"),
            self._table(entries),
        ]

    def _table(self, entries: Sequence[Entry]) -> nodes.table:
        heads = ("verdict", "the notes said", "what a run showed", "chapter")
        group = nodes.tgroup("", cols=len(heads))
        group += [nodes.colspec("", colwidth=width) for width in (12, 40, 36, 12)]
        titles = [nodes.entry("", nodes.paragraph("", head)) for head in heads]
        group += nodes.thead("", nodes.row("", *titles))
        texts = [text for entry in entries for text in (entry.claim.claim, _shown(entry))]
        parsed = inline_myst(self.state.document, texts)
        body = nodes.tbody()
        group += body
        for entry, said, shown in zip(entries, parsed[::2], parsed[1::2], strict=True):
            body += self._row(entry, said, shown)
        return nodes.table("", group, classes=["ledger"])

    def _row(self, entry: Entry, said: list[nodes.Node], shown: list[nodes.Node]) -> nodes.row:
        claim, chapter = entry.claim, entry.chapter
        classes = [f"part-{chapter.part}", _kind(entry.status)]
        classes += [_source(name) for name in claim.notes]
        seeds = f"held at {entry.seeds_held} of {entry.seeds} seeds" if entry.seeds else ""
        where: nodes.Node = nodes.Text(chapter.title)
        if entry.evidence is not None:
            uri = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{chapter.name}")
            anchor = f"{uri}#claim-{claim.id.replace('.', '-')}"
            where = nodes.reference("", "", where, refuri=anchor, internal=True)
        row = nodes.row("", classes=classes)
        row += nodes.entry("", _raw(_badge(entry.status)))
        row += nodes.entry("", nodes.paragraph("", "", *said))
        row += nodes.entry("", nodes.paragraph("", "", *shown))
        if seeds:
            row[-1] += nodes.paragraph("", seeds, classes=["ledger-seeds"])
        row += nodes.entry("", nodes.paragraph("", "", where))
        row[-1] += nodes.paragraph("", ", ".join(claim.notes), classes=["ledger-source"])
        return row


def _shown(entry: Entry) -> str:
    """Say what came of a claim: its correction, then the evidence; nothing before it was run."""
    if entry.evidence is None:
        return NOT_YET
    parts = [entry.claim.correction, f"*{entry.evidence}*" if entry.evidence else ""]
    return " ".join(part for part in parts if part) or "as the notes said"


def _kind(status: str) -> str:
    return f"verdict-{status.replace(' ', '-')}"


def _source(name: str) -> str:
    return f"source-{name.replace(' ', '-')}"


def _names(entries: Sequence[Entry]) -> list[str]:
    return sorted({name for entry in entries for name in entry.claim.notes})


class AllCards(SphinxDirective):
    """``{all-cards}``: every card of the book, part by part, folded."""

    def run(self) -> list[nodes.Node]:
        """Return one section for each part that has cards."""
        root = Path(self.env.srcdir)
        records = read_records(root)
        result: list[nodes.Node] = [_raw('<div class="cards">')]
        for part in book.parts(root):
            cards = [
                card
                for chapter in part.chapters
                if chapter in records
                for card in records[chapter].cards
            ]
            if not cards:
                continue
            section = nodes.section(ids=[f"cards-{part.id}"], names=[f"cards-{part.id}"])
            section += nodes.title("", part.title)
            section += [_raw("<div data-card-group>"), *self._folded(cards), _raw("</div>")]
            result.append(section)
        return [*result, _raw("</div>")]

    def _folded(self, cards: Sequence[Card]) -> list[nodes.Node]:
        texts = [text for card in cards for text in (card.question, card.answer)]
        parsed = inline_myst(self.state.document, texts)
        folded: list[nodes.Node] = []
        for card, question, answer in zip(cards, parsed[::2], parsed[1::2], strict=True):
            folded += [
                _raw(f'<details class="flashcard" id="{html_id(card)}"><summary>'),
                nodes.paragraph("", "", *question),
                _raw("</summary>"),
                nodes.paragraph("", "", *answer),
                _raw("</details>"),
            ]
        return folded
