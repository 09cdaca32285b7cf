"""BLEU of a corpus against sacrebleu, ROUGE against rouge-score."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from dlnotes.sequences.translation_metrics import bleu, rouge_l, rouge_lsum, rouge_n

WORDS = [f"w{i}" for i in range(200)]


class Spaces:
    """Make rouge-score split as our texts are split already."""

    tokenize = staticmethod(str.split)


def corpus(sentences):
    rng = random.Random(0)
    references = [rng.choices(WORDS, k=25) for _ in range(sentences)]
    outputs = [[w for w in text if rng.random() > 0.2] for text in references]
    return outputs, references


@pytest.mark.bench(peer="sacrebleu.metrics.BLEU.corpus_score", sizes=[20, 500], axis="sentences")
def bench_bleu(size, race):
    outputs, references = corpus(size)
    lists = [[reference] for reference in references]
    lines, target = ([" ".join(text) for text in texts] for texts in (outputs, references))
    grader = BLEU(smooth_method="none", tokenize="none")
    race(
        ours=lambda: bleu(outputs, lists),
        peer=lambda: grader.corpus_score(lines, [target]),
    )


@pytest.mark.bench(
    peer="rouge_score.rouge_scorer.RougeScorer.score", sizes=[5, 100], axis="sentences"
)
def bench_rouge(size, race):
    outputs, references = corpus(size)
    pairs = list(zip(outputs, references, strict=True))
    lines = [(" ".join(reference), " ".join(output)) for output, reference in pairs]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], tokenizer=Spaces())
    race(
        ours=lambda: [
            (rouge_n(o, r, 1), rouge_n(o, r, 2), rouge_l(o, r), rouge_lsum([o], [r]))
            for o, r in pairs
        ],
        peer=lambda: [scorer.score(*pair) for pair in lines],
    )
