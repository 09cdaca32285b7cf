"""The records of all topics: what is wrong with one is said with file and line."""

import shutil
from pathlib import Path

import pytest

from press import book
from press.book import BookError
from press.records import read_ledger, read_records
from press.survey import fingerprint, read_survey

REPOSITORY = Path(__file__).parents[2]

SOUND = """topic: vision/convolution
claims:
- id: convolution.1
  notes: [flashcards]
  ledger: ["001:convolution_arithmetic.1"]
  claim: The output has $n - f + 1$ rows.
  verdict: held
cards:
- id: convolution.card.1
  question: How many rows?
  answer: $n - f + 1$.
  claim: convolution.1
  flashcards: [1]
  wrong: [$n$., $n + f$.]
  why: The filter has to fit.
"""


@pytest.fixture
def records_of(tmp_path):
    """Return a function that reads the records of a book with one record, as spoiled."""
    (tmp_path / "book").mkdir()
    shutil.copy(REPOSITORY / "book/contents.yml", tmp_path / "book")

    def read(before="", after="", path="vision/convolution"):
        assert before in SOUND
        file = tmp_path / f"src/dlnotes/{path}.yml"
        file.parent.mkdir(parents=True)
        file.write_text(SOUND.replace(before, after, 1) if before else SOUND)
        return read_records(tmp_path)

    return read


def test_a_sound_record_is_read(records_of):
    ((chapter, topic),) = records_of().items()
    assert chapter.name == topic.name == "vision/convolution"
    assert topic.cards[0].flashcards == (1,)
    assert topic.cards[0].wrong == ("$n$.", "$n + f$.")


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("answer: $n - f + 1$.", "answer: ''", r"convolution.yml:9: .*missing \['answer'\]"),
        ("convolution.card.1\n", "convolution.1\n", r"convolution.yml:9: an id twice"),
        ("has $n - f + 1$", r"has $\frac{n$", r"convolution.yml:3: convolution.1: \$\\frac\{n\$"),
        ("has $n - f + 1$", "has $n - f + 1", r"convolution.yml:3: convolution.1: an unpaired \$"),
        ("[$n$., $n", r"[$\nix$., $n", r"convolution.yml:9: .*nix"),
        ("  why: The filter has to fit.\n", "", r"convolution.yml:9: .*needs both wrong answers"),
        (
            "claim: convolution.1\n",
            "claim: convolution.7\n",
            r"convolution.yml:9: .*unknown claims",
        ),
        ("held", "right", r"convolution.yml:3: .*verdict is one of"),
        ("vision/convolution", "vision/pooling", r"convolution.yml:1: "),
        ("claims:", "claims: [", r"convolution.yml is not YAML"),
    ],
)
def test_a_record_that_cannot_be_is_refused_with_file_and_line(
    records_of, before, after, complaint
):
    with pytest.raises(BookError, match=complaint):
        records_of(before, after)


def test_a_record_of_a_topic_that_no_part_plans_is_refused(records_of):
    with pytest.raises(BookError, match=r"vision/sight\.yml: no part plans this topic"):
        records_of(path="vision/sight")


def test_a_card_of_the_notes_is_covered_once(records_of):
    second = "- id: convolution.card.2\n  question: Q\n  answer: A\n  flashcards: [1]\n"
    with pytest.raises(BookError, match=r"flashcard 1 is covered by convolution\.card\.1"):
        records_of("  why: The filter has to fit.\n", f"  why: It fits.\n{second}")


# ------------------------------------------------------------------------ the book's own records
def test_every_flashcard_of_the_notes_is_covered():
    cards = [card for topic in read_records(REPOSITORY).values() for card in topic.cards]
    covered = sorted(number for card in cards for number in card.flashcards)
    assert covered == list(range(1, 95))


def test_every_planned_topic_has_a_record_and_every_entry_of_the_notes_one_home():
    records = read_records(REPOSITORY)
    assert set(records) == set(book.planned(REPOSITORY))
    entries = [
        entry for topic in records.values() for claim in topic.claims for entry in claim.ledger
    ]
    assert len(entries) == len(set(entries))
    assert len(entries) == 940


def test_claims_of_written_chapters_have_evidence_and_the_others_wait():
    written = {chapter.name for chapter in book.written(REPOSITORY)}
    for entry in read_ledger(REPOSITORY):
        assert (entry.status == "not yet run") == (entry.chapter.name not in written)


def test_every_written_chapter_was_surveyed_as_it_stands_at_ten_seeds():
    survey = read_survey(REPOSITORY)
    for chapter in book.written(REPOSITORY):
        seen = survey[chapter.name]
        assert seen["code"] == fingerprint(chapter), f"make verify TOPIC={chapter.name}"
        assert len(seen["seeds"]) >= 10
    for entry in read_ledger(REPOSITORY):
        assert entry.seeds_held == entry.seeds, entry.claim.id
