"""One notebook in one kernel: what comes of it, whatever its cells do."""

import os
from pathlib import Path

import nbformat
import pytest

from press.kernel import Run, run_notebook


def notebook(*sources: str) -> str:
    parameters = nbformat.v4.new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.writes(nbformat.v4.new_notebook(cells=[parameters, *cells]))


def printed(run: Run) -> list[str]:
    cells = nbformat.reads(run.notebook, as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    return ["".join(out.get("text", "") for out in cell.outputs).strip() for cell in cells]


LOOK_AROUND = """
import json, os
from ipykernel.connect import get_connection_file
print(os.getcwd())
print(os.environ["WORD"], os.environ["OMP_NUM_THREADS"], os.environ["TQDM_DISABLE"])
print(json.load(open(get_connection_file()))["transport"])
"""
CLAIMS = """
from IPython.display import display
for record in (
    {"claim": "ctc.1", "holds": True},
    {"claim": "ctc.2", "holds": None},
    {"claim": "ctc.3", "holds": False},
    {"bake_cpu_seconds": 1000.0},
):
    display({"text/plain": "."}, raw=True, metadata={"dlnotes": record})
"""


@pytest.fixture(scope="module")
def run() -> Run:
    """A run of a notebook that looks around itself, at seed 7."""
    sources = ("print(seed)", LOOK_AROUND, CLAIMS)
    return run_notebook(notebook(*sources), "vision/ctc", {"seed": 7}, {"WORD": "heard"})


def test_parameters_and_environment_reach_the_cells(run: Run):
    assert run.error == ""
    assert run.seed == 7
    assert "7" in printed(run)
    assert "heard 1 1" in printed(run)[3]


def test_the_kernel_works_in_a_scratch_folder_that_is_gone_afterwards(run: Run):
    folder = Path(printed(run)[3].splitlines()[0])
    assert folder != Path.cwd()
    assert not folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="sockets that are files are POSIX's")
def test_the_kernel_opens_no_port_that_others_on_the_machine_could_reach(run: Run):
    assert printed(run)[3].splitlines()[-1] == "ipc"


def test_claims_are_read_off_the_outputs(run: Run):
    assert [claim["claim"] for claim in run.claims] == ["ctc.1", "ctc.2", "ctc.3"]
    assert run.held == 2  # what no run can decide counts as settled
    assert not run.ok


def test_the_cost_is_measured_and_the_baking_of_sliders_taken_off_it(run: Run):
    assert run.seconds > 0
    assert 10 < run.peak_mb < 2000
    assert -1000 < run.cpu_seconds < -1000 + 60


def test_nothing_of_the_measurement_stays_in_the_notebook(run: Run):
    assert "usage" not in str(nbformat.reads(run.notebook, as_version=4).metadata)


def test_a_cell_that_raises_ends_the_run_and_is_named():
    run = run_notebook(notebook("print('before')", "1 / 0", "print('after')"), "a/b", {}, {})
    assert run.error.startswith("ZeroDivisionError: division by zero")
    assert "1 / 0" in run.error
    assert "before" in printed(run)
    assert "after" not in printed(run)
    assert not run.ok


def test_a_cell_that_hangs_is_stopped_at_the_limit():
    run = run_notebook(notebook("import time; time.sleep(60)"), "a/b", {}, {}, timeout=1)
    assert "timed out" in run.error
    assert run.seconds < 30


def test_a_kernel_that_dies_is_an_error_like_any_other():
    run = run_notebook(notebook("import os; os._exit(9)"), "a/b", {}, {}, timeout=60)
    assert "Kernel died" in run.error
    assert run.cpu_seconds == 0


@pytest.mark.parametrize(
    ("error", "holds", "ok"),
    [("", [True, None], True), ("", [], True), ("", [True, False], False), ("raised", [], False)],
)
def test_a_run_is_well_when_it_ended_and_no_claim_failed(error: str, holds: list, ok: bool):
    claims = [{"claim": f"a.{at}", "holds": one} for at, one in enumerate(holds)]
    assert Run("a/b", 0, claims=claims, error=error).ok is ok
