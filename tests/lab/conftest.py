import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from dlnotes.lab import topic

mpl.use("Agg")

TOY = """
topic: playground/toy
claims:
- id: toy.1
  notes: [study notes, flashcards]
  ledger: ["000:toy.1", "001:toy.4"]
  claim: Two plus two is $4$.
  verdict: held
- id: toy.2
  notes: [course notes]
  ledger: ["003:toy.2"]
  claim: >-
    Every number is even,
    they say.
  verdict: corrected
  correction: Half of them are odd.
- id: toy.3
  notes: [study notes]
  ledger: []
  claim: A square is larger than its root.
  verdict: bounded
  correction: Above one.
- id: toy.4
  notes: [study notes]
  ledger: ["000:toy.9"]
  claim: Seven is the finest number.
  verdict: opinion
  correction: Tastes differ.
- id: toy.5
  notes: [study notes]
  ledger: ["000:toy.10"]
  claim: Nobody will ever write down the largest known prime.
  verdict: not executable
  correction: It speaks of the future.
cards:
- id: toy.card.1
  question: What is two plus two?
  answer: $4$.
  claim: toy.1
- id: toy.card.2
  question: Is three even?
  answer: No, it is odd.
"""


@pytest.fixture(autouse=True)
def tidy_bench(monkeypatch):
    """No environment from outside, no style that stays, no figure left open."""
    monkeypatch.delenv("DLNOTES_BAKE", raising=False)
    monkeypatch.delenv("DLNOTES_CHECK", raising=False)
    with mpl.rc_context():
        yield
    leaked = plt.get_fignums()
    plt.close("all")
    assert not leaked, "the test, or what it tests, left figures open"


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, as pairs of the representations and their metadata."""
    outputs = []

    def display(bundle, *, raw, metadata=None):
        assert raw is True  # otherwise IPython would print the dict
        outputs.append((bundle, metadata or {}))

    for name, module in list(sys.modules.items()):
        if name.startswith("dlnotes.lab.") and hasattr(module, "display"):
            monkeypatch.setattr(module, "display", display)
    return outputs


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A book of one topic, ``toy``, whose package lies in a folder of its own."""
    part = tmp_path / "playground"
    part.mkdir()
    (part / "toy.yml").write_text(TOY, "utf8")
    (part / "toy.py").touch()
    (tmp_path / "stray.yml").write_text("not a topic: it lies in no part", "utf8")
    monkeypatch.setattr(topic.resources, "files", lambda _package: tmp_path)
    topic.load_topic.cache_clear()
    yield TOY
    topic.load_topic.cache_clear()


@pytest.fixture
def axes():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)
