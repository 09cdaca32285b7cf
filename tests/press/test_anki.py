"""The deck, read back from the database that Anki imports."""

import json
import sqlite3
import zipfile

import pytest

from dlnotes.lab.topic import Card, Topic
from press.anki import note_type, write_deck
from press.book import planned

CARDS = (
    Card("convolution.card.1", "How *many* rows?", r"As many as $n - f + 1 < n$."),
    Card("convolution.card.2", "Why?", "Because:\n\n$$a = b$$"),
)


@pytest.fixture
def deck(empty, tmp_path):
    """Return a function that writes a deck of cards and reads its notes, cards and decks back."""
    by_id = {chapter.id: chapter for chapter in planned(empty)}

    def write(cards=CARDS):
        records = {
            by_id["convolution"]: Topic("vision/convolution", (), cards),
            by_id["losses"]: Topic(
                "foundations/losses", (), (Card("losses.card.1", "Loss?", "Gain."),)
            ),
        }
        path = tmp_path / "deck.apkg"
        count = write_deck(empty, records, path)
        with zipfile.ZipFile(path) as package:
            package.extract("collection.anki2", tmp_path)
        with sqlite3.connect(tmp_path / "collection.anki2") as database:
            notes = database.execute("SELECT guid, flds, tags, mid FROM notes").fetchall()
            dealt = database.execute("SELECT COUNT(*) FROM cards").fetchone()[0]
            decks = json.loads(database.execute("SELECT decks FROM col").fetchone()[0])
        assert count == len(notes) == dealt
        return notes, {one["name"] for one in decks.values()}

    return write


def test_every_card_is_a_note_with_maths_that_anki_sets(deck):
    notes, _ = deck()
    question, answer, chapter = (
        notes[1][1].split("\x1f") if "Loss" in notes[0][1] else (notes[0][1].split("\x1f"))
    )
    assert question.strip() == "<p>How <em>many</em> rows?</p>"
    assert r"\(n - f + 1 &lt; n\)" in answer
    assert chapter == "Convolution"
    assert any(r"\[a = b\]" in " ".join(note[1].split()).replace("\\[ ", "\\[") for note in notes)


def test_parts_are_subdecks_and_tags(deck):
    notes, decks = deck()
    assert {
        "Deep Learning Notes, Executed::Vision",
        "Deep Learning Notes, Executed::Foundations",
    } <= decks
    tags = {tag for note in notes for tag in note[2].split()}
    assert tags == {"vision::convolution", "foundations::losses"}


def test_a_card_that_was_reworded_keeps_its_identity(deck):
    before, _ = deck()
    reworded = (Card("convolution.card.1", "How many rows remain?", "$n - f + 1$."), CARDS[1])
    after, _ = deck(reworded)
    assert {note[0] for note in before} == {note[0] for note in after}
    assert {note[3] for note in before} == {note[3] for note in after} == {note_type().model_id}
    assert {note[1] for note in before} != {note[1] for note in after}
