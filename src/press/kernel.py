"""One notebook, run from top to bottom in a kernel of its own."""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from dlnotes.lab.claims import METADATA

# What the kernel says of itself when the last cell has run: CPU seconds, peak memory in MB.
_USAGE = """{
    "cpu_seconds": (_usage := __import__("resource").getrusage(0)).ru_utime + _usage.ru_stime,
    "peak_mb": _usage.ru_maxrss / (1e6 if __import__("sys").platform == "darwin" else 1e3),
}"""

QUIET = {  # one thread per kernel: many run side by side; no progress bars in stored outputs
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "TQDM_DISABLE": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass
class Run:
    """What one run of a chapter gave."""

    chapter: str
    seed: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    claims: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    notebook: str = field(default="", repr=False)
    files: dict[str, str] = field(default_factory=dict, repr=False)  # results it left, by name

    @property
    def held(self) -> int:
        """How many claims this run bore out; those that no run can decide count as settled."""
        return sum(claim["holds"] is not False for claim in self.claims)

    @property
    def ok(self) -> bool:
        """Whether every cell ran and every claim held."""
        return not self.error and self.held == len(self.claims)


class _Client(PapermillNotebookClient):
    """Papermill's client, which asks the kernel for its cost before the kernel ends."""

    def create_kernel_manager(self) -> Any:
        manager = super().create_kernel_manager()
        if os.name == "posix":  # sockets in the scratch folder: no port for others to read
            manager.transport = "ipc"
            manager.ip = os.path.join(self.resources["metadata"]["path"], "kernel")
        return manager

    def execute(self, **kwargs: Any) -> Any:
        environment = {**os.environ, **QUIET, **self.nb_man.dlnotes_environment}
        # Dask's workers give memory back at once; a kernel would spend its time asking again.
        environment.pop("MALLOC_TRIM_THRESHOLD_", None)
        return super().execute(env=environment, **kwargs)

    def papermill_execute_cells(self) -> None:
        super().papermill_execute_cells()
        request = self.kc.execute("", silent=True, user_expressions={"usage": _USAGE})
        reply = self.wait_for_reply(request)
        answer = (reply or {}).get("content", {}).get("user_expressions", {}).get("usage", {})
        text = answer.get("data", {}).get("text/plain", "{}")
        self.nb.metadata["dlnotes_usage"] = text


class _Engine(NBClientEngine):
    """Runs the notebook with our client and the environment that the caller asked for."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        environment: Mapping[str, str],
        folder: str,
        **kwargs: Any,
    ) -> Any:
        nb_man.dlnotes_environment = environment
        known = ("log_output", "start_timeout", "execution_timeout")
        wanted = {name: kwargs[name] for name in known if kwargs.get(name) is not None}
        return _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=wanted.get("start_timeout", 60),
            timeout=wanted.get("execution_timeout"),
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()


def run_notebook(
    text: str,
    chapter: str,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    timeout: int | None = None,
) -> Run:
    """Run the notebook ``text`` with papermill and return what came of it; never raise for it.

    Nothing is written but in a scratch folder, which is the kernel's working folder: the text
    travels here and back, so that a worker on another machine needs no copy of the book.
    """
    import ast

    papermill_engines.register("dlnotes", _Engine)
    notebook = nbformat.reads(text, as_version=4)
    run = Run(chapter, int(parameters.get("seed", 0)))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="chapter-") as scratch:
        output = os.path.join(scratch, "run.ipynb")
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=dict(parameters),
                engine_name="dlnotes",
                environment=dict(environment),
                folder=scratch,
                progress_bar=False,
                kernel_name="python3",
                language="python",
                execution_timeout=timeout,
            )
        except PapermillExecutionError as error:
            run.error = f"{error.ename}: {error.evalue}\nin the cell\n{error.source}"
        except Exception as error:  # a kernel that died or never came, a cell that hung
            run.error = f"{type(error).__name__}: {error}"
        run.seconds = time.perf_counter() - begun
        if os.path.exists(output):
            notebook = nbformat.read(output, as_version=4)
        run.files = {path.name: path.read_text("utf8") for path in Path(scratch).glob("*.json")}
    usage = ast.literal_eval(notebook.metadata.pop("dlnotes_usage", "{}"))
    run.cpu_seconds = usage.get("cpu_seconds", 0.0)
    run.peak_mb = usage.get("peak_mb", 0.0)
    for record in _records(notebook):
        if "claim" in record:
            run.claims.append(record)
        run.cpu_seconds -= record.get("bake_cpu_seconds", 0.0)
    run.notebook = nbformat.writes(notebook)
    return run


def _records(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    outputs = (out for cell in notebook.cells for out in cell.get("outputs", []))
    records = (out.get("metadata", {}).get(METADATA) for out in outputs)
    return [record for record in records if record]
