"""The record of a topic: its claims and flashcards, read from ``<part>/<topic>.yml``."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Topic:
    """All that a topic's file says."""

    name: str
    claims: tuple[Claim, ...]
    cards: tuple[Card, ...]

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
    """Turn the text of a topic's file into a `Topic`; raise ``TopicError`` for what is wrong."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TopicError(f"{short_name}.yml is not YAML: {error}") from error
    if not isinstance(raw, dict) or set(raw) != {"topic", "claims", "cards"}:
        raise TopicError(f"{short_name}.yml must hold exactly: topic, claims, cards")
    if str(raw["topic"]).rpartition("/")[2] != short_name:
        raise TopicError(f"{short_name}.yml is for {raw['topic']!r}: file and topic must agree")
    claims = tuple(_claim(entry, short_name) for entry in raw["claims"] or ())
    cards = tuple(_card(entry, short_name) for entry in raw["cards"] or ())
    ids = [claim.id for claim in claims] + [card.id for card in cards]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise TopicError(f"{short_name}.yml uses an id twice: {', '.join(twice)}")
    lost = {card.claim for card in cards} - {claim.id for claim in claims} - {""}
    if lost:
        raise TopicError(f"{short_name}.yml: cards name unknown claims: {', '.join(sorted(lost))}")
    return Topic(raw["topic"], claims, cards)


def _claim(entry: Any, topic: str) -> Claim:
    values = _fields(entry, topic, ("id", "notes", "ledger", "claim", "verdict"), ("correction",))
    if values["verdict"] not in VERDICTS:
        raise TopicError(
            f"{entry['id']}: verdict is one of {', '.join(VERDICTS)}, not {values['verdict']!r}"
        )
    if values["verdict"] != "held" and not values.get("correction"):
        raise TopicError(f"{entry['id']}: a claim that is {values['verdict']} needs a correction")
    for name in ("notes", "ledger"):
        if not isinstance(values[name], list):
            raise TopicError(f"{entry['id']}: {name} is a list")
        values[name] = tuple(values[name])
    return Claim(**values)


def _card(entry: Any, topic: str) -> Card:
    return Card(**_fields(entry, topic, ("id", "question", "answer"), ("claim",)))


def _fields(
    entry: Any, topic: str, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, Any]:
    """Return a copy of ``entry`` after checking its keys and its id."""
    if not isinstance(entry, dict) or not str(entry.get("id", "")).startswith(f"{topic}."):
        raise TopicError(f'{topic}.yml: every entry needs an id "{topic}.…", got {entry!r}')
    missing = [name for name in required if entry.get(name) in (None, "")]
    unknown = sorted(set(entry) - {*required, *optional})
    if missing or unknown:
        raise TopicError(f"{entry['id']}: missing {missing}, unknown {unknown}")
    return {
        name: value.strip() if isinstance(value, str) else value for name, value in entry.items()
    }
