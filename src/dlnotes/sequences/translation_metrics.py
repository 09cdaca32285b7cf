"""BLEU and ROUGE: how much of an output is found in what people wrote.

Paper: Papineni et al. (2002), BLEU: a Method for Automatic Evaluation of Machine Translation,
sec. 2; Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries, sec. 2 and 3.
Chapter: book/sequences/translation_metrics.ipynb

Differences from the papers: scores are fractions of 1; of two equally close reference lengths
the shorter counts; zeros can be smoothed (Chen and Cherry 2014, methods 1 to 3); ROUGE gives
precision and recall, whose F weighs both alike; and a union of common subsequences counts no
word more often than either text holds it. All of this is what sacrebleu and rouge-score do.

Axes: a text is a sequence of c (output) or r (reference) tokens; n is the length of an n-gram.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

Text = Sequence[str]


def tokenize_13a(text: str) -> list[str]:
    """Split as the WMT's script mteval-v13a does: spaces, symbols, stops outside of numbers."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(entity, sign)
    text = re.sub(r"([{-~\[-` -&(-+:-@/])", r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def tokenize_rouge(text: str) -> list[str]:
    """Split as rouge-score does: lower-case runs of the letters a to z and of digits."""
    return re.findall(r"[a-z0-9]+", text.lower())


def count_ngrams(text: Text, n: int) -> Counter[tuple[str, ...]]:
    """Count the runs of ``n`` tokens; a text shorter than that has none."""
    if isinstance(text, str):
        raise ValueError(f"a text is a sequence of tokens, not a string; split it: {text[:30]!r}")
    if n < 1:
        raise ValueError(f"an n-gram has at least one token: {n=}")
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def clipped_matches(output: Text, references: Sequence[Text], n: int) -> tuple[int, int]:
    """Return how many n-grams of the output are found, and how many it has (sec. 2.1).

    An n-gram is found at most as often as the one reference that holds it most often holds it.
    """
    if not references:
        raise ValueError("there is nothing to compare with: references is empty")
    ours = count_ngrams(output, n)
    allowed = reduce(or_, (count_ngrams(reference, n) for reference in references))
    return (ours & allowed).total(), ours.total()  # | keeps the larger count, & the smaller


def brevity_penalty(c: int, r: int) -> float:
    """Return 1 for at least r tokens of output, and exp(1 - r/c) for fewer (sec. 2.3)."""
    if min(c, r) < 0:
        raise ValueError(f"lengths are not negative: {c=}, {r=}")
    if c >= r:
        return 1.0
    return math.exp(1 - r / c) if c else 0.0


def precisions(
    matches: Sequence[int], totals: Sequence[int], smoothing: str = "none"
) -> list[float]:
    """Divide matches by totals, n = 1, 2, …, and lift zeros (Chen and Cherry 2014).

    "floor" counts 0.1 matches instead of none; "add" adds one to matches and totals for n > 1;
    "exp" counts 1/2 for the first order without a match, 1/4 for the second, and so on.
    """
    if smoothing not in ("none", "floor", "add", "exp"):
        raise ValueError(f"smoothing is none, floor, add or exp, not {smoothing!r}")
    found, missed = [], 0
    for n, (match, total) in enumerate(zip(matches, totals, strict=True), start=1):
        more = int(smoothing == "add" and n > 1)
        value: float = match + more
        if value == 0 and total > 0 and any(matches):
            missed += 1
            value = {"none": 0.0, "floor": 0.1, "add": 0.0, "exp": 0.5**missed}[smoothing]
        found.append(value / (total + more) if total + more and any(matches) else 0.0)
    return found


@dataclass(frozen=True)
class Bleu:
    """A score and what it is made of; lists run over n = 1, 2 and so on."""

    score: float
    penalty: float
    precisions: list[float]
    matches: list[int]
    totals: list[int]
    c: int
    r: int


def bleu(
    outputs: Sequence[Text],
    references: Sequence[Sequence[Text]],
    *,
    longest: int = 4,
    smoothing: str = "none",
    effective_order: bool = False,
) -> Bleu:
    """Score a corpus: counts are added up over all outputs, then divided once.

    Papineni et al. (2002), sec. 2.1.1 for the counts, 2.2.2 for the lengths, 2.3 for the score.

    ``references`` holds a list of references for each output. With ``effective_order`` the mean
    leaves out orders for which the outputs are too short to have any n-gram ("add" gives them one).
    """
    if not outputs or len(outputs) != len(references):
        raise ValueError(
            "each output needs its own list of references: "
            f"{len(outputs)} outputs, {len(references)} lists"
        )
    if longest < 1:
        raise ValueError(f"the longest n-gram has at least one token: {longest=}")
    pairs = list(zip(outputs, references, strict=True))
    counts = [[clipped_matches(*pair, n) for pair in pairs] for n in range(1, longest + 1)]
    matches = [sum(match for match, _ in order) for order in counts]
    totals = [sum(total for _, total in order) for order in counts]
    c = sum(map(len, outputs))
    r = sum(_closest_length(len(output), several) for output, several in pairs)
    found = precisions(matches, totals, smoothing)
    used = found
    if effective_order and smoothing != "add":
        used = found[: max(1, sum(total > 0 for total in totals))]
    penalty = brevity_penalty(c, r)
    mean = math.exp(sum(map(math.log, used)) / len(used)) if min(used) > 0 else 0.0
    return Bleu(penalty * mean, penalty, found, matches, totals, c, r)


def _closest_length(c: int, references: Sequence[Text]) -> int:
    return min(map(len, references), key=lambda r: (abs(r - c), r))


def sentence_bleu(
    output: Text,
    references: Sequence[Text],
    *,
    longest: int = 4,
    smoothing: str = "none",
    effective_order: bool = False,
) -> Bleu:
    """Score a corpus of one output; see `bleu`."""
    return bleu(
        [output],
        [references],
        longest=longest,
        smoothing=smoothing,
        effective_order=effective_order,
    )


@dataclass(frozen=True)
class Rouge:
    """Matches over the length of the output (precision) and of the reference (recall)."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean 2PR/(P + R); 0 without a match."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def rouge_n(output: Text, reference: Text, n: int) -> Rouge:
    """Compare clipped n-gram counts (Lin 2004, sec. 2)."""
    hits, total = clipped_matches(output, [reference], n)
    return _rouge(hits, total, count_ngrams(reference, n).total())


def common_subsequence(reference: Text, output: Text) -> list[int]:
    """Return where in the reference one longest common subsequence stands.

    Of several that are equally long it is the one that rouge-score finds, from the end.
    """
    if isinstance(reference, str) or isinstance(output, str):
        raise ValueError("a text is a sequence of tokens, not a string; split it")
    table = [[0] * (len(output) + 1)]
    for word in reference:
        above, row = table[-1], [0]
        for j, other in enumerate(output):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
        table.append(row)
    places, i, j = [], len(reference), len(output)
    while i and j:
        if reference[i - 1] == output[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places[::-1]


def rouge_l(output: Text, reference: Text) -> Rouge:
    """Compare by the longest common subsequence of the two texts (Lin 2004, sec. 3.1)."""
    return _rouge(len(common_subsequence(reference, output)), len(output), len(reference))


def rouge_lsum(output: Sequence[Text], reference: Sequence[Text]) -> Rouge:
    """Compare texts given as lists of sentences by unions of subsequences (Lin 2004, sec. 3.2).

    A word of a reference sentence is hit if it lies on the common subsequence with any output
    sentence; no word is hit more often than the output holds it.
    """
    hit: Counter[str] = Counter()
    for sentence in reference:
        places = {i for other in output for i in common_subsequence(sentence, other)}
        hit.update(sentence[i] for i in places)
    held = Counter(word for sentence in output for word in sentence)
    return _rouge((hit & held).total(), held.total(), sum(map(len, reference)))


def _rouge(hits: int, c: int, r: int) -> Rouge:
    return Rouge(hits / c if c else 0.0, hits / r if r else 0.0)
