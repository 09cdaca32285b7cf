"""Oracles, properties and refusals of dlnotes.sequences.translation_metrics."""

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from dlnotes.sequences.translation_metrics import (
    Bleu,
    Rouge,
    bleu,
    brevity_penalty,
    clipped_matches,
    common_subsequence,
    count_ngrams,
    precisions,
    rouge_l,
    rouge_lsum,
    rouge_n,
    sentence_bleu,
    tokenize_13a,
    tokenize_rouge,
)

VOCABULARY = ["the", "cat", "is", "on", "a", "mat", "dog", "there"]
METHODS = {"none": "none", "floor": "floor", "add": "add-k", "exp": "exp"}  # ours: theirs
CAT = ["the", "cat", "is", "on", "the", "mat"]


def text(rng, shortest, longest):
    return rng.choices(VOCABULARY, k=rng.randint(shortest, longest))


def damaged(rng, words):
    """A copy with words dropped, replaced and repeated."""
    copies = (rng.choices([[], [rng.choice(VOCABULARY)], [w, w], [w]], [1, 2, 1, 8]) for w in words)
    return [word for copy in copies for word in copy[0]]


def pairs(count=200):
    """Outputs with one to three references, some of them empty, short or far apart."""
    rng = random.Random(0)
    for _ in range(count):
        references = [text(rng, 1, 20) for _ in range(rng.randint(1, 3))]
        yield damaged(rng, rng.choice(references)), references


def lines(words, width=5):
    return [words[i : i + width] for i in range(0, len(words), width)]


words = st.lists(st.sampled_from(VOCABULARY), max_size=12)
some = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=12)
long = st.lists(st.sampled_from(VOCABULARY), min_size=4, max_size=14)
few = settings(max_examples=60, deadline=None, derandomize=True)

# Oracles


@pytest.mark.parametrize("effective", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.oracle(
    "sacrebleu.metrics.BLEU.sentence_score",
    of=["sentence_bleu", "precisions", "Bleu", "brevity_penalty"],
    tolerance=1e-9,
)
def test_sentence_scores_and_their_parts_are_those_of_sacrebleu(agree, method, effective):
    grader = BLEU(smooth_method=METHODS[method], tokenize="none", effective_order=effective)
    for output, references in pairs():
        ours = sentence_bleu(output, references, smoothing=method, effective_order=effective)
        theirs = grader.sentence_score(" ".join(output), [" ".join(r) for r in references])
        agree(100 * ours.score, theirs.score)
        agree([100 * p for p in ours.precisions], theirs.precisions)
        agree([ours.penalty, ours.c, ours.r], [theirs.bp, theirs.sys_len, theirs.ref_len])


@pytest.mark.parametrize("longest", [1, 2, 4, 5])
@pytest.mark.oracle(
    "sacrebleu.metrics.BLEU.corpus_score", of=["bleu", "clipped_matches"], tolerance=1e-9
)
def test_corpus_scores_and_counts_are_those_of_sacrebleu(agree, longest):
    rng = random.Random(1)
    references = [[text(rng, 5, 20) for _ in range(2)] for _ in range(200)]
    outputs = [damaged(rng, several[0]) for several in references]
    grader = BLEU(smooth_method="none", tokenize="none", max_ngram_order=longest)
    streams = [[" ".join(several[k]) for several in references] for k in range(2)]
    theirs = grader.corpus_score([" ".join(output) for output in outputs], streams)
    ours = bleu(outputs, references, longest=longest)
    assert ours.score > 0.05
    agree(100 * ours.score, theirs.score)
    agree(ours.matches, theirs.counts)
    agree(ours.totals, theirs.totals)


@pytest.mark.oracle(
    "rouge_score.rouge_scorer.RougeScorer.score",
    of=["rouge_n", "rouge_l", "rouge_lsum", "Rouge", "common_subsequence"],
    tolerance=1e-12,
)
def test_rouge_is_that_of_rouge_score(agree):
    scorer = RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"])
    for output, (reference, *_) in pairs():
        page = ["\n".join(map(" ".join, lines(words))) for words in (reference, output)]
        theirs = scorer.score(*page)
        ours = [rouge_n(output, reference, n) for n in (1, 2, 3)]
        ours += [rouge_l(output, reference), rouge_lsum(lines(output), lines(reference))]
        for one, other in zip(ours, theirs.values(), strict=True):
            agree(
                [one.precision, one.recall, one.f1],
                [other.precision, other.recall, other.fmeasure],
            )


@pytest.mark.oracle("rouge_score.rouge_scorer.RougeScorer.score_multi", of="rouge_n", tolerance=0)
def test_of_several_references_rouge_score_keeps_the_best(agree):
    scorer = RougeScorer(["rouge1"])
    for output, references in pairs(50):
        theirs = scorer.score_multi([" ".join(r) for r in references], " ".join(output))
        agree(max(rouge_n(output, r, 1).f1 for r in references), theirs["rouge1"].fmeasure)


@pytest.mark.oracle("brute force over all subsequences", of="common_subsequence", tolerance=0)
def test_no_common_subsequence_is_longer(agree):
    def all_of(words):
        return {
            tuple(words[i] for i in places)
            for k in range(len(words) + 1)
            for places in itertools.combinations(range(len(words)), k)
        }

    rng = random.Random(2)
    for _ in range(40):
        first, second = text(rng, 1, 8), text(rng, 1, 8)
        found = tuple(first[i] for i in common_subsequence(first, second))
        shared = all_of(first) & all_of(second)
        assert found in shared
        agree(len(found), max(map(len, shared)))


@pytest.mark.oracle("list.count on all slices", of="count_ngrams", tolerance=0)
def test_ngrams_are_counted_as_slices_are(agree):
    for output, _ in pairs(50):
        for n in (1, 2, 3, 4):
            slices = [tuple(output[i : i + n]) for i in range(len(output) - n + 1)]
            counts = count_ngrams(output, n)
            assert set(counts) == set(slices)
            agree([counts[gram] for gram in slices], [slices.count(gram) for gram in slices])


LINES = [
    "Tell me, Muse: of 3,000.5 ships -- or 2-3?",
    'He said "no" (twice); it costs $5.00, i.e. 10% more.',
    "a&amp;b &lt;tag&gt; &quot;x&quot; <skipped> end-\nof line\nnext",
    "Don't stop. Really... [1] {x} ~ a/b a_b * + = ^ | `",
    " spaces\t and. 5,a a,5 .5 5. ",
    "",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.oracle(
    "sacrebleu.tokenizers.tokenizer_13a.Tokenizer13a", of="tokenize_13a", tolerance=0
)
def test_13a_splits_as_sacrebleu_does(agree, line):
    assert tokenize_13a(line) == Tokenizer13a()(line).split()
    agree(len(tokenize_13a(line)), len(Tokenizer13a()(line).split()))


@pytest.mark.parametrize("line", [*LINES, "Été in Zürich, 2x_y"])
@pytest.mark.oracle("rouge_score.tokenize.tokenize", of="tokenize_rouge", tolerance=0)
def test_rouge_splits_as_rouge_score_does(agree, line):
    theirs = tokenize.tokenize(line, None)
    assert tokenize_rouge(line) == theirs
    agree(len(tokenize_rouge(line)), len(theirs))


# Worked examples


def test_the_examples_of_the_paper_and_of_the_notes_on_bleu():
    references = [CAT, ["there", "is", "a", "cat", "on", "the", "mat"]]
    assert clipped_matches(["the"] * 7, references, 1) == (2, 7)
    assert clipped_matches(["the", "cat", "the", "cat", "on", "the", "mat"], references, 2) == (
        4,
        6,
    )


def test_the_examples_of_the_paper_on_rouge():
    reference = ["police", "killed", "the", "gunman"]
    assert rouge_l(["police", "kill", "the", "gunman"], reference).f1 == 0.75
    assert rouge_l(["the", "gunman", "kill", "police"], reference).f1 == 0.5
    candidate = [["w1", "w2", "w6", "w7", "w8"], ["w1", "w3", "w8", "w9", "w5"]]
    assert rouge_lsum(candidate, [["w1", "w2", "w3", "w4", "w5"]]).recall == 0.8


@pytest.mark.parametrize(
    ("c", "r", "penalty"), [(9, 9, 1), (12, 9, 1), (6, 9, math.exp(-0.5)), (0, 9, 0), (0, 0, 1)]
)
def test_brevity_costs_and_length_does_not(c, r, penalty):
    assert brevity_penalty(c, r) == pytest.approx(penalty)


def test_of_two_equally_close_lengths_the_shorter_counts():
    assert sentence_bleu(["a"] * 5, [["a"] * 6, ["a"] * 4]).r == 4
    assert sentence_bleu(["a"] * 5, [["a"] * 4, ["a"] * 6]).r == 4


def test_smoothing_lifts_zeros_as_documented():
    assert precisions([3, 1, 0, 0], [5, 4, 3, 2]) == [3 / 5, 1 / 4, 0, 0]
    assert precisions([3, 1, 0, 0], [5, 4, 3, 2], "floor") == [3 / 5, 1 / 4, 0.1 / 3, 0.1 / 2]
    assert precisions([3, 1, 0, 0], [5, 4, 3, 2], "add") == [3 / 5, 2 / 5, 1 / 4, 1 / 3]
    assert precisions([3, 1, 0, 0], [5, 4, 3, 2], "exp") == [3 / 5, 1 / 4, 0.5 / 3, 0.25 / 2]
    for method in METHODS:
        assert precisions([0, 0], [2, 1], method) == [0, 0]


# Properties


@few
@given(words, st.lists(some, min_size=1, max_size=3), st.sampled_from(list(METHODS)))
def test_scores_lie_between_0_and_1(output, references, method):
    score = sentence_bleu(output, references, smoothing=method)
    assert 0 <= score.score <= 1 + 1e-12
    assert all(0 <= p <= 1 for p in score.precisions)
    assert all(0 <= m <= t for m, t in zip(score.matches, score.totals, strict=True))
    for rouge in (rouge_n(output, references[0], 2), rouge_l(output, references[0])):
        assert min(rouge.precision, rouge.recall) >= 0
        assert max(rouge.precision, rouge.recall, rouge.f1) <= 1


@few
@given(long, words)
def test_a_perfect_output_scores_1_whatever_other_references_say(output, other):
    assert sentence_bleu(output, [output, [*output, *other]]).score == pytest.approx(1)
    assert rouge_n(output, output, 2) == rouge_l(output, output) == Rouge(1.0, 1.0)
    assert rouge_lsum(lines(output)[::-1], lines(output)) == Rouge(1.0, 1.0)


@few
@given(words, st.lists(some, min_size=2, max_size=3), st.integers(1, 4))
def test_one_more_reference_never_takes_a_match_away(output, references, n):
    fewer, _ = clipped_matches(output, references[1:], n)
    more, _ = clipped_matches(output, references, n)
    assert more >= fewer


@few
@given(long, st.data())
def test_repairing_a_wrong_word_never_lowers_a_count(reference, data):
    wrong = data.draw(st.sets(st.integers(0, len(reference) - 1), min_size=1))
    spoiled = ["?" if i in wrong else word for i, word in enumerate(reference)]
    repaired = list(spoiled)
    place = data.draw(st.sampled_from(sorted(wrong)))
    repaired[place] = reference[place]
    before, after = (sentence_bleu(t, [reference]) for t in (spoiled, repaired))
    assert all(a >= b for a, b in zip(after.matches, before.matches, strict=True))
    assert after.matches[0] > before.matches[0]
    assert after.score >= before.score


@few
@given(st.permutations(range(4)))
def test_blocks_may_change_places_where_no_pair_matched(order):
    blocks = [["a", "b"], ["c"], ["d", "e", "f"], ["g"]]
    reference = ["d", "e", "f", "a", "b", "g", "c"]
    start = sentence_bleu([w for b in blocks for w in b], [reference], longest=2)
    moved = sentence_bleu([w for i in order for w in blocks[i]], [reference], longest=2)
    assert moved.score >= start.score


@few
@given(some, some, st.integers(1, 3))
def test_exchanging_the_texts_exchanges_precision_and_recall(first, second, n):
    for score in (lambda a, b: rouge_n(a, b, n), rouge_l):
        there, back = score(first, second), score(second, first)
        assert (there.precision, there.recall) == (back.recall, back.precision)


@few
@given(words, some, st.sampled_from(VOCABULARY))
def test_saying_more_never_lowers_recall(output, reference, word):
    longer = [*output, word]
    assert rouge_n(longer, reference, 1).recall >= rouge_n(output, reference, 1).recall
    assert rouge_l(longer, reference).recall >= rouge_l(output, reference).recall


@few
@given(some, some)
def test_one_sentence_is_its_own_summary(output, reference):
    assert rouge_lsum([output], [reference]) == rouge_l(output, reference)


@few
@given(some, some)
def test_places_of_a_common_subsequence_rise_and_its_words_are_in_both(reference, output):
    places = common_subsequence(reference, output)
    assert places == sorted(set(places))
    rest = iter(output)
    assert all(reference[i] in rest for i in places)  # consumes output in order


def test_a_corpus_precision_is_the_mean_weighted_by_ngrams():
    data = [(output, references) for output, references in pairs() if len(output) >= 4]
    outputs, references = zip(*data, strict=True)
    corpus = bleu(outputs, references)
    for n in range(4):
        single = [sentence_bleu(*pair) for pair in data]
        weighted = sum(s.precisions[n] * s.totals[n] for s in single)
        assert corpus.precisions[n] == pytest.approx(weighted / corpus.totals[n])
    assert isinstance(corpus, Bleu)
    assert corpus.c == sum(map(len, outputs))


def test_an_empty_output_scores_0():
    assert sentence_bleu([], [CAT], smoothing="exp").score == 0
    assert rouge_n([], CAT, 1).f1 == rouge_l([], CAT).f1 == rouge_lsum([], [CAT]).f1 == 0


# Refusals


@pytest.mark.parametrize(
    "score",
    [
        lambda: sentence_bleu("the cat", [CAT]),
        lambda: sentence_bleu(CAT, ["the cat"]),
        lambda: sentence_bleu(CAT, "the cat"),
        lambda: rouge_n("the cat", CAT, 1),
        lambda: rouge_l(CAT, "the cat"),
        lambda: rouge_lsum(["the cat"], [CAT]),
    ],
)
def test_a_string_is_no_sequence_of_tokens(score):
    with pytest.raises(ValueError, match="not a string; split it"):
        score()


def test_there_must_be_something_to_compare_with():
    with pytest.raises(ValueError, match="references is empty"):
        sentence_bleu(CAT, [])


@pytest.mark.parametrize(
    ("outputs", "references"), [([], []), ([CAT], []), ([CAT], [[CAT], [CAT]])]
)
def test_each_output_needs_its_references(outputs, references):
    with pytest.raises(ValueError, match="each output needs its own list"):
        bleu(outputs, references)


def test_orders_begin_at_1():
    with pytest.raises(ValueError, match="at least one token: longest=0"):
        bleu([CAT], [[CAT]], longest=0)
    with pytest.raises(ValueError, match="at least one token: n=0"):
        count_ngrams(CAT, 0)


def test_unknown_smoothing_and_negative_lengths_are_refused():
    with pytest.raises(ValueError, match="not 'add-k'"):
        precisions([1], [2], "add-k")
    with pytest.raises(ValueError, match="lengths are not negative"):
        brevity_penalty(-1, 3)
