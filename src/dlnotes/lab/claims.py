"""The bench's verdict: what the notes said, what became of it, and the evidence of this run."""

import os
from typing import Any

from dlnotes.lab.prose import display_prose
from dlnotes.lab.topic import Claim, TopicError, load_topic

#: Under this key the metadata of an output says which claim it settles.
METADATA = "dlnotes"

#: A badge is known by its sign and its outline, not by its color alone.
SHAPES = {
    "held": "✓",
    "corrected": "✎",
    "bounded": "↔",
    "opinion": "❝",
    "not executable": "∅",
}

#: Its color where the site's style sheet is not loaded.
COLORS = {
    "held": "#2f9672",
    "corrected": "#cf6f17",
    "bounded": "#3d85c6",
    "opinion": "#9a6fd0",
    "not executable": "#7d8790",
}


class ClaimFailed(AssertionError):
    """A claim's verdict was not borne out by this run."""


def check(claim_id: str, holds: Any, evidence: str = "") -> None:
    """Show what the notes claimed, the verdict, and this run's evidence for the verdict.

    ``holds`` says whether this run established the verdict: for a corrected claim, that the note
    is wrong and the correction right. It is ``None`` for, and only for, claims that no run can
    decide (opinion, not executable). ``evidence`` is one sentence with rounded numbers, which the
    test suite compares with a fresh run. Raises `ClaimFailed` when ``holds`` is false, after
    showing the claim, and ``TopicError`` for an unknown id; with ``DLNOTES_CHECK=record`` in the
    environment a failure is recorded in the output, for a survey over seeds, and does not raise.
    """
    claim = load_topic(claim_id.partition(".")[0]).claim(claim_id)
    if (holds is None) == claim.executable:
        what = "True or False" if claim.executable else "None"
        raise TopicError(f"{claim_id} is {claim.verdict}: holds must be {what}, not {holds!r}")
    if claim.executable and not evidence:
        raise TopicError(f"{claim_id}: say what was seen: evidence=…")
    # NumPy and torch give booleans of their own; a number is a comparison that was forgotten.
    verdict = holds.item() if hasattr(holds, "item") else holds
    if not isinstance(verdict, bool | None):
        raise TypeError(f"{claim_id}: holds must be true or false, not {holds!r}")
    record = {"claim": claim.id, "verdict": claim.verdict, "holds": verdict, "evidence": evidence}
    color = "#d4556a" if verdict is False else COLORS[claim.verdict]
    display_prose(
        _markdown(claim, verdict, evidence),
        _plain(claim, verdict, evidence),
        style=f"border-left: 4px solid {color}; padding-left: 12px",
        metadata={METADATA: record},
    )
    if verdict is False and os.environ.get("DLNOTES_CHECK") != "record":
        raise ClaimFailed(f"{claim.id} ({claim.verdict}): {evidence}")


def _lines(claim: Claim, holds: bool | None, evidence: str) -> list[tuple[str, str]]:
    corrected = {"bounded": "Bound", "corrected": "Correction"}.get(claim.verdict, "Why")
    rows = [
        ("The notes said", claim.claim),
        (corrected, claim.correction),
        ("This run" if holds is not False else "This run disagrees", evidence),
    ]
    return [(label, text) for label, text in rows if text]


def _plain(claim: Claim, holds: bool | None, evidence: str) -> str:
    head = f"[{claim.verdict}] {claim.id}" + ("  FAILED" if holds is False else "")
    rows = _lines(claim, holds, evidence)
    return "\n".join([head, *(f"  {label}: {text}" for label, text in rows)])


def _markdown(claim: Claim, holds: bool | None, evidence: str) -> str:
    kind = "failed" if holds is False else claim.verdict.replace(" ", "-")
    badge = f"{SHAPES[claim.verdict]} {claim.verdict}"
    rows = "\n\n".join(f"**{label}.** {text}" for label, text in _lines(claim, holds, evidence))
    return (
        f'<div class="claim claim-{kind}" id="claim-{claim.id.replace(".", "-")}">\n'
        f'<p class="claim-head"><span class="verdict">{badge}</span> '
        f'<span class="claim-id">{claim.id}</span> '
        f'<span class="claim-notes">{", ".join(claim.notes)}</span></p>\n\n'
        f"{rows}\n\n</div>"
    )
