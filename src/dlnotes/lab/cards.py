"""A topic's flashcards at the end of its chapter."""

from dlnotes.lab.prose import display_prose
from dlnotes.lab.topic import load_topic


def flashcards(topic: str) -> None:
    """Show the cards of a topic, answers folded; ``topic`` is its short name.

    Folding is the browser's own (details, summary): it needs no script and obeys the keyboard.
    """
    cards = load_topic(topic).cards
    folded = (
        f'<details class="card" id="{card.id.replace(".", "-")}"><summary>\n\n{card.question}\n\n'
        f"</summary>\n\n{card.answer}\n\n</details>"
        for card in cards
    )
    display_prose(
        "\n\n".join(folded),
        "\n".join(f"Q: {card.question}\nA: {card.answer}" for card in cards),
    )
