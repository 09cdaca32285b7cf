"""Storing a run, and surveying claims over seeds: on this machine, and on workers elsewhere."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import Result

from press import run
from press.book import BookError, Chapter
from press.cluster import workers
from press.kernel import Run
from press.structure import problems

CLAIMS = """\
topic: sequences/ctc
claims:
- {id: ctc.1, notes: [n], ledger: [], claim: Seeds differ from one., verdict: held}
- {id: ctc.2, notes: [n], ledger: [], claim: Seeds are numbers., verdict: held}
cards: []
"""
SURVEYED = (
    "from dlnotes.lab.claims import check",
    'check("ctc.1", seed != 1, evidence=f"the seed is {seed}")',
    'check("ctc.2", seed >= 0, evidence=f"the seed is {seed}")',
    "import os; print('worker', os.getppid())",
)


# ---------------------------------------------------------------------------- storing
@pytest.fixture
def ran(stream_mean: Chapter) -> Run:
    """A run of the chapter whose every output is new, with all that must not be stored."""
    notebook = nbformat.read(stream_mean.notebook, as_version=4)
    for cell in notebook.cells:
        cell.metadata.papermill = {"duration": 1.0}
        if cell.cell_type == "code":
            data = {
                "text/html": "<p>new</p>",
                "application/vnd.jupyter.widget-view+json": {"model_id": "7"},
            }
            output = nbformat.v4.new_output("display_data", data=data)
            output.metadata = {"dlnotes": {"bake_cpu_seconds": 1.5}}
            cell.outputs, cell.execution_count = [output], 99
            cell.metadata.execution = {"iopub.status.busy": "2026-01-01"}
    notebook.metadata.widgets = {"state": {}}
    text = nbformat.writes(notebook)
    return Run(stream_mean.name, 0, cpu_seconds=6.6, peak_mb=384.2, notebook=text)


def test_storing_takes_the_outputs_and_leaves_the_authors_cells(stream_mean: Chapter, ran: Run):
    before = nbformat.read(stream_mean.notebook, as_version=4)
    run.store(stream_mean, ran)
    after = nbformat.read(stream_mean.notebook, as_version=4)
    assert [cell.id for cell in after.cells] == [cell.id for cell in before.cells]
    assert [cell.metadata for cell in after.cells] == [cell.metadata for cell in before.cells]
    for old, new in zip(before.cells, after.cells, strict=True):
        if new.cell_type == "code":
            assert new.outputs[0].data == {"text/html": "<p>new</p>"}
            assert new.outputs[0].metadata == {}
            assert new.execution_count == 99
        if new.id != "at-a-glance":
            assert new.source == old.source
    assert "widgets" not in after.metadata


def test_storing_writes_the_measured_cost_into_the_box(stream_mean: Chapter, ran: Run):
    run.store(stream_mean, ran)
    text = stream_mean.notebook.read_text("utf8")
    assert "<!--cost-->7 s on one CPU core, 380 MB of memory<!--/cost-->" in text
    assert json.loads(text)["metadata"]["dlnotes"]["cost"] == {"cpu_seconds": 7, "peak_mb": 380.0}


@pytest.mark.parametrize("marks", ["", "<!--cost-->"])
def test_a_chapter_without_one_place_for_its_cost_is_not_stored(
    stream_mean: Chapter, ran: Run, marks: str
):
    text = stream_mean.notebook.read_text("utf8").replace("<!--cost-->", marks * 2)
    if marks:
        text = text.replace("A stream never ends", "<!--cost--> A stream never ends")
    stream_mean.notebook.write_text(text, "utf8")
    with pytest.raises(BookError, match="wants exactly one"):
        run.store(stream_mean, ran)
    assert stream_mean.notebook.read_text("utf8") == text


@pytest.mark.parametrize(("old", "new"), [("seed = 0", "seed = 5"), ('"code"', '"raw"')])
def test_a_chapter_edited_while_it_ran_is_not_given_outputs_of_other_code(
    stream_mean: Chapter, ran: Run, old: str, new: str
):
    text = stream_mean.notebook.read_text("utf8").replace(old, new, 1)
    stream_mean.notebook.write_text(text, "utf8")
    with pytest.raises(BookError, match="edited while it ran"):
        run.store(stream_mean, ran)
    assert stream_mean.notebook.read_text("utf8") == text


# ---------------------------------------------------------------------------- reports
def survey_of(*held: dict[str, bool | None]) -> list[Run]:
    return [
        Run("a/b", seed, claims=[{"claim": k, "holds": v} for k, v in one.items()])
        for seed, one in enumerate(held)
    ]


def test_each_claim_is_listed_with_the_seeds_at_which_it_held_and_failed():
    runs = survey_of({"b.1": True, "b.2": None}, {"b.1": False, "b.2": None})
    assert run.held_by_claim(runs) == {
        "b.1": {"held": [0], "failed": [1]},
        "b.2": {"held": [0, 1], "failed": []},
    }


def test_a_run_that_broke_off_counts_against_the_claims_it_did_not_reach():
    runs = survey_of({"b.1": True, "b.2": True}, {"b.1": True})
    assert run.held_by_claim(runs)["b.2"] == {"held": [0], "failed": [1]}


def test_a_report_holds_runs_and_claims_but_no_notebooks(tmp_path: Path):
    one = Run("a/b", 3, error="é", notebook="{}", claims=[{"claim": "b.1", "holds": True}])
    run.write_report(tmp_path / "out/claims.json", [one])
    text = (tmp_path / "out/claims.json").read_text("utf8")
    assert "é" in text
    report = json.loads(text)
    assert report["claims"] == {"b.1": {"held": [3], "failed": []}}
    assert "notebook" not in report["runs"][0]


# ---------------------------------------------------------------------------- surveys
@dataclass
class Survey:
    """What `press run verify --seeds 0-2` left behind."""

    root: Path
    result: Result
    stored: bytes

    @property
    def report(self) -> Any:
        return json.loads((self.root / "_build/verify/claims.json").read_text("utf8"))

    @property
    def notebooks(self) -> dict[int, nbformat.NotebookNode]:
        folder = self.root / "_build/verify/sequences/ctc"
        return {
            int(path.stem.removeprefix("seed-")): nbformat.read(path, as_version=4)
            for path in folder.iterdir()
        }

    @property
    def workers(self) -> set[int]:
        return {int(one.cells[-1].outputs[0].text.split()[1]) for one in self.notebooks.values()}


def survey(library, tmp_path_factory, add_chapter, press, *words: str) -> Survey:
    record = library / "src/dlnotes/sequences/ctc.yml"  # where kernels import it from
    record.parent.mkdir(exist_ok=True)
    record.write_text(CLAIMS, "utf8")
    root = tmp_path_factory.mktemp("survey")
    shutil.copytree(library / "book", root / "book", ignore=shutil.ignore_patterns("*.ipynb"))
    stored = add_chapter(root, "ctc", *SURVEYED).notebook.read_bytes()
    return Survey(root, press(root, "run", "verify", "ctc", "--seeds", "0-2", *words), stored)


@pytest.fixture(scope="module")
def here(library, tmp_path_factory, add_chapter, press) -> Survey:
    """The survey, run by a process on this machine."""
    return survey(library, tmp_path_factory, add_chapter, press, "--workers", "1")


@pytest.fixture(scope="module")
def elsewhere(library, tmp_path_factory, add_chapter, press, cluster) -> Survey:
    """The same survey, run by the workers of a scheduler."""
    words = ("--scheduler", cluster.address)
    return survey(library, tmp_path_factory, add_chapter, press, *words)


@pytest.fixture(params=["here", "elsewhere"])
def surveyed(request: pytest.FixtureRequest) -> Iterator[Survey]:
    return request.getfixturevalue(request.param)


def test_a_claim_that_fails_at_one_seed_is_shown_as_two_of_three(surveyed: Survey):
    rows = [line.split() for line in surveyed.result.output.splitlines() if "ctc." in line]
    assert ["│", "ctc.1", "│", "2", "of", "3", "│", "1", "│"] in rows
    assert ["│", "ctc.2", "│", "3", "of", "3", "│", "│"] in rows


def test_a_survey_with_a_failed_claim_ends_with_status_one(surveyed: Survey):
    assert surveyed.result.exit_code == 1, surveyed.result.output


def test_the_report_says_at_which_seed_and_with_what_evidence(surveyed: Survey):
    assert surveyed.report["claims"] == {
        "ctc.1": {"held": [0, 2], "failed": [1]},
        "ctc.2": {"held": [0, 1, 2], "failed": []},
    }
    (at_one,) = (one for one in surveyed.report["runs"] if one["seed"] == 1)
    assert at_one["error"] == ""  # recorded, not raised: the claims after it are seen too
    assert [one["evidence"] for one in at_one["claims"]] == ["the seed is 1"] * 2


def test_every_seed_leaves_its_executed_notebook_and_the_stored_one_is_untouched(surveyed: Survey):
    assert sorted(surveyed.notebooks) == [0, 1, 2]
    assert "the seed is 2" in str(surveyed.notebooks[2].cells)
    (stored,) = (surveyed.root / "book/sequences").iterdir()
    assert stored.read_bytes() == surveyed.stored


def test_workers_elsewhere_find_what_this_machine_finds(here: Survey, elsewhere: Survey):
    assert elsewhere.report["claims"] == here.report["claims"]
    claims = [[one["claims"] for one in each.report["runs"]] for each in (here, elsewhere)]
    assert claims[0] == claims[1]


def test_both_workers_of_the_scheduler_are_used(elsewhere: Survey, cluster):
    assert elsewhere.workers == {worker.pid for worker in cluster.workers}


# Takes the survey as an argument for its order only: afterwards there is one worker less.
@pytest.mark.usefixtures("elsewhere")
def test_a_worker_that_is_killed_loses_nothing(
    small_book: Path, add_chapter, press, cluster, tmp_path: Path, wait_for
):
    begun = tmp_path / "begun"
    victim = f"""
        import os, pathlib, time
        begun = pathlib.Path({str(begun)!r})
        if not begun.exists():
            begun.with_suffix(".tmp").write_text(str(os.getppid()))
            begun.with_suffix(".tmp").rename(begun)
            time.sleep(300)
        print("survived")
    """
    one = add_chapter(small_book, "ctc", victim)
    other = add_chapter(small_book, "decoding", "print('undisturbed')")

    def kill() -> None:
        wait_for(begun.exists, 60)
        pid = int(begun.read_text())
        assert pid in {worker.pid for worker in cluster.workers}
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    words = ("run", "execute", "ctc", "decoding", "--scheduler", cluster.address)
    result = press(small_book, *words)
    killer.join()
    assert result.exit_code == 0, result.output
    assert [worker.poll() for worker in cluster.workers].count(-signal.SIGKILL) == 1
    assert "survived" in one.notebook.read_text("utf8")
    assert "undisturbed" in other.notebook.read_text("utf8")


# ---------------------------------------------------------------------------- executing
@pytest.fixture(scope="module")
def second_run(
    executed: Path, tmp_path_factory, add_chapter, press
) -> tuple[Path, Path, bytes, Result]:
    """The chapter executed again, in one call with a chapter whose second cell raises."""
    root = Path(shutil.copytree(executed, tmp_path_factory.mktemp("again") / "book"))
    failing = add_chapter(root, "ctc", "print('an output of this run')", "1 / 0").notebook
    before = failing.read_bytes()
    result = press(root, "run", "execute", "ctc", "stream_mean", "--workers", "1")
    return root, failing, before, result


def test_a_chapter_whose_cell_raises_keeps_its_notebook_byte_for_byte(second_run):
    _, failing, before, result = second_run
    assert failing.read_bytes() == before
    assert result.exit_code == 1
    assert "sequences/ctc at seed 0:\nZeroDivisionError: division by zero" in result.output


def test_a_chapter_is_stored_though_another_of_the_same_call_failed(second_run):
    root, *_, result = second_run
    rows = {row.split()[1]: row for row in result.output.splitlines() if row.startswith("│")}
    assert "failed" in rows["sequences/ctc"]
    assert "1 of 1" in rows["sequences/stream_mean"]
    assert "stored" in rows["sequences/stream_mean"]
    assert problems(Chapter(root, "sequences", "stream_mean", "")) == []


def test_executing_again_changes_nothing_but_the_cost(second_run, executed: Path):
    def without_cost(root: Path) -> Any:
        path = root / "book/sequences/stream_mean.ipynb"
        notebook = json.loads(path.read_text("utf8"))
        notebook["metadata"]["dlnotes"].pop("cost")
        (box,) = [cell for cell in notebook["cells"] if cell["id"] == "at-a-glance"]
        box["source"] = [line for line in box["source"] if "<!--cost-->" not in line]
        return notebook

    assert without_cost(second_run[0]) == without_cost(executed)


def test_nothing_but_the_chapter_is_left_in_the_book(second_run, executed: Path):
    there = {str(path.relative_to(executed)) for path in executed.rglob("*") if path.is_file()}
    now = {
        str(path.relative_to(second_run[0])) for path in second_run[0].rglob("*") if path.is_file()
    }
    assert now - there == {"book/sequences/ctc.ipynb"}


# ---------------------------------------------------------------------------- workers
@pytest.mark.parametrize("address", ["http://127.0.0.1:8786", "tcp://nobody"])
def test_an_address_that_is_none_is_refused_at_once(address: str):
    with (
        pytest.raises(BookError, match=f"no Dask scheduler answers at {address}"),
        workers(address, 1),
    ):
        pass


def test_a_failure_of_ones_own_is_not_blamed_on_the_scheduler(cluster):
    with pytest.raises(OSError, match="disk full"), workers(cluster.address, 1):
        raise OSError("disk full")
