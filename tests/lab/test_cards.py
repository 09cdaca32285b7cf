import re

import pytest

from dlnotes.lab import flashcards
from dlnotes.lab.topic import TopicError

pytestmark = pytest.mark.usefixtures("toy")


def test_every_card_is_folded_with_its_question_outside_and_its_answer_inside(shown):
    flashcards("toy")
    ((bundle, _),) = shown
    card = r'<details class="flashcard" id="([^"]+)"><summary>(.*?)</summary>(.*?)</details>'
    folded = re.findall(card, bundle["text/markdown"], flags=re.DOTALL)
    # Blank lines around question and answer: they are read as Markdown, maths included.
    assert folded == [
        ("toy-card-1", "\n\nWhat is two plus two?\n\n", "\n\n$4$.\n\n"),
        ("toy-card-2", "\n\nIs three even?\n\n", "\n\nNo, it is odd.\n\n"),
    ]
    assert " open" not in bundle["text/markdown"]


def test_cards_stand_apart_so_that_markdown_starts_anew(shown):
    flashcards("toy")
    assert "</details>\n\n<details" in shown[0][0]["text/markdown"]


def test_without_a_browser_the_cards_are_plain_questions_and_answers(shown):
    flashcards("toy")
    assert shown[0][0]["text/plain"] == (
        "Q: What is two plus two?\nA: $4$.\nQ: Is three even?\nA: No, it is odd."
    )


def test_the_cards_of_an_unknown_topic_are_refused(shown):
    with pytest.raises(TopicError, match="no topic 'tooy'"):
        flashcards("tooy")
    assert shown == []
