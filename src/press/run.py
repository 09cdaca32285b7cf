"""Execute chapters and survey them over seeds, on as many workers as there are."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from dlnotes.lab.claims import METADATA
from press.book import BookError, Chapter
from press.files import write_atomically
from press.kernel import Run, run_notebook

if TYPE_CHECKING:
    import distributed

COST = ("<!--cost-->", "<!--/cost-->")
_WIDGET = "application/vnd.jupyter.widget-view+json"


def run_all(
    client: "distributed.Client",
    jobs: Sequence[tuple[Chapter, dict[str, Any]]],
    environment: dict[str, str],
    done: Callable[[Chapter, Run], None],
    timeout: int | None = None,
) -> list[Run]:
    """Run every job on the workers; call ``done`` in this process as each one ends.

    A job whose worker dies is tried on another worker by Dask, three times, and then reported
    as failed like one whose cell raised.
    """
    import distributed

    jobs_of = {
        client.submit(
            run_notebook,
            chapter.notebook.read_text("utf8"),
            chapter.name,
            parameters,
            environment,
            timeout,
            pure=False,
            key=f"{chapter.name}-{parameters.get('seed', 'stored')}-{number}",
        ): (number, chapter, parameters)
        for number, (chapter, parameters) in enumerate(jobs)
    }
    runs: dict[int, Run] = {}
    for future in distributed.as_completed(jobs_of):
        number, chapter, parameters = jobs_of[future]
        if future.status == "finished":
            run = future.result()
        else:
            seed = int(parameters.get("seed", 0))
            problem = future.exception()
            run = Run(chapter.name, seed, error=f"{type(problem).__name__}: {problem}")
        done(chapter, run)
        runs[number] = run
    return [runs[number] for number in sorted(runs)]


def store(chapter: Chapter, run: Run) -> None:
    """Put a run's outputs, and its cost, into the stored notebook, which is replaced in one step.

    Only outputs and execution counts are taken over: cells, their ids and their tags stay as their
    author left them, so that running a chapter again changes nothing but what it printed.
    """
    stored = nbformat.read(chapter.notebook, as_version=4)
    fresh = nbformat.reads(run.notebook, as_version=4)
    code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    mine = [cell for cell in stored.cells if cell.cell_type == "code"]
    if [cell.source for cell in mine] != [cell.source for cell in code]:
        raise BookError(f"{chapter.name} was edited while it ran")
    for cell, ran in zip(mine, code, strict=True):
        cell.outputs = [_keepable(output) for output in ran.outputs]
        cell.execution_count = ran.execution_count
        cell.metadata.pop("execution", None)
    stored.metadata.pop("widgets", None)
    cost = {"cpu_seconds": max(1, round(run.cpu_seconds)), "peak_mb": round(run.peak_mb, -1)}
    stored.metadata[METADATA] = {"cost": cost}
    marks = 0
    for cell in stored.cells:
        if cell.cell_type == "markdown" and COST[0] in cell.source:
            before, _, rest = cell.source.partition(COST[0])
            cell.source = before + COST[0] + cost_label(cost) + COST[1] + rest.partition(COST[1])[2]
            marks += 1
    if marks != 1:
        raise BookError(f"{chapter.name}: wants exactly one {COST[0]}…{COST[1]}, has {marks}")
    nbformat.validate(stored)
    write_atomically(chapter.notebook, nbformat.writes(stored) + "\n")


def cost_label(cost: dict[str, float]) -> str:
    """Return what a chapter's box says of its cost."""
    return f"{cost['cpu_seconds']} s on one CPU core, {cost['peak_mb']:.0f} MB of memory"


def _keepable(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what is dead or different in every run: widget ids, what baking took."""
    data = output.get("data", {})
    if "text/html" in data:
        data.pop(_WIDGET, None)
    if "bake_cpu_seconds" in output.get("metadata", {}).get(METADATA, {}):
        del output.metadata[METADATA]
    return output


def held_by_claim(runs: Iterable[Run]) -> dict[str, dict[str, list[int]]]:
    """Return, per claim, the seeds at which it held and those at which it did not.

    A run that broke off counts against every claim that other runs of its chapter reached.
    """
    runs = list(runs)
    claims: dict[str, dict[str, list[int]]] = {}
    for chapter in dict.fromkeys(run.chapter for run in runs):
        mine = [run for run in runs if run.chapter == chapter]
        for claim in dict.fromkeys(record["claim"] for run in mine for record in run.claims):
            kept = [
                run.seed
                for run in mine
                if any(one["claim"] == claim and one["holds"] is not False for one in run.claims)
            ]
            lost = [run.seed for run in mine if run.seed not in kept]
            claims[claim] = {"held": sorted(kept), "failed": sorted(lost)}
    return claims


def write_report(path: Path, runs: Iterable[Run]) -> None:
    """Write runs and claims as JSON, without the notebooks."""
    runs = list(runs)
    rows = [{k: v for k, v in asdict(run).items() if k != "notebook"} for run in runs]
    report = {"claims": held_by_claim(runs), "runs": rows}
    write_atomically(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
