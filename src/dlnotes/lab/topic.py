"""The record of a topic: its claims and flashcards, read from ``<part>/<topic>.yml``."""

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import yaml

#: What can become of a claim, and whether it takes a run to say so.
VERDICTS = {
    "held": True,
    "corrected": True,
    "bounded": True,
    "opinion": False,
    "not executable": False,
}


class TopicError(ValueError):
    """A topic's file is missing or says something that cannot be."""


@dataclass(frozen=True)
class Claim:
    """One statement of the notes, in our words, and what became of it."""

    id: str
    notes: tuple[str, ...]
    ledger: tuple[str, ...]
    claim: str
    verdict: str
    correction: str = ""
    experiment: str = ""  # how its chapter decides it, or will
    line: int = field(default=0, compare=False)  # of its file, for messages

    @property
    def executable(self) -> bool:
        """Whether a run decides it."""
        return VERDICTS[self.verdict]


@dataclass(frozen=True)
class Card:
    """One thing worth remembering."""

    id: str
    question: str
    answer: str
    claim: str = ""
    flashcards: tuple[int, ...] = ()  # which of the notes' own cards it covers
    wrong: tuple[str, ...] = ()  # wrong answers: they make it a question of the quiz
    why: str = ""  # explains the right answer of the quiz
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Topic:
    """All that a topic's file says."""

    name: str
    claims: tuple[Claim, ...]
    cards: tuple[Card, ...]
    museum: tuple[str, ...] = ()  # the bugs of its museum: homework has to catch each

    @property
    def items(self) -> tuple[Claim | Card, ...]:
        """Claims and cards together."""
        return (*self.claims, *self.cards)

    def claim(self, claim_id: str) -> Claim:
        """Return the claim of that id; raise ``TopicError`` naming the known ones."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        known = ", ".join(claim.id for claim in self.claims)
        raise TopicError(f"{self.name}.yml has no claim {claim_id!r}; it has: {known}")


def topic_files() -> dict[str, Traversable]:
    """Return every topic's file by the topic's short name."""
    parts = (part for part in resources.files("dlnotes").iterdir() if part.is_dir())
    files = (file for part in parts for file in part.iterdir() if file.name.endswith(".yml"))
    return {file.name.removesuffix(".yml"): file for file in files}


@cache
def load_topic(short_name: str) -> Topic:
    """Read and check the file of a topic, by its short name: ``load_topic("kalman_filter")``."""
    files = topic_files()
    if short_name not in files:
        raise TopicError(f"no topic {short_name!r}; there are: {', '.join(sorted(files))}")
    return parse_topic(files[short_name].read_text("utf8"), short_name)


def parse_topic(text: str, short_name: str) -> Topic:
    """Turn the text of a topic's file into a `Topic`; raise ``TopicError`` with file and line."""
    file = f"{short_name}.yml"
    try:
        raw = yaml.safe_load(text)
        lines = _lines_of_entries(text)
    except yaml.YAMLError as error:
        raise TopicError(f"{file} is not YAML: {error}") from None
    keys = {"topic", "claims", "cards"}
    if not isinstance(raw, dict) or set(raw) - {"museum"} != keys:
        raise TopicError(f"{file} must hold exactly: topic, claims, cards, and museum if it likes")
    if str(raw["topic"]).rpartition("/")[2] != short_name:
        raise TopicError(f"{file}:1: it is for {raw['topic']!r}: file and topic must agree")
    claims = tuple(
        _claim(entry, file, line)
        for entry, line in zip(raw["claims"] or (), lines["claims"], strict=True)
    )
    cards = tuple(
        _card(entry, file, line)
        for entry, line in zip(raw["cards"] or (), lines["cards"], strict=True)
    )
    seen: dict[str, int] = {}
    items: list[Claim | Card] = [*claims, *cards]
    for item in items:
        if item.id in seen:
            raise TopicError(
                f"{file}:{item.line}: an id twice: {item.id}, also in line {seen[item.id]}"
            )
        seen[item.id] = item.line
    known = {claim.id for claim in claims}
    for card in cards:
        if card.claim and card.claim not in known:
            raise TopicError(f"{file}:{card.line}: cards name unknown claims: {card.claim}")
    museum = raw.get("museum", [])
    if not isinstance(museum, list) or not all(isinstance(one, str) for one in museum):
        raise TopicError(f"{file}: museum is a list of names")
    return Topic(raw["topic"], claims, cards, tuple(museum))


def _lines_of_entries(text: str) -> dict[str, list[int]]:
    """Return the line in which each claim and each card begins."""
    lines: dict[str, list[int]] = {"claims": [], "cards": []}
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value in lines and isinstance(value, yaml.SequenceNode):
                lines[key.value] = [entry.start_mark.line + 1 for entry in value.value]
    return lines


def _claim(entry: Any, file: str, line: int) -> Claim:
    required = ("id", "notes", "ledger", "claim", "verdict")
    values = _fields(entry, file, line, required, ("correction", "experiment"))
    if values["verdict"] not in VERDICTS:
        raise TopicError(
            f"{file}:{line}: {entry['id']}: verdict is one of {', '.join(VERDICTS)}, "
            f"not {values['verdict']!r}"
        )
    if values["verdict"] != "held" and not values.get("correction"):
        raise TopicError(
            f"{file}:{line}: {entry['id']}: a claim that is {values['verdict']} needs a correction"
        )
    return Claim(**_tuples(values, file, line, "notes", "ledger"), line=line)


def _card(entry: Any, file: str, line: int) -> Card:
    optional = ("claim", "flashcards", "wrong", "why")
    values = _fields(entry, file, line, ("id", "question", "answer"), optional)
    card = Card(**_tuples(values, file, line, "flashcards", "wrong"), line=line)
    if bool(card.wrong) != bool(card.why):
        raise TopicError(f"{file}:{line}: {card.id} needs both wrong answers and why, or neither")
    options = (card.answer, *card.wrong)
    if not all(isinstance(option, str) for option in options) or len(set(options)) < len(options):
        raise TopicError(f"{file}:{line}: the options of {card.id} must be different texts")
    return card


def _tuples(values: dict[str, Any], file: str, line: int, *names: str) -> dict[str, Any]:
    for name in names:
        if not isinstance(values.get(name, []), list):
            raise TopicError(f"{file}:{line}: {values['id']}: {name} is a list")
        if name in values:
            values[name] = tuple(values[name])
    return values


def _fields(
    entry: Any, file: str, line: int, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, Any]:
    """Return a copy of ``entry`` after checking its keys and its id."""
    topic = file.removesuffix(".yml")
    if not isinstance(entry, dict) or not str(entry.get("id", "")).startswith(f"{topic}."):
        raise TopicError(f'{file}:{line}: every entry needs an id "{topic}.…", got {entry!r}')
    missing = [name for name in required if entry.get(name) in (None, "")]
    unknown = sorted(set(entry) - {*required, *optional})
    if missing or unknown:
        raise TopicError(f"{file}:{line}: {entry['id']}: missing {missing}, unknown {unknown}")
    wrong_kind = [
        name
        for name in ("id", "claim", "verdict", "correction", "question", "answer", "why")
        if not isinstance(entry.get(name, ""), str)
    ]
    if wrong_kind:
        raise TopicError(f"{file}:{line}: {entry['id']}: not a text: {', '.join(wrong_kind)}")
    return {
        name: value.strip() if isinstance(value, str) else value for name, value in entry.items()
    }
