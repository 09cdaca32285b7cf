import json
import re

import numpy as np
import pytest
import torch

from dlnotes.lab import PALETTE, ClaimFailed, check
from dlnotes.lab.claims import METADATA
from dlnotes.lab.topic import VERDICTS, TopicError, load_topic

pytestmark = pytest.mark.usefixtures("toy")

EXECUTABLE = ["toy.1", "toy.2", "toy.3"]
NOT_EXECUTABLE = ["toy.4", "toy.5"]


def edge(bundle):
    """Return the color that the HTML form carries with it."""
    return re.match(r'<div style="border-left: 4px solid (#\w{6});', bundle["text/html"])[1]


# -------------------------------------------------------------------------- what is shown
@pytest.mark.parametrize(
    ("claim_id", "label"),
    [("toy.2", "Correction"), ("toy.3", "Bound"), ("toy.4", "Why"), ("toy.5", "Why")],
)
def test_a_claim_shows_what_the_notes_said_what_became_of_it_and_the_evidence(
    shown, claim_id, label
):
    claim = load_topic("toy").claim(claim_id)
    check(claim_id, True if claim.executable else None, evidence="seen in $3$ of 3 runs")
    ((bundle, _),) = shown
    assert bundle["text/plain"].splitlines() == [
        f"[{claim.verdict}] {claim_id}",
        f"  The notes said: {claim.claim}",
        f"  {label}: {claim.correction}",
        "  This run: seen in $3$ of 3 runs",
    ]
    page = bundle["text/markdown"]
    rows = [
        f"**The notes said.** {claim.claim}",
        f"**{label}.** {claim.correction}",
        "**This run.** seen in $3$ of 3 runs",
    ]
    assert "\n\n".join(rows) in page
    assert page.count("**") == 6


def test_a_claim_that_held_needs_no_correction_to_be_shown(shown):
    check("toy.1", True, evidence="2 + 2 = 4")
    ((bundle, _),) = shown
    assert bundle["text/plain"] == (
        "[held] toy.1\n  The notes said: Two plus two is $4$.\n  This run: 2 + 2 = 4"
    )
    assert "Why" not in bundle["text/markdown"]


@pytest.mark.parametrize("claim_id", EXECUTABLE + NOT_EXECUTABLE)
def test_every_verdict_is_shown_by_its_word_a_shape_of_its_own_and_a_class(shown, claim_id):
    claim = load_topic("toy").claim(claim_id)
    check(claim_id, True if claim.executable else None, evidence="so it is")
    page = shown[0][0]["text/markdown"]
    head, body = page.split("</p>", 1)
    assert f'class="claim claim-{claim.verdict.replace(" ", "-")}"' in head
    assert f'id="claim-{claim_id.replace(".", "-")}"' in head
    assert f'<span class="claim-id">{claim_id}</span>' in head
    assert f'<span class="claim-notes">{", ".join(claim.notes)}</span>' in head
    badge = head.partition('<span class="verdict">')[2].partition("</span>")[0]
    shape, word = badge.split(" ", 1)
    assert word == claim.verdict
    assert len(shape) == 1
    # Blank lines around the rows: what lies between them is read as Markdown, maths included.
    assert body.startswith("\n\n")
    assert body.endswith("\n\n</div>")


def test_no_two_verdicts_share_a_shape_or_a_color(shown):
    for claim_id in EXECUTABLE + NOT_EXECUTABLE:
        check(claim_id, True if claim_id in EXECUTABLE else None, evidence="so it is")
    heads = [bundle["text/markdown"].partition('"verdict">')[2] for bundle, _ in shown]
    assert len({head[0] for head in heads}) == len(VERDICTS)
    assert len({edge(bundle) for bundle, _ in shown}) == len(VERDICTS)
    assert {edge(bundle) for bundle, _ in shown} < set(PALETTE.values()) - {PALETTE["red"]}


def test_where_the_style_sheet_is_not_loaded_a_failure_has_a_red_edge(shown, monkeypatch):
    monkeypatch.setenv("DLNOTES_CHECK", "record")
    check("toy.1", False, evidence="seen in 1 of 3 runs")
    assert edge(shown[0][0]) == PALETTE["red"]
    assert "<strong>This run disagrees.</strong> seen in 1 of 3 runs" in shown[0][0]["text/html"]


@pytest.mark.parametrize("claim_id", EXECUTABLE)
def test_the_output_records_which_claim_it_settles(shown, claim_id):
    check(claim_id, True, evidence="so it is")
    ((_, metadata),) = shown
    assert metadata == {
        METADATA: {
            "claim": claim_id,
            "verdict": load_topic("toy").claim(claim_id).verdict,
            "holds": True,
            "evidence": "so it is",
        }
    }


def test_the_record_of_an_opinion_says_that_no_run_decided_it(shown):
    check("toy.4", None)
    assert shown[0][1][METADATA] == {
        "claim": "toy.4",
        "verdict": "opinion",
        "holds": None,
        "evidence": "",
    }
    assert "This run" not in shown[0][0]["text/plain"]


# ------------------------------------------------------------------------------ what holds
@pytest.mark.parametrize(
    "truth",
    [
        np.True_,
        np.array([1.0, 2.0]).max() > 1,
        np.array(True),
        torch.tensor(True),
        torch.tensor([3.0]) > 2,
        (torch.arange(3) >= 0).all(),
    ],
)
def test_the_booleans_of_numpy_and_torch_count_and_are_recorded_as_plain_ones(shown, truth):
    check("toy.1", truth, evidence="so it is")
    record = shown[0][1][METADATA]
    assert record["holds"] is True
    json.dumps(record)


@pytest.mark.parametrize("falsehood", [False, np.False_, torch.tensor(False)])
@pytest.mark.parametrize("claim_id", EXECUTABLE)
def test_a_claim_that_fails_is_shown_first_and_then_raises(shown, claim_id, falsehood):
    verdict = load_topic("toy").claim(claim_id).verdict
    with pytest.raises(ClaimFailed) as failure:
        check(claim_id, falsehood, evidence="seen in 1 of 3 runs")
    assert str(failure.value) == f"{claim_id} ({verdict}): seen in 1 of 3 runs"
    ((bundle, metadata),) = shown
    assert metadata[METADATA]["holds"] is False
    assert bundle["text/plain"].startswith(f"[{verdict}] {claim_id}  FAILED\n")
    assert "  This run disagrees: seen in 1 of 3 runs" in bundle["text/plain"]
    assert 'class="claim claim-failed"' in bundle["text/markdown"]
    assert "**This run disagrees.** seen in 1 of 3 runs" in bundle["text/markdown"]


def test_a_failed_claim_is_a_failed_assertion():
    assert issubclass(ClaimFailed, AssertionError)


def test_a_survey_records_failures_and_goes_on(shown, monkeypatch):
    monkeypatch.setenv("DLNOTES_CHECK", "record")
    check("toy.1", False, evidence="seen in 1 of 3 runs")
    check("toy.2", True, evidence="seen in 3 of 3 runs")
    assert [metadata[METADATA]["holds"] for _, metadata in shown] == [False, True]
    assert "FAILED" in shown[0][0]["text/plain"]


@pytest.mark.parametrize("setting", ["", "0", "raise"])
def test_only_the_word_record_keeps_a_failure_quiet(shown, monkeypatch, setting):
    monkeypatch.setenv("DLNOTES_CHECK", setting)
    with pytest.raises(ClaimFailed):
        check("toy.1", False, evidence="seen in 1 of 3 runs")
    assert len(shown) == 1


# ------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("claim_id", EXECUTABLE)
def test_a_claim_that_a_run_decides_must_be_decided(shown, claim_id):
    with pytest.raises(
        TopicError, match=f"{claim_id} is .*: holds must be True or False, not None"
    ):
        check(claim_id, None, evidence="who knows")
    assert shown == []


@pytest.mark.parametrize("claim_id", NOT_EXECUTABLE)
@pytest.mark.parametrize("holds", [True, False])
def test_a_claim_that_no_run_decides_cannot_be_decided(shown, claim_id, holds):
    with pytest.raises(TopicError, match=f"{claim_id} is .*: holds must be None, not {holds}"):
        check(claim_id, holds, evidence="I like it")
    assert shown == []


@pytest.mark.parametrize("holds", [True, False])
def test_a_verdict_without_evidence_is_refused(shown, holds, monkeypatch):
    monkeypatch.setenv("DLNOTES_CHECK", "record")
    with pytest.raises(TopicError, match=r"toy\.2: say what was seen: evidence="):
        check("toy.2", holds)
    assert shown == []


def test_several_booleans_at_once_are_ambiguous(shown):
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        check("toy.1", torch.tensor([True, False]), evidence="half of them")
    assert shown == []


@pytest.mark.parametrize(
    ("claim_id", "complaint"),
    [("toy.77", "it has: toy.1"), ("tooy.1", "there are: toy"), ("toy", "no claim 'toy'")],
)
def test_an_unknown_claim_is_refused(shown, claim_id, complaint):
    with pytest.raises(TopicError, match=complaint):
        check(claim_id, True, evidence="so it is")
    assert shown == []


@pytest.mark.parametrize("number", [0.42, 1, np.float64(0.3), "held"])
def test_a_forgotten_comparison_is_refused(shown, number):
    with pytest.raises(TypeError, match="holds must be true or false"):
        check("toy.1", number, "a number")
    assert not shown
