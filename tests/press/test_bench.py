"""Benchmarks: from pytest-benchmark's report to ratios, and a real small run."""

import json
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from press import bench
from press.bench import Case
from press.book import BookError, Chapter
from press.oracle_page import oracle_page

REPOSITORY = Path(__file__).parents[2]
CASE = Case(
    name="mean",
    peer="statistics.fmean",
    axis="numbers",
    sizes=(10, 1000),
    seconds=(1e-6, 1e-4),
    time=(3.0, 1.5),
    memory=(1.0, 1.0),
    growth=None,
    because="ours is written to be read",
)


def measured(size, runner, seconds, peak, peer="statistics.fmean"):
    return {
        "name": f"bench_mean_of_numbers[{size}-{runner}]",
        "params": {"size": size, "race": runner},
        "stats": {"min": seconds, "median": 100.0},
        "extra_info": {
            "runner": runner,
            "peak": peak,
            "peer": peer,
            "sizes": [10, 1000],
            "axis": "numbers",
        },
    }


def test_ratios_are_ours_over_the_peers_least_time_and_peak_memory():
    report = [
        measured(10, "ours", 3e-6, 200),
        measured(10, "peer", 1e-6, 100),
        measured(1000, "ours", 1e-4, 50),
        measured(1000, "peer", 2e-4, 100),
    ]
    (case,) = bench.cases(report)
    assert case.name == "mean of numbers"
    assert case.time == (3.0, 0.5)
    assert case.memory == (2.0, 0.5)
    assert case.seconds == (3e-6, 1e-4)


def test_growth_is_the_slope_between_the_smallest_and_the_largest_size():
    report = [measured(n, "ours", n**2 * 1e-9, 0, peer=None) for n in (10, 1000)]
    (case,) = bench.cases(report)
    assert case.slope == pytest.approx(2)
    assert case.time == case.memory == ()
    assert not case.unexplained


def test_a_cost_of_more_than_twice_the_peers_wants_a_sentence():
    assert not CASE.unexplained
    assert replace(CASE, because="").unexplained
    assert replace(CASE, because="", time=(1.0,), memory=(2.1,)).unexplained
    assert not replace(CASE, because="", time=(2.0, 0.1)).unexplained


@pytest.fixture
def raced(tmp_path):
    """A chapter of its own folder, with a benchmark of Python's sum against a loop."""
    made = Chapter(tmp_path, "foundations", "backpropagation", "Backpropagation")
    (tmp_path / "book/foundations").mkdir(parents=True)
    made.notebook.write_text("{}", "utf8")
    contents = """
        parts:
        - id: foundations
          title: Foundations
          chapters:
          - {id: backpropagation, title: Backpropagation}
    """
    (tmp_path / "book/contents.yml").write_text(textwrap.dedent(contents), "utf8")
    made.module.parent.mkdir(parents=True)
    made.module.write_text("def total(): ...\n", "utf8")
    made.test.parent.mkdir(parents=True)
    made.test.write_text(
        'import pytest\n\n@pytest.mark.oracle("builtins.sum", of="total", tolerance=1e-12)\n'
        "def test_total_is_the_sum(agree): ...\n",
        "utf8",
    )
    path = bench.bench_file(made)
    path.parent.mkdir(parents=True)
    path.write_text(
        textwrap.dedent(
            '''
            """A loop against the built-in sum."""

            import pytest


            @pytest.mark.bench(
                peer="builtins.sum", sizes=[100, 1000], axis="numbers", because="a loop"
            )
            def bench_total(size, race):
                numbers = list(range(size))

                def loop():
                    total = 0
                    for number in numbers:
                        total += number
                    return total

                race(ours=loop, peer=lambda: sum(numbers))
            '''
        ),
        "utf8",
    )
    return made


def test_a_benchmark_runs_is_stored_and_is_on_the_page(raced):
    (raced.root / "benchmarks/conftest.py").write_text(
        (REPOSITORY / "benchmarks/conftest.py").read_text("utf8"), "utf8"
    )
    (raced.root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nmarkers = ["bench"]\n', "utf8"
    )
    (case,) = cases = bench.run_benchmarks(raced)
    assert case.peer == "builtins.sum"
    assert all(ratio > 0 for ratio in (*case.time, *case.memory))
    bench.store(raced.root, raced, cases)
    stored = bench.read_stored(raced.root)[raced.name]
    assert stored["cases"] == cases
    assert stored["code"] == bench.fingerprint(raced)
    page = oracle_page(raced.root)
    ours = "{py:obj}`total <dlnotes.foundations.backpropagation.total>`"
    assert f"| {ours} | `builtins.sum` |" in page
    assert "$10^{-12}$ | total is the sum |" in page
    assert "100 · 1,000 numbers" in page
    assert "- A loop." in page
    raced.module.write_text("def total(): return 1\n", "utf8")
    assert stored["code"] != bench.fingerprint(raced)


def test_a_benchmark_that_fails_says_what_pytest_said(raced):
    bench.bench_file(raced).write_text("def bench_x(): raise KeyError('of mine')\n", "utf8")
    (raced.root / "pyproject.toml").write_text("", "utf8")
    with pytest.raises(BookError, match="of mine"):
        bench.run_benchmarks(raced)
    assert not bench.stored_path(raced.root).exists()


def test_measuring_one_chapter_keeps_what_was_measured_of_others(raced):
    path = bench.stored_path(raced.root)
    path.write_text(json.dumps({"attention/toy": {"code": "x", "cases": []}}), "utf8")
    bench.store(raced.root, raced, [CASE])
    assert set(bench.read_stored(raced.root)) == {"attention/toy", raced.name}


def test_growth_is_told_in_a_sentence(raced):
    bench.store(raced.root, raced, [replace(CASE, peer=None, time=(), memory=(), growth=1.0)])
    expected = (
        "- *mean*: time grew as numbers to the power 1 between 10 and 1,000; "
        "the operations counted say 1."
    )
    assert expected in oracle_page(raced.root)
