"""A topic's flashcards and quiz at the end of its chapter."""

import random

from dlnotes.lab.prose import display_prose
from dlnotes.lab.topic import Card, load_topic


def flashcards(topic: str) -> None:
    """Show the cards of a topic, answers folded; ``topic`` is its short name.

    Folding is the browser's own (details, summary): it needs no script and obeys the keyboard.
    """
    cards = load_topic(topic).cards
    display_prose(
        '<div class="cards">\n\n' + "\n\n".join(map(folded_card, cards)) + "\n\n</div>",
        "\n".join(f"Q: {card.question}\nA: {card.answer}" for card in cards),
    )


def folded_card(card: Card) -> str:
    """Return a card as Markdown; its id is where a reader's schedule of repetitions finds it."""
    return (
        f'<details class="flashcard" id="{html_id(card)}"><summary>\n\n{card.question}\n\n'
        f"</summary>\n\n{card.answer}\n\n</details>"
    )


def html_id(card: Card) -> str:
    """Return the card's id as one that style sheets and addresses can name."""
    return card.id.replace(".", "-")


def quiz(topic: str) -> None:
    """Show the cards that have wrong answers as questions with options, the answer folded.

    On the site a choice is judged at once; without scripts the folded answer does that. Raises
    ``ValueError`` when no card of the topic has wrong answers.
    """
    cards = [card for card in load_topic(topic).cards if card.wrong]
    if not cards:
        raise ValueError(f"no card of {topic} has wrong answers to choose from")
    display_prose(
        "\n\n".join(map(_question, cards)),
        "\n".join(_plain_question(card) for card in cards),
    )


def options(card: Card) -> tuple[list[str], int]:
    """Return the options of a question, mixed in an order that never changes, and the right one."""
    mixed = [card.answer, *card.wrong]
    random.Random(card.id).shuffle(mixed)
    return mixed, mixed.index(card.answer)


def _question(card: Card) -> str:
    mixed, right = options(card)
    items = "\n".join(f"<li>\n\n{option}\n\n</li>" for option in mixed)
    return (
        f'<div class="quiz-question" id="quiz-{html_id(card)}" data-right="{right}">\n\n'
        f'{card.question}\n\n<ol class="quiz-options" type="A">\n{items}\n</ol>\n\n'
        '<p class="quiz-verdict" aria-live="polite"></p>\n\n'
        f"<details><summary>Answer</summary>\n\n**{_letter(right)}.** {card.why}\n\n"
        "</details>\n\n</div>"
    )


def _plain_question(card: Card) -> str:
    mixed, right = options(card)
    rows = [f"  {_letter(i)}. {option}" for i, option in enumerate(mixed)]
    return "\n".join([f"Q: {card.question}", *rows, f"A: {_letter(right)}. {card.why}"])


def _letter(i: int) -> str:
    return "ABCDEFGH"[i]
