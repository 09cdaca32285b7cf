"""The instructor's notebook: solutions in place, executed in a kernel like any other notebook."""

import os
import re
import tempfile
from typing import Any

import nbformat

from press.homework.assignment import Assignment, HomeworkError, source_notebook
from press.homework.course import Course


def executed(course: Course, assignment: Assignment) -> Any:
    """Run the master with its solutions; raise HomeworkError with the cell that fails."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = source_notebook(assignment)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            if os.name == "posix":  # sockets in a folder of its own: no port for others to read
                manager = client.create_kernel_manager()
                manager.transport, manager.ip = "ipc", os.path.join(scratch, "kernel")
            client.execute(cwd=str(course.root))
    except CellExecutionError as error:
        why = f"{error.ename}: {error.evalue}".removesuffix(": ")
        raise HomeworkError(f"{assignment.name}: {_where(notebook)}{why}") from None
    except (TimeoutError, RuntimeError) as error:  # endless, or the kernel died
        raise HomeworkError(f"{assignment.name}: its own solution does not run: {error}") from None
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.validate(notebook)
    return notebook


def _where(notebook: Any) -> str:
    """Name the cell that raised, and its line."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                lines = re.findall(r"(?m)^-+> *\d+ (.*)", plain)[:1]
                quoted = "".join(f", `{line.strip()}`" for line in lines)
                return f"the solution fails in {cell.metadata.nbgrader.grade_id}{quoted}: "
    return "the solution fails: "
