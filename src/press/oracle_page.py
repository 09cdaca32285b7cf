"""The page of oracles, as MyST text: what each reference implementation is held against."""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from press import book
from press.bench import Case, bench_file, read_stored
from press.book import Chapter
from press.oracles import read_oracles

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+")


def oracle_page(root: Path) -> str:
    """Return a section for each written chapter: its oracles, then ours against its peers."""
    measured = read_stored(root)
    lines: list[str] = []
    for part in book.parts(root):
        there = [chapter for chapter in part.chapters if chapter.notebook.is_file()]
        if there:
            lines += [f"## {part.title}", ""]
        for chapter in there:
            lines += [f"### [{chapter.title}]({chapter.name}.ipynb)", "", *_oracles(chapter)]
            if chapter.name in measured and bench_file(chapter).is_file():
                lines += _benchmarks(measured[chapter.name]["cases"])
    return "\n".join(lines)


def _oracles(chapter: Chapter) -> Iterator[str]:
    module = f"dlnotes.{chapter.part}.{chapter.id}"
    rows = (
        (
            ", ".join(f"{{py:obj}}`{name} <{module}.{name}>`" for name in oracle.of),
            _code(oracle.implementation),
            _tolerance(oracle.tolerance),
            oracle.test.removeprefix("test_").replace("_", " "),
        )
        for oracle in read_oracles(chapter)
    )
    yield from _table("oracles", ("ours", "checked against", "agree to", "the test"), rows)


def _benchmarks(cases: Iterable[Case]) -> Iterator[str]:
    cases = list(cases)
    raced = [case for case in cases if case.peer]
    if raced:
        heads = ("ours over the peer’s", "peer", "at", "time", "memory")
        yield from _table("races", heads, (_race(case) for case in raced))
    reasons: dict[str, list[str]] = {}
    for case in raced:
        if case.because:
            reasons.setdefault(case.because, []).append(case.name)
    for because, names in reasons.items():
        all_of_them = len(names) == len(raced)
        sentence = because[0].upper() + because[1:] if all_of_them else because
        yield f"- {sentence}." if all_of_them else f"- *{', '.join(names)}*: {sentence}."
    for case in cases:
        if case.growth is not None:
            yield (
                f"- *{case.name}*: time grew as {case.axis} to the power {case.slope:.2g} "
                f"between {case.sizes[0]:,} and {case.sizes[-1]:,}; "
                f"the operations counted say {case.growth:g}."
            )
    yield ""


def _race(case: Case) -> tuple[str, ...]:
    sizes = " · ".join(f"{size:,}" for size in case.sizes)
    return (
        case.name,
        _code(case.peer or ""),
        f"{sizes} {case.axis}",
        " · ".join(map(_ratio, case.time)),
        " · ".join(map(_ratio, case.memory)),
    )


def _table(kind: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield from ("```{table}", f":class: {kind}", "")
    yield from (_row(heads), _row("---" for _ in heads), *map(_row, rows))
    yield from ("```", "")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if _DOTTED.fullmatch(text) else text


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def _tolerance(tolerance: float) -> str:
    if tolerance == 0:
        return "exactly"
    power = math.log10(tolerance)
    whole = math.isclose(power, round(power), abs_tol=1e-9)
    return f"$10^{{{round(power)}}}$" if whole and power < -2 else f"{tolerance:g}"
