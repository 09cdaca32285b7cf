import copy

import pytest
import yaml

from dlnotes.lab.topic import (
    VERDICTS,
    Card,
    Claim,
    TopicError,
    load_topic,
    parse_topic,
    topic_files,
)


@pytest.fixture
def record(toy):
    """The record of the toy topic as plain data, to be spoiled."""
    return yaml.safe_load(toy)


def parse(record, name="toy"):
    return parse_topic(yaml.safe_dump(record, allow_unicode=True), name)


# --------------------------------------------------------------------------------- reading
def test_a_topic_is_read_as_it_was_written(toy):
    topic = parse_topic(toy, "toy")
    assert topic.name == "playground/toy"
    assert topic.claims[1] == Claim(
        id="toy.2",
        notes=("course notes",),
        ledger=("003:toy.2",),
        claim="Every number is even, they say.",
        verdict="corrected",
        correction="Half of them are odd.",
    )
    assert topic.claims[0].notes == ("study notes", "flashcards")
    assert topic.claims[0].correction == ""
    assert topic.cards == (
        Card("toy.card.1", "What is two plus two?", "$4$.", "toy.1"),
        Card("toy.card.2", "Is three even?", "No, it is odd."),
    )


def test_claims_keep_the_order_of_the_chapter(toy):
    assert [claim.id for claim in parse_topic(toy, "toy").claims] == [
        f"toy.{i}" for i in range(1, 6)
    ]


def test_text_is_stripped_so_that_no_verdict_ends_in_a_newline(record):
    record["claims"][1]["claim"] = "  Every number is even.\n"
    record["cards"][0]["answer"] = "$4$\n\n"
    topic = parse(record)
    assert topic.claims[1].claim == "Every number is even."
    assert topic.cards[0].answer == "$4$"


def test_a_run_decides_facts_but_not_opinions_nor_what_cannot_be_run(toy):
    decided = {claim.verdict: claim.executable for claim in parse_topic(toy, "toy").claims}
    assert decided == VERDICTS
    assert decided == {
        "held": True,
        "corrected": True,
        "bounded": True,
        "opinion": False,
        "not executable": False,
    }


@pytest.mark.parametrize("empty", [None, []])
def test_a_topic_may_be_empty(empty):
    topic = parse({"topic": "playground/toy", "claims": empty, "cards": empty})
    assert topic.claims == topic.cards == ()


def test_a_claim_is_found_by_its_id_and_an_unknown_one_names_those_there_are(toy):
    topic = parse_topic(toy, "toy")
    assert topic.claim("toy.3") is topic.claims[2]
    for unknown in ("toy.0", "toy.9"):
        with pytest.raises(TopicError, match=rf"no claim '{unknown}'; it has: toy\.1, .*toy\.5"):
            topic.claim(unknown)


# ------------------------------------------------------------------------------- files
def test_topics_are_found_by_their_short_name_in_the_folders_of_the_parts(toy):
    files = topic_files()
    assert set(files) == {"toy"}  # neither the module beside it nor what lies outside a part
    assert files["toy"].read_text("utf8") == toy


def test_a_topic_is_loaded_from_its_file_and_read_once(toy, tmp_path):
    topic = load_topic("toy")
    assert topic == parse_topic(toy, "toy")
    (tmp_path / "playground" / "toy.yml").unlink()
    assert load_topic("toy") is topic


@pytest.mark.usefixtures("toy")
def test_an_unknown_topic_names_those_there_are():
    with pytest.raises(TopicError, match="no topic 'tooy'; there are: toy"):
        load_topic("tooy")


# ------------------------------------------------------------------------------ refusals
QUIZ = {
    "id": "toy.card.1",
    "question": "What is two plus two?",
    "answer": "$4$.",
    "wrong": ["$5$.", "$22$."],
    "why": "Two and two are four on any abacus.",
    "flashcards": [7, 12],
}


def test_a_card_with_wrong_answers_is_a_question_of_the_quiz(record):
    record["cards"][0] = QUIZ
    card = parse(record).cards[0]
    assert card.wrong == ("$5$.", "$22$.")
    assert card.why == QUIZ["why"]
    assert card.flashcards == (7, 12)


def test_a_refusal_names_the_line_of_the_entry(toy):
    lines = toy.replace("verdict: opinion", "verdict: guess").splitlines()
    line = lines.index("- id: toy.4") + 1
    with pytest.raises(TopicError, match=rf"^toy\.yml:{line}: toy\.4: verdict is one of"):
        parse_topic("\n".join(lines), "toy")
    card = parse_topic(toy, "toy").cards[1]
    assert lines[card.line - 1] == "- id: toy.card.2"


def change(path, value):
    """Return a function that sets, or with ``...`` removes, what lies at ``path``."""

    def spoil(record):
        *way, last = path
        for step in way:
            record = record[step]
        if value is ...:
            del record[last]
        else:
            record[last] = copy.deepcopy(value)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (change(["cards"], ...), "exactly: topic, claims, cards"),
        (change(["remarks"], "none"), "exactly: topic, claims, cards"),
        (change(["topic"], "playground/tooy"), "is for 'playground/tooy'"),
        (change(["claims", 0, "id"], ...), "every entry needs an id"),
        (change(["claims", 0, "id"], "other.1"), "every entry needs an id"),
        (change(["claims", 0, "id"], "toys.1"), "every entry needs an id"),
        (change(["claims", 0], "Two plus two is 4."), "every entry needs an id"),
        (change(["cards", 1, "id"], "card.2"), "every entry needs an id"),
        (change(["claims", 1, "id"], "toy.1"), r"an id twice: toy\.1"),
        (change(["cards", 0, "id"], "toy.3"), r"an id twice: toy\.3"),
        (change(["claims", 0, "verdict"], "true"), "verdict is one of held, .*not 'true'"),
        (change(["claims", 0, "verdict"], ""), r"toy\.1: missing \['verdict'\]"),
        (change(["claims", 0, "claim"], ...), r"toy\.1: missing \['claim'\]"),
        (change(["claims", 0, "ledger"], None), r"toy\.1: missing \['ledger'\]"),
        (change(["claims", 0, "note"], "x"), r"unknown \['note'\]"),
        (change(["claims", 0, "notes"], "study notes"), r"toy\.1: notes is a list"),
        (change(["claims", 0, "ledger"], "000:toy.1"), r"toy\.1: ledger is a list"),
        (change(["claims", 1, "correction"], ...), r"toy\.2: a claim that is corrected needs"),
        (change(["claims", 2, "correction"], ""), r"toy\.3: a claim that is bounded needs"),
        (change(["claims", 3, "correction"], ...), r"toy\.4: a claim that is opinion needs"),
        (change(["claims", 4, "correction"], ...), "that is not executable needs"),
        (change(["cards", 0, "answer"], ""), r"toy\.card\.1: missing \['answer'\]"),
        (change(["cards", 0, "question"], ...), r"toy\.card\.1: missing \['question'\]"),
        (change(["cards", 0, "verdict"], "held"), r"unknown \['verdict'\]"),
        (change(["cards", 0, "claim"], "toy.7"), r"cards name unknown claims: toy\.7"),
        (change(["cards", 0, "wrong"], ["$5$."]), r"needs both wrong answers and why"),
        (change(["cards", 0, "why"], "We counted."), r"needs both wrong answers and why"),
        (change(["cards", 0], QUIZ | {"wrong": ["$4$."]}), "must be different texts"),
        (change(["cards", 0], QUIZ | {"wrong": ["$5$.", "$5$."]}), "must be different texts"),
        (change(["cards", 0], QUIZ | {"wrong": "$5$."}), r"toy\.card\.1: wrong is a list"),
        (change(["cards", 0, "flashcards"], 3), r"toy\.card\.1: flashcards is a list"),
        (change(["cards", 0, "answer"], 4), r"toy\.card\.1: not a text: answer"),
        (change(["claims", 1, "correction"], ["odd"]), r"toy\.2: not a text: correction"),
    ],
)
def test_a_record_that_cannot_be_is_refused_with_what_is_wrong(record, spoil, complaint):
    parse(record)
    spoil(record)
    with pytest.raises(TopicError, match=complaint):
        parse(record)


@pytest.mark.parametrize("text", ["", "- toy.1", "just words"])
def test_a_file_that_holds_no_record_is_refused(text):
    with pytest.raises(TopicError, match=r"toy\.yml must hold exactly"):
        parse_topic(text, "toy")


def test_a_file_that_is_not_yaml_is_refused_with_the_line():
    with pytest.raises(TopicError, match=r"(?s)toy\.yml is not YAML.*line 2"):
        parse_topic("claims: [\ntopic: }", "toy")


def test_a_refusal_is_a_value_error():
    assert issubclass(TopicError, ValueError)
