"""Every notebook runs, and prints and draws what it stores; every claim holds at another seed."""

import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from press import book
from press.kernel import run_notebook

ROOT = Path(__file__).resolve().parent.parent

CHAPTERS = book.written(ROOT)


def compare_with_stored(chapter, **environment):
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--no-header", "--tb=short"]
    command += ["--nbval-sanitize-with", "tests/nbval.cfg", "-p", "nbval_pictures"]
    command += ["-p", "no:xdist", "--nbval-cell-timeout", "600", str(chapter.notebook)]
    # The outer run's pytest must not pass its options or its worker's name on.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    path = os.pathsep.join([str(ROOT / "tests"), kept.get("PYTHONPATH", "")])
    result = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": path, "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def test_a_fresh_run_prints_and_draws_what_is_stored(chapter):
    compare_with_stored(chapter)


# One chapter per run, another whenever a notebook changes: the whole book would take twice as long.
digest = hashlib.sha256(b"".join(one.notebook.read_bytes() for one in CHAPTERS)).digest()
OTHER_CPU = CHAPTERS[digest[0] % len(CHAPTERS)]


@pytest.mark.parametrize("one", [OTHER_CPU], ids=[OTHER_CPU.id])
def test_another_cpu_prints_and_draws_what_is_stored(one):
    # PyTorch without vector instructions and NumPy's BLAS as on an old processor add in another
    # order: they stand in for another machine.
    compare_with_stored(one, ATEN_CPU_CAPABILITY="default", OPENBLAS_CORETYPE="Nehalem")


def test_every_claim_holds_at_another_seed(chapter):
    text = chapter.notebook.read_text("utf8")
    seed = 1 + zlib.crc32(text.encode()) % 9
    run = run_notebook(text, chapter.name, {"seed": seed}, {}, timeout=600)
    assert not run.error, f"at seed {seed}: {run.error}"
    assert run.claims
    assert run.ok
