"""All cards as a deck for Anki."""

from pathlib import Path

import genanki

from dlnotes.lab.prose import to_html
from dlnotes.lab.topic import Topic
from press.book import Chapter, parts

# Anki knows a note type and a deck by number: fixed ones, so that a second import is an update.
_MODEL, _FIRST_DECK = 1_607_392_319, 2_059_400_110
_CSS = """
.card { font-family: Georgia, serif; font-size: 20px; text-align: left; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; }
.chapter { color: #7d8790; font-family: sans-serif; font-size: 14px; }
"""


def note_type() -> genanki.Model:
    """Return the one note type of the deck."""
    return genanki.Model(
        _MODEL,
        "Deep Learning Notes, Executed",
        fields=[{"name": "Question"}, {"name": "Answer"}, {"name": "Chapter"}],
        templates=[
            {
                "name": "Card",
                "qfmt": "{{Question}}",
                "afmt": '{{FrontSide}}<hr id="answer">{{Answer}}<p class="chapter">{{Chapter}}</p>',
            }
        ],
        css=_CSS,
    )


def write_deck(root: Path, records: dict[Chapter, Topic], path: Path) -> int:
    """Write the deck, one subdeck per part, tags ``part::topic``; return the number of cards.

    A card keeps its identity through its id in the record: importing a newer deck updates the
    text and leaves the learner's schedule alone.
    """
    model, decks, count = note_type(), [], 0
    for number, part in enumerate(parts(root)):
        deck = genanki.Deck(_FIRST_DECK + number, f"Deep Learning Notes, Executed::{part.title}")
        for chapter, topic in records.items():
            if chapter.part != part.id:
                continue
            for card in topic.cards:
                deck.add_note(
                    genanki.Note(
                        model,
                        fields=[_anki(card.question), _anki(card.answer), chapter.title],
                        guid=genanki.guid_for(card.id),
                        tags=[f"{chapter.part}::{chapter.id}"],
                    )
                )
                count += 1
        if deck.notes:
            decks.append(deck)
    path.parent.mkdir(parents=True, exist_ok=True)
    genanki.Package(decks).write_to_file(str(path))
    return count


def _anki(markdown: str) -> str:
    return to_html(markdown, inline=(r"\(", r"\)"), block=(r"\[", r"\]"))
