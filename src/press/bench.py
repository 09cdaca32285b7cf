"""Ours against a peer, in time and memory: running the benchmarks, and what they found.

Ratios come from one run on one thread; the least time of many rounds stands for a call, since other
work on the machine can only add to it.
"""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from press.book import BookError, Chapter
from press.files import write_atomically

EXPLAIN_ABOVE = 2.0
# The tests' checks of every shape would be timed along with ours.
_OPTIONS = (
    "addopts=--strict-markers --import-mode=importlib -p no:cacheprovider -p no:randomly",
    "python_files=bench_*.py",
    "python_functions=bench_*",
)
_CALIBRATION = (
    "--benchmark-disable-gc",
    "--benchmark-min-rounds=7",
    "--benchmark-max-time=0.7",
    "--benchmark-warmup=on",
    "--benchmark-warmup-iterations=3",
)


@dataclass(frozen=True)
class Case:
    """One benchmark at all its sizes: ratios to the peer if there is one, times of ours if not."""

    name: str
    peer: str | None
    axis: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    time: tuple[float, ...]
    memory: tuple[float, ...]
    growth: float | None
    because: str

    @property
    def slope(self) -> float:
        """The exponent with which time grows in size, between the smallest and the largest."""
        return math.log(self.seconds[-1] / self.seconds[0]) / math.log(
            self.sizes[-1] / self.sizes[0]
        )

    @property
    def unexplained(self) -> bool:
        """Whether ours costs more than twice the peer's and nothing says why."""
        return max((*self.time, *self.memory), default=0) > EXPLAIN_ABOVE and not self.because


def bench_file(chapter: Chapter) -> Path:
    """Return where a chapter's benchmarks are, if it has any."""
    return chapter.root / "benchmarks" / chapter.part / f"bench_{chapter.id}.py"


def fingerprint(chapter: Chapter) -> str:
    """Return a digest of the code that a chapter's benchmarks run."""
    text = "\0".join(path.read_text("utf8") for path in (bench_file(chapter), chapter.module))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stored_path(root: Path) -> Path:
    """Return where ratios are kept: with the book, so that the site can show them."""
    return root / "book/benchmarks.json"


def read_stored(root: Path) -> dict[str, Any]:
    """Return, per chapter, the fingerprint of what was measured, and each benchmark's `Case`."""
    path = stored_path(root)
    stored: dict[str, Any] = json.loads(path.read_text("utf8")) if path.is_file() else {}
    return {
        name: {**one, "cases": [_case(case) for case in one["cases"]]}
        for name, one in stored.items()
    }


def run_benchmarks(chapter: Chapter) -> list[Case]:
    """Measure one chapter's benchmarks; raise `BookError` with pytest's words if one fails."""
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pytest", str(bench_file(chapter)), *_CALIBRATION]
        command += [f"--benchmark-json={report}"]
        command += [word for option in _OPTIONS for word in ("--override-ini", option)]
        # Run from a test, the outer pytest must not pass on its options or its worker's name.
        kept = {name: value for name, value in os.environ.items() if name[:6] != "PYTEST"}
        result = subprocess.run(
            command, check=False, cwd=chapter.root, env=kept, capture_output=True, text=True
        )
        if result.returncode:
            raise BookError(f"{chapter.name}: a benchmark failed\n{result.stdout[-3000:]}")
        return cases(json.loads(report.read_text("utf8"))["benchmarks"])


def cases(measured: Iterable[dict[str, Any]]) -> list[Case]:
    """Gather the entries of a pytest-benchmark report: one case for each benchmark function."""
    found: dict[str, dict[tuple[int, str], Any]] = defaultdict(dict)
    for one in measured:
        name = one["name"].split("[")[0]
        found[name][one["params"]["size"], one["extra_info"]["runner"]] = one
    return [_gather(name, runs) for name, runs in found.items()]


def _gather(name: str, runs: dict[tuple[int, str], Any]) -> Case:
    info = next(iter(runs.values()))["extra_info"]
    sizes = tuple(info["sizes"])

    def ratios(cost: Any) -> tuple[float, ...]:
        if info["peer"] is None:
            return ()
        return tuple(_rounded(cost(runs[n, "ours"]) / cost(runs[n, "peer"])) for n in sizes)

    return Case(
        name=name.removeprefix("bench_").replace("_", " "),
        peer=info["peer"],
        axis=info["axis"],
        sizes=sizes,
        seconds=tuple(_rounded(runs[n, "ours"]["stats"]["min"]) for n in sizes),
        time=ratios(lambda run: run["stats"]["min"]),
        memory=ratios(lambda run: max(run["extra_info"]["peak"], 1)),
        growth=info.get("growth"),
        because=info.get("because", ""),
    )


def store(root: Path, chapter: Chapter, measured: Sequence[Case]) -> None:
    """Enter what was measured in place of what was measured earlier for the same chapter."""
    path = stored_path(root)
    stored = json.loads(path.read_text("utf8")) if path.is_file() else {}
    stored[chapter.name] = {
        "code": fingerprint(chapter),
        "torch": version("torch").split("+")[0],
        "cases": [asdict(case) for case in measured],
    }
    write_atomically(path, json.dumps(dict(sorted(stored.items())), indent=1) + "\n")


def _case(stored: dict[str, Any]) -> Case:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
    }
    return Case(**values)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
